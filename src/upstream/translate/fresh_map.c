/* The target's memory map, read again when it may have changed: who is asked for it, what is
 * checked, and what is asked anew for each address where the map does not tell. */
#include "upstream/translate/fresh_map.h"

#include "base/buffer.h"
#include "base/log.h"
#include "base/task.h"
#include "upstream/link/monitor_text.h"
#include "upstream/link/qmp.h"
#include "upstream/machine/memory_map.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM "target"

/* "memory" is what a processor's physical accesses without special attributes see. */
#define ADDRESS_SPACE "memory"
/* Characters of a map from which on it is asked for by QMP: there are thousands of ranges then. */
#define LONG_TEXT ((size_t)64 * 1024)
/* From here on the stub is asked again: a line that is too long for QMP costs the connection. */
#define TOO_LONG_TEXT (QMP_LINE_MAX / 8)
/* Ranges of memory whose ends are checked when a map is new: each costs two questions. */
#define CHECKED_MOST 256
/* The least that is told apart where nothing is known: no single access is longer. */
#define GRAIN 8u

/* Texts of which the log is told. */
#define SAID_MOST 64

struct fresh_map {
    struct stub *stub;
    struct memory_map map;
    bool valid;
    bool secure;            /* there is memory that only a secure world sees */
    size_t text;            /* characters that the map was last read from */
    struct buffer checked;  /* a text whose memory was found to be memory */
    bool of_checked;        /* the map is that text's, and its BARs have not moved since */
    uint64_t changes;       /* how often it may have changed */
    uint64_t buses_changes; /* changes when the buses were asked for */
    /* digests of what the log has been told of texts that were not understood */
    uint64_t said[SAID_MOST];
    size_t said_count;
    struct task_mutex loading;
};

struct fresh_map *fresh_map_new(struct stub *stub)
{
    struct fresh_map *fresh = calloc(1, sizeof *fresh);
    if (fresh)
        fresh->stub = stub;
    return fresh;
}

void fresh_map_free(struct fresh_map *fresh)
{
    if (!fresh)
        return;
    memory_map_free(&fresh->map);
    buffer_free(&fresh->checked);
    free(fresh);
}

void fresh_map_changed(struct fresh_map *fresh)
{
    fresh->valid = false;
    fresh->changes++;
}

void fresh_map_all_changed(struct fresh_map *fresh)
{
    fresh_map_changed(fresh);
    fresh->of_checked = false;
}

uint64_t fresh_map_changes(const struct fresh_map *fresh)
{
    return fresh->changes;
}

bool fresh_map_secure(const struct fresh_map *fresh)
{
    return fresh->secure;
}

/* What went wrong on the way to the monitor, and cannot be helped. Others leave an empty answer. */
static bool is_final(enum target_error error)
{
    return error != TARGET_OK && error != TARGET_FAILED && error != TARGET_UNSUPPORTED;
}

/* A question whose answer is about as long as the last map was. */
static enum target_error ask_map(struct fresh_map *fresh, target_client client, const char *command,
                                 struct buffer *text)
{
    enum target_error error =
        fresh->text >= LONG_TEXT && fresh->text < TOO_LONG_TEXT
            ? monitor_run_long(&fresh->stub->monitor, client, command, text, NULL)
            : monitor_run(&fresh->stub->monitor, client, 0, command, text, NULL);
    if (error != TARGET_OK)
        buffer_clear(text);
    return is_final(error) ? error : TARGET_OK;
}

/* Once for each line, and for so many lines. */
static void log_notes(struct fresh_map *fresh, const struct text_notes *notes)
{
    size_t kept = notes->count < TEXT_NOTES_MOST ? notes->count : TEXT_NOTES_MOST;
    for (size_t i = 0; i < kept; i++) {
        uint64_t digest = 0xcbf29ce484222325;
        size_t said = 0;
        for (const char *at = notes->note[i]; *at; at++)
            digest = (digest ^ (unsigned char)*at) * 0x100000001b3;
        while (said < fresh->said_count && fresh->said[said] != digest)
            said++;
        if (said < fresh->said_count || said == SAID_MOST)
            continue;
        fresh->said[fresh->said_count++] = digest;
        log_warning(ROOM, "%s%s", notes->note[i],
                    fresh->said_count == SAID_MOST ? " (no more of these are told)" : "");
    }
}

