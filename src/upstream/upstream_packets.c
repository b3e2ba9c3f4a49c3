/* What others say in their own words: monitor commands, and requests that are passed on. What must
 * not get past us is stopped here, or done our way. */
#include "upstream/upstream_internal.h"

#include "base/buffer.h"

#include <stdio.h>
#include <string.h>

/* Is the command's first word that one? */
static bool is_command(const char *command, const char *word)
{
    command += strspn(command, " \t");
    size_t length = strcspn(command, " \t");
    return length == strlen(word) && strncmp(command, word, length) == 0;
}

/* Commands that would change the run state behind our back: done our way. False: another command.
 */
static bool run_command(struct target *target, target_client client, const char *command,
                        struct buffer *text, enum target_error *error)
{
    struct upstream *upstream = upstream_of(target);
    char message[256] = "";
    if (is_command(command, "c") || is_command(command, "cont")) {
        *error = upstream_resume(target, client, TARGET_RESUME_GO, 0, message, sizeof message);
    } else if (is_command(command, "stop") || is_command(command, "s")) {
        *error = upstream_interrupt(target, client);
        if (*error == TARGET_OK)
            *error = upstream_wait(target, client, upstream->config.timeout, NULL, message,
                                   sizeof message);
        message[0] = 0;
    } else if (is_command(command, "gdbserver")) {
        snprintf(message, sizeof message, "not while spacebridge is using it\n");
        *error = TARGET_INVALID;
    } else {
        return false;
    }
    if (message[0])
        buffer_append(text, message, strlen(message));
    return true;
}

enum target_error upstream_monitor(struct target *target, target_client client, unsigned cpu,
                                   const char *command, struct buffer *text)
{
    struct upstream *upstream = upstream_of(target);
    char message[256];
    enum target_error error = upstream_ready(upstream);
    if (error != TARGET_OK)
        return error;
    if (upstream->stub.qemu && run_command(target, client, command, text, &error))
        return error;
    ways_enter(upstream->ways);
    error = monitor_run(&upstream->stub.monitor, client, stub_monitor_cpu(&upstream->stub, cpu),
                        command, text, message, sizeof message);
    ways_leave(upstream->ways);
    if (error == TARGET_FAILED)
        buffer_append(text, message, strlen(message));
    /* There is no knowing what it has done; `cpu` has moved the monitor away. */
    if (upstream->attached && !is_command(command, "info")) {
        rsp_client_forget_modes(upstream->stub.rsp);
        upstream_memory_changed(upstream);
    }
    return error;
}

/* Requests that may be passed on: they leave the run state, and the modes that the queue keeps,
 * alone. */
static bool packet_allowed(const struct upstream *upstream, const char *payload, size_t length)
{
    static const char *const refused[] = {"qRcmd",    "qSupported",       "QStartNoAckMode",
                                          "QNonStop", "Qqemu.PhyMemMode", "QThreadSuffixSupported"};
    if (length == 0)
        return false;
    switch (payload[0]) {
    case 'g':
    case 'p':
    case 'P':
    case 'm':
    case 'M':
    case 'X':
    case 'x':
    case 'Z':
    case 'z':
        return true;
    case 'G': /* corrupts an x86-64 processor that is not in long mode */
        return !(upstream->stub.qemu && upstream->stub.width == STUB_WIDTH_BY_MODE);
    case 'T': /* is that thread alive? */
        return true;
    case 'q':
    case 'Q':
        for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
            if (length >= strlen(refused[i]) &&
                memcmp(payload, refused[i], strlen(refused[i])) == 0)
                return false;
        return true;
    case 'v':
        return (length >= 6 && memcmp(payload, "vFile:", 6) == 0) ||
               (length == 6 && memcmp(payload, "vCont?", 6) == 0) ||
               (length == 15 && memcmp(payload, "vMustReplyEmpty", 15) == 0);
    default:
        return false;
    }
}

enum target_error upstream_packet_thread(struct target *target, target_client client,
                                         uint64_t thread, const void *payload, size_t length,
                                         struct buffer *reply)
{
    struct upstream *upstream = upstream_of(target);
    enum target_error error = upstream_ready(upstream);
    if (error == TARGET_OK && !packet_allowed(upstream, payload, length))
        error = TARGET_INVALID;
    if (error != TARGET_OK)
        return error;
    struct rsp_operation operation = {.payload = payload,
                                      .length = length,
                                      .escape = true,
                                      .kind = RSP_REQUEST,
                                      .client = client,
                                      .thread = thread,
                                      .space = RSP_SPACE_VIRTUAL};
    ways_enter(upstream->ways);
    error = rsp_client_call(upstream->stub.rsp, &operation, reply);
    ways_leave(upstream->ways);
    /* Registers decide what memory a processor sees. */
    if (strchr("GPMX", ((const char *)payload)[0]) && upstream->attached)
        upstream_memory_changed(upstream);
    return error;
}

enum target_error upstream_packet(struct target *target, target_client client, int cpu,
                                  const void *payload, size_t length, struct buffer *reply)
{
    const struct stub *stub = &upstream_of(target)->stub;
    if (cpu >= 0 && (unsigned)cpu >= stub->processors)
        return TARGET_INVALID;
    return upstream_packet_thread(target, client, cpu < 0 ? 0 : stub->threads[cpu], payload, length,
                                  reply);
}
