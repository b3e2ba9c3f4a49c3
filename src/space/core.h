/* One space and its sessions as the files of src/space know them, and the little that all of them
 * need: the sentence of a failure, whether the target can be reached now, and what is fresh. The
 * fronts see neither struct. */
#ifndef SB_SPACE_CORE_H
#define SB_SPACE_CORE_H

#include "base/task.h"
#include "space/copies.h"
#include "space/types.h"
#include "spacebridge/hresult.h"
#include "upstream/target.h"

#define SESSION_MESSAGE_SIZE 512
#define SESSION_REASON_SIZE  320
/* Pages that one step of a call looks up and moves together. */
#define SPACE_BATCH_PAGES 256u

struct behind;
struct doubts;
struct flush_result;
struct synced;

struct space {
    struct target *target;
    struct target_listener listener;
    struct space_config config;
    struct session *sessions; /* utlist */
    target_client last_client;
    uint64_t pass; /* of walks over the sessions that suspend */
    struct copies copies;
    struct doubts *doubts;
    struct synced *synced;
    /* The views were flushed for a resume that is about to go out: write-back acts as write-through
     * until it has, or a busy writer could make new dirty bytes for ever, faster than they are
     * flushed. Whether the target runs is upstream's to say, and asked there. */
    bool kept_clean;
};

struct session {
    struct space *space;
    struct session *prev, *next;
    char name[64];
    target_client client; /* where callers take turns; never 0 */
    unsigned cpu;
    uint32_t event_mask;   /* what its connection wants to hear */
    const char *no_events; /* why it may not ask for any; NULL: it may */
    enum cache_policy policy;
    struct session_listener listener;

    /* Held by whoever works on the view across suspensions: this session's own memory calls for
     * their whole length, and other tasks that flush it. Nobody holds two, nor one while resuming.
     */
    struct task_mutex mutex;
    struct copy_holder copies; /* the view */
    /* Moves when the target was lost with dirty bytes in this view. */
    uint64_t losses;
    struct flush_result *flushing; /* the flush under way, NULL: none */
    uint32_t parts_of;             /* session_parts_of */
    bool more_follow;              /* session_more_follow */
    struct behind *behind;         /* a flush that calls do not wait for; its task has the mutex */
    struct task *alongside;        /* the task whose write goes on beside it */
    struct task_cond behind_ended;
    bool behind_kept;    /* the last one left dirty bytes in the view: let a call say why */
    uint64_t read_next;  /* where a cached read that goes on from the last one begins */
    unsigned read_ahead; /* pages that were read ahead of it last; 0: none */
    uint64_t hits, misses, flushes, flushed_bytes, lost_bytes;

    unsigned users; /* tasks that hold on to this struct beside its owner */
    uint64_t pass;
    bool closed;
    bool cancelled;
    char message[SESSION_MESSAGE_SIZE];
    bool warned; /* there is a warning that was not taken */
    char warning[SESSION_REASON_SIZE];
};

/* Leave the sentence and return hr, for calls that transfer nothing. */
HRESULT session_fail(struct session *session, HRESULT hr, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
HRESULT space_hresult(enum target_error error, HRESULT fault);
/* TARGET_OK while the target is halted. */
enum target_error session_ready(const struct session *session);
/* The target runs, and its virtual (else only its physical) memory can be reached all the same,
 * without stopping it. Nothing of it may be kept. */
bool session_live(const struct session *session, bool is_virtual);
/* TARGET_OK while it is halted, or session_live(). */
enum target_error session_memory_ready(const struct session *session, bool is_virtual);

/* Keep a session's memory while this task works on its view; release may free it. */
void session_hold(struct session *session);
void session_release(struct session *session);
/* See copies_generation. */
static inline uint64_t session_generation(const struct session *session)
{
    return copies_generation(&session->space->copies, &session->copies);
}
/* See copies_changed and copies_device_written: of a write by this session. */
static inline void session_changed(struct session *session, enum write_kind kind, uint64_t page,
                                   uint64_t physical, size_t length)
{
    copies_changed(&session->space->copies, &session->copies, kind, page, physical, length);
}
static inline void session_device_written(struct session *session, enum write_kind kind)
{
    copies_device_written(&session->space->copies, &session->copies, kind);
}
/* What its calls really do: the session's choice, unless the view has no room for a line. */
enum cache_policy session_policy(const struct session *session);

/* Wait for the flush that this task goes alongside, if any: then it has the mutex for itself. */
void session_wait_behind(struct session *session);

#endif