/* Where memory lies in QEMU, one address. */

struct place {
    enum monitor_host what;
    uint64_t host;
    char name[64];
};

static enum target_error ask_place(struct fresh_map *fresh, target_client client, uint64_t physical,
                                   struct place *place)
{
    struct buffer text = {0};
    char line[MONITOR_LINE_SIZE];
    *place = (struct place){.what = MONITOR_HOST_UNKNOWN};
    monitor_text_gpa2hva(line, physical);
    enum target_error error = monitor_run(&fresh->stub->monitor, client, 0, line, &text, NULL);
    if (error == TARGET_OK)
        place->what = monitor_text_parse_gpa2hva(buffer_text(&text), physical, &place->host,
                                                 place->name, sizeof place->name);
    buffer_free(&text);
    return is_final(error) ? error : TARGET_OK;
}

static enum target_error ask_ends(struct fresh_map *fresh, target_client client, uint64_t first,
                                  uint64_t last, struct place *low, struct place *high)
{
    enum target_error error = ask_place(fresh, client, first, low);
    *high = *low;
    if (error == TARGET_OK && last != first)
        error = ask_place(fresh, client, last, high);
    return error;
}

static bool in_one_piece(const struct place *low, const struct place *high, uint64_t first,
                         uint64_t last)
{
    return low->what == MONITOR_HOST_MEMORY && high->what == MONITOR_HOST_MEMORY &&
           high->host - low->host == last - first;
}

/* Reading the map */

/* Both ends of what the map calls memory must lie in one piece of QEMU's own: else a damaged line
 * may have made memory of something else. Where the monitor's answer is none, the map alone tells.
 */
static enum target_error check_memory(struct fresh_map *fresh, target_client client,
                                      struct memory_map *map, struct text_notes *notes)
{
    enum target_error error = TARGET_OK;
    unsigned checked = 0;
    for (size_t i = 0; i < map->count && checked < CHECKED_MOST && error == TARGET_OK; i++) {
        const struct target_region *region = &map->regions[i];
        struct place low, high;
        if (region->kind != REGION_RAM && region->kind != REGION_ROM)
            continue;
        checked++;
        error = ask_ends(fresh, client, region->first, region->last, &low, &high);
        if (error != TARGET_OK || low.what == MONITOR_HOST_UNKNOWN ||
            high.what == MONITOR_HOST_UNKNOWN ||
            in_one_piece(&low, &high, region->first, region->last))
            continue;
        text_note(notes, "the memory map calls 0x%" PRIx64 "-0x%" PRIx64 " %s, and it is not",
                  region->first, region->last, region->kind == REGION_RAM ? "RAM" : "ROM");
        memory_map_doubt(map, i);
    }
    return error;
}

/* The same text as when all of it was found to be so. */
static bool checked_before(const struct fresh_map *fresh, const struct buffer *tree)
{
    const struct buffer *checked = &fresh->checked;
    return checked->length == tree->length &&
           (tree->length == 0 ||
            memcmp(buffer_bytes(checked), buffer_bytes(tree), tree->length) == 0);
}

static bool remember_checked(struct fresh_map *fresh, const struct buffer *tree)
{
    buffer_clear(&fresh->checked);
    return buffer_append(&fresh->checked, buffer_text(tree), tree->length);
}

static enum target_error pci_by_text(struct fresh_map *fresh, target_client client,
                                     struct pci_bars *bars, struct text_notes *notes)
{
    struct buffer text = {0};
    enum target_error error = ask_map(fresh, client, "info pci", &text);
    const char *printed = buffer_text(&text);
    if (strncmp(printed, "unknown command", strlen("unknown command")) == 0)
        printed = ""; /* this machine knows no PCI */
    if (error == TARGET_OK && !pci_bars_parse(bars, printed, notes))
        error = TARGET_NO_MEMORY;
    buffer_free(&text);
    return error;
}

static enum target_error load_pci(struct fresh_map *fresh, target_client client,
                                  struct pci_bars *bars, struct text_notes *notes)
{
    struct qmp *qmp = fresh->stub->monitor.qmp;
    json_t *answer = NULL;
    if (!qmp || !qmp_connected(qmp) ||
        qmp_execute(qmp, "query-pci", NULL, &answer, NULL) != TARGET_OK)
        return pci_by_text(fresh, client, bars, notes);
    bool taken = pci_bars_take(bars, answer, notes);
    json_decref(answer);
    if (!taken)
        return TARGET_NO_MEMORY;
    if (!bars->doubtful)
        return TARGET_OK;
    pci_bars_free(bars); /* no answer to that question: the text may be one */
    return pci_by_text(fresh, client, bars, notes);
}

/* Make a map of the text and the BARs; on success it takes the place of the one there was. */
static enum target_error make_map(struct fresh_map *fresh, target_client client,
                                  const struct buffer *tree, const struct pci_bars *bars,
                                  struct text_notes *notes)
{
    struct memory_map made = {0};
    enum target_error error = TARGET_OK;
    if (!memory_map_parse(&made, buffer_text(tree), ADDRESS_SPACE, bars, notes))
        return TARGET_NO_MEMORY;
    if (!made.distrusted && !checked_before(fresh, tree))
        error = check_memory(fresh, client, &made, notes);
    if (error == TARGET_OK) {
        struct memory_map old = fresh->map;
        fresh->map = made;
        made = old;
        fresh->of_checked = notes->count == 0 && remember_checked(fresh, tree);
    }
    memory_map_free(&made);
    return error;
}

static enum target_error make_all(struct fresh_map *fresh, target_client client,
                                  const struct buffer *tree)
{
    struct pci_bars bars = {0};
    struct text_notes notes = {0};
    uint64_t changes = fresh->changes;
    enum target_error error = load_pci(fresh, client, &bars, &notes);
    if (error == TARGET_OK)
        error = make_map(fresh, client, tree, &bars, &notes);
    if (error == TARGET_OK)
        fresh->buses_changes = changes;
    log_notes(fresh, &notes);
    pci_bars_free(&bars);
    return error;
}

static enum target_error load_map(struct fresh_map *fresh, target_client client)
{
    struct buffer tree = {0};
    enum target_error error = ask_map(fresh, client, "info mtree -f", &tree);
    if (error == TARGET_OK) {
        fresh->text = tree.length;
        /* in the name of an address space, or of its root: one of them may be damaged */
        fresh->secure = strstr(buffer_text(&tree), "secure-memory") != NULL;
        /* A BAR that moves where its device answers moves a line. */
        if (!fresh->of_checked || !checked_before(fresh, &tree))
            error = make_all(fresh, client, &tree);
    }
    if (error == TARGET_NO_MEMORY)
        log_warning(ROOM, "cannot read the target's memory map: out of memory");
    buffer_free(&tree);
    return error;
}

enum target_error fresh_map_load(struct fresh_map *fresh, target_client client)
{
    if (!fresh->stub->has_physical)
        return TARGET_UNSUPPORTED;
    if (fresh->valid)
        return TARGET_OK;
    task_mutex_lock(&fresh->loading);
    enum target_error error = TARGET_OK;
    while (error == TARGET_OK && !fresh->valid) {
        uint64_t changes = fresh->changes;
        error = load_map(fresh, client);
        /* A running guest can move its map at any time: good for this call only. */
        if (error == TARGET_OK && stub_running(fresh->stub))
            break;
        fresh->valid = error == TARGET_OK && fresh->changes == changes;
    }
    task_mutex_unlock(&fresh->loading);
    return error;
}

/* Where the map does not tell */

/* Within region, the page or the grain that holds physical. */
static void narrow_to(struct target_region *region, uint64_t physical, uint64_t size)
{
    uint64_t first = physical & ~(size - 1), last = physical | (size - 1);
    if (region->first < first)
        region->first = first;
    if (region->last > last)
        region->last = last;
}

/* Memory: RAM, or ROM. Bytes of real devices look like it as well, but lie in BARs. */
static void found_memory(const struct fresh_map *fresh, const struct place *place,
                         struct target_region *region)
{
    if (region->pci_bar || fresh->map.doubtful_bars)
        return;
    region->kind = REGION_RAM;
    snprintf(region->name, sizeof region->name, "%s", place->name);
}

/* An unknown region, which is a device as far as the map goes: ask what lies at physical, and cut
 * the region down to what the answer holds for. */
static enum target_error ask_region(struct fresh_map *fresh, target_client client,
                                    uint64_t physical, struct target_region *region)
{
    struct place low, high, here;
    narrow_to(region, physical, TARGET_PAGE_SIZE);
    enum target_error error = ask_ends(fresh, client, region->first, region->last, &low, &high);
    if (error != TARGET_OK)
        return error;
    if (in_one_piece(&low, &high, region->first, region->last)) {
        found_memory(fresh, &low, region);
        return TARGET_OK;
    }
    if ((low.what == MONITOR_HOST_DEVICE && high.what == MONITOR_HOST_DEVICE) ||
        low.what == MONITOR_HOST_UNKNOWN || high.what == MONITOR_HOST_UNKNOWN)
        return TARGET_OK;
    narrow_to(region, physical, GRAIN);
    error = ask_place(fresh, client, physical, &here);
    if (error == TARGET_OK && here.what == MONITOR_HOST_NOTHING)
        *region = (struct target_region){
            .first = region->first, .last = region->last, .kind = REGION_NONE};
    return error;
}

/* A hole, which a lost line may have left: ask whether nobody answers there. */
static enum target_error ask_hole(struct fresh_map *fresh, target_client client, uint64_t physical,
                                  struct target_region *region)
{
    struct text_notes notes = {0};
    struct place here;
    enum target_error error = ask_place(fresh, client, physical, &here);
    if (error != TARGET_OK || here.what == MONITOR_HOST_NOTHING ||
        here.what == MONITOR_HOST_UNKNOWN)
        return error;
    text_note(&notes, "the memory map has a hole at 0x%" PRIx64 "-0x%" PRIx64 ", and it is none",
              region->first, region->last);
    log_notes(fresh, &notes);
    region->kind = REGION_DEVICE;
    region->unknown = true;
    snprintf(region->name, sizeof region->name, "unknown range");
    return ask_region(fresh, client, physical, region);
}

void fresh_map_find(const struct fresh_map *fresh, uint64_t physical, struct target_region *out)
{
    memory_map_find(&fresh->map, physical, out);
}

enum target_error fresh_map_classify(struct fresh_map *fresh, target_client client,
                                     uint64_t physical, struct target_region *out)
{
    enum target_error error = fresh_map_load(fresh, client);
    if (error != TARGET_OK)
        return error;
    memory_map_find(&fresh->map, physical, out);
    if (out->unknown && out->kind == REGION_DEVICE)
        return ask_region(fresh, client, physical, out);
    if (out->kind == REGION_NONE && !memory_map_says_none(&fresh->map, physical))
        return ask_hole(fresh, client, physical, out);
    return TARGET_OK;
}

bool fresh_map_unknown(const struct fresh_map *fresh, const struct target_span *spans, size_t count)
{
    if (fresh->map.count == 0)
        return false; /* nobody has asked for it yet */
    for (size_t i = 0; i < count; i++)
        if (memory_map_unknown(&fresh->map, spans[i].address, spans[i].length))
            return true;
    return false;
}

/* A bridge gets its bus's number without a line of the map moving. */
static enum target_error fresh_buses(struct fresh_map *fresh, target_client client)
{
    struct pci_bars bars = {0};
    struct text_notes notes = {0};
    uint64_t changes = fresh->changes;
    if (fresh->buses_changes == changes && !stub_running(fresh->stub))
        return TARGET_OK;
    enum target_error error = load_pci(fresh, client, &bars, &notes);
    if (error == TARGET_OK) {
        memcpy(fresh->map.buses, bars.buses, sizeof bars.buses);
        fresh->buses_changes = changes;
    }
    log_notes(fresh, &notes);
    pci_bars_free(&bars);
    return error;
}

enum target_error fresh_map_has_bus(struct fresh_map *fresh, target_client client, unsigned bus,
                                    bool *present)
{
    enum target_error error = fresh_map_load(fresh, client);
    if (error == TARGET_OK)
        error = fresh_buses(fresh, client);
    if (error == TARGET_OK)
        *present = memory_map_has_bus(&fresh->map, bus);
    return error;
}
