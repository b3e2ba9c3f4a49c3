/* What the files of this room share; nobody else includes it. */
#ifndef SB_SPACE_INTERNAL_H
#define SB_SPACE_INTERNAL_H

#include "base/task.h"
#include "space/session.h"
#include "space/view.h"

#define SESSION_MESSAGE_SIZE 512
#define SESSION_REASON_SIZE  320
/* Pages that one step of a call looks up and moves together. */
#define SPACE_BATCH_PAGES 256u

struct flush_result;

/* Regions of which the log has it that nobody tells what they refuse: a bound on what it says. */
#define DOUBTS_MOST 64u
struct doubts {
    struct {
        uint64_t first;
        bool write;
    } said[DOUBTS_MOST];
    unsigned count;
};

struct space {
    struct target *target;
    struct target_listener listener;
    struct space_config config;
    struct session *sessions; /* utlist */
    target_client last_client;
    uint64_t pass;    /* of walks over the sessions that suspend */
    uint64_t changes; /* writes to the target's memory, of all sessions */
    struct view_census census;
    struct doubts doubts;
    /* Somebody is about to resume: write-back acts as write-through meanwhile, or a busy writer
     * could make new dirty bytes for ever, faster than they are flushed. */
    bool resuming;
};

struct session {
    struct space *space;
    struct session *prev, *next;
    char name[64];
    target_client client;
    unsigned cpu;
    uint32_t event_mask;   /* what its connection wants to hear */
    const char *no_events; /* why it may not ask for any; NULL: it may */
    enum cache_policy policy;
    struct session_listener listener;

    /* Held by whoever works on the view across suspensions: this session's own memory calls for
     * their whole length, and other tasks that flush it. Nobody holds two, nor one while resuming.
     */
    struct task_mutex mutex;
    struct view view;
    /* Moves when others may have made clean bytes of this view stale: what was read from the target
     * before and arrives after is not kept. See session_generation. */
    uint64_t generation;
    uint64_t own_changes; /* writes to the target's memory by this session */
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

/* --- call.c: one call's progress, and the HRESULT and sentence that come of it --- */

struct call {
    struct session *session;
    const char *name;
    const char *done_text; /* "written", "read" */
    HRESULT fault;         /* what a fault is called: read or write */
    uint64_t offset;
    size_t asked;            /* as the caller said */
    size_t size;             /* cut at the top of the space */
    size_t done;             /* the prefix that was transferred */
    enum target_error error; /* why it stopped short; TARGET_OK: it did not */
    HRESULT hr;              /* if not S_OK: the answer, whatever was done */
    char reason[SESSION_REASON_SIZE];
};

void call_begin_read(struct call *call, struct session *session, const char *name, uint64_t offset,
                     uint32_t size);
void call_begin_write(struct call *call, struct session *session, const char *name, uint64_t offset,
                      uint32_t size);
/* It stops here, for this reason (NULL: the error's own words). The first reason stays. */
void call_stop(struct call *call, enum target_error error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* It fails as a whole with that HRESULT, whatever was done. */
void call_refuse(struct call *call, HRESULT hr, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* *done (may be NULL) gets the prefix. */
HRESULT call_finish(struct call *call, uint32_t *done);

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

/* --- page.c: what lies behind the pages of a call --- */

enum page_kind {
    PAGE_FAULT,  /* not mapped, or it could not be told: see error */
    PAGE_CACHED, /* RAM or ROM outside BARs, the whole page: the view may hold it */
    PAGE_BULK,   /* RAM in a BAR, the whole page: passed through, in bulk */
    PAGE_MIXED,  /* a device, a hole, out of reach, or several of all these: piece by piece */
};

struct page {
    uint64_t address;     /* virtual, of the page */
    size_t first, length; /* the bytes of it that are wanted */
    enum page_kind kind;
    enum target_error error; /* of PAGE_FAULT */
    bool from_view;          /* the view knew: region holds nothing */
    uint64_t physical;       /* of the page */
    struct target_region region;
};

/* The next pages of a call, in one block of memory. */
struct pages {
    size_t capacity, count;
    uint64_t epoch; /* of what was found */
    uint64_t *addresses;
    struct target_translation *found;
    struct page *page;
};

/* For a range of size bytes at offset, at most SPACE_BATCH_PAGES at a time. NULL: out of memory. */
struct pages *pages_new(uint64_t offset, size_t size);
/* For count pages. */
struct pages *pages_new_count(size_t count);
void pages_free(struct pages *pages);
/* Fill in addresses, first and length for the range, as far as it fits. */
void pages_cover(struct pages *pages, uint64_t offset, size_t size);
/* Find out what lies behind page[from..count). by_view: a line that is up to date answers for its
 * page. Not TARGET_OK when nothing could be told of any. Suspends. */
enum target_error pages_look_up(struct session *session, struct pages *pages, size_t from,
                                bool by_view);
/* Bring this page's line, if any, in step with what was found: a line whose page moved loses its
 * clean bytes. The line may be freed. */
struct view_line *page_settle(struct session *session, const struct page *page, uint64_t epoch);

/* --- transfer.c: bytes to and from the target, past every view --- */

/* Who made a write, for what others may keep. */
enum write_kind {
    WRITE_VIEW, /* by the view: its line of that virtual page is the caller's to bring up to date */
    WRITE_UNCACHED, /* the caller's own lines stay as they were, whatever they are */
    WRITE_PHYSICAL, /* no line is exempt */
};

/* A growable list of runs. */
struct runs {
    struct target_span *run;
    size_t count, capacity;
};
bool runs_add(struct runs *runs, uint64_t address, uint8_t *bytes, size_t length);

/* Bytes of the physical range may have changed: clean copies of it are dropped everywhere it
 * matters. page: the virtual page whose line is exempt with WRITE_VIEW. */
void transfer_changed(struct session *session, enum write_kind kind, uint64_t page,
                      uint64_t physical, size_t length);
/* A device was written, by a port or by memory: it may have changed memory itself, anywhere. */
void transfer_device_written(struct session *session, enum write_kind kind);
/* Write virtual runs, in rising order, to page[from..to), all PAGE_CACHED or PAGE_BULK. Runs that
 * may have hit anything but RAM or ROM come back as not written. The first error is returned, each
 * run has its own. */
enum target_error transfer_write_pages(struct session *session, enum write_kind kind,
                                       const struct pages *pages, size_t from, size_t to,
                                       struct target_span *run, size_t count);
/* Read virtual runs of page[from..to), in rising order, each in RAM or ROM as far as that page
 * tells; done and error are in the runs. */
void transfer_read_pages(struct session *session, const struct pages *pages, size_t from, size_t to,
                         struct target_span *run, size_t count);
/* Naturally aligned physical accesses of 8, 4, 2 or 1 bytes, the widest first, in order, within one
 * region. Where that is a device and nobody tells what it refuses the session is warned. */
struct natural {
    const struct target_region *region;
    const struct target_seen *seen; /* where a processor sees the first byte; NULL: not known */
    uint64_t physical;
    uint8_t *bytes; /* a write only reads them */
    size_t length;
};
/* reason (SESSION_REASON_SIZE) says why it stopped short. */
enum target_error transfer_read_natural(struct session *session, const struct natural *natural,
                                        size_t *done, char *reason);
enum target_error transfer_write_natural(struct session *session, const struct natural *natural,
                                         enum write_kind kind, uint64_t page, size_t *done,
                                         char *reason);

/* --- doubt.c --- */

/* Bytes of a device from that physical address on were sent, or came, by a way that does not tell
 * whether the device took part; why: a few words. */
void doubt_note(struct session *session, const struct target_region *region, uint64_t physical,
                bool write, const char *why);
/* Bytes of one page of any kind, each region in its own way. reason (SESSION_REASON_SIZE) says why
 * it stopped short. */
enum target_error transfer_read_piece(struct session *session, const struct pages *pages,
                                      size_t index, size_t first, uint8_t *bytes, size_t length,
                                      size_t *done, char *reason);
enum target_error transfer_write_piece(struct session *session, enum write_kind kind,
                                       const struct pages *pages, size_t index, size_t first,
                                       const uint8_t *bytes, size_t length, size_t *done,
                                       char *reason);

/* --- read_ahead.c --- */

/* After a cached read that the target was asked for, the mutex held: where it went on from the one
 * before, fill the view with pages that follow, RAM alone. Nobody is told when it cannot. */
void read_ahead_after(struct session *session, uint64_t offset, size_t size, bool missed);

/* --- flush.c --- */

struct flush_result {
    /* in: a loss in that virtual range is looked for ... */
    uint64_t watch;
    size_t watch_length;
    /* out: ... and this is how many bytes of the range come before it */
    size_t watch_kept;
    uint64_t flushed;
    uint64_t lost; /* could not be written: dropped and counted */
    uint64_t first_lost;
    enum target_error
        error; /* of the first loss; or, with nothing lost, why dirty bytes were kept */
    char reason[SESSION_REASON_SIZE];
};

/* Write back this view's dirty bytes, exactly those, in address order; the mutex is held. result:
 * zeroed but for what is asked. S_OK: no dirty byte is left. E_FAIL: bytes were lost. Else nothing
 * was lost, but not all could be written now. */
HRESULT flush_view(struct session *session, struct flush_result *result);
/* --- behind.c: a flush that the writes of a stream do not wait for --- */

/* Take the mutex for a write by that policy, or go alongside a flush that is under way. */
void behind_lock(const struct call *call, enum cache_policy policy);
void behind_unlock(struct session *session);
/* No line can be evicted: begin to write dirty ones, without waiting. False: look again; it was
 * waited for the flush before, or the view was flushed by this very call, which may have stopped.
 */
bool behind_make_room(struct call *call);
/* Wait for the flush that this task goes alongside, if any: then it has the mutex for itself. */
void behind_wait(struct session *session);
/* Wait for the flush that this session's calls have not waited for, if any, as whoever takes the
 * mutex does. */
void behind_settle(struct session *session);

/* --- flush.c, for behind.c --- */

/* Dirty bytes on their way: a copy of them, one run for each run of dirty bits, in rising order.
 * While they are under way the view holds them as clean, so that whoever changes the same memory
 * meanwhile drops them there as it drops any other clean byte. */
struct batch {
    struct pages *pages;
    struct runs runs;
    uint8_t *bytes;
};
/* The dirty bytes of the first lines by address. False, with nothing changed: out of memory. */
bool flush_take(struct session *session, struct batch *batch);
/* Write it, and free it. */
void flush_batch(struct session *session, struct batch *batch, struct flush_result *result);
/* Nothing of it was sent: its bytes are dirty again, and it is freed. */
void flush_put_back(struct session *session, struct batch *batch, struct flush_result *result);
HRESULT flush_hresult(const struct flush_result *result);

/* One clause about a failed flush: how many bytes, where the first, why. */
void flush_describe(const struct flush_result *result, char *text, size_t size);
/* What a call does before it touches the target past the view. hr and message are left for the
 * caller's answer when it failed: the call must not go on. */
HRESULT flush_before(struct session *session, const char *call, uint64_t offset);
/* As part of a call on the view, the mutex held. False: the call was refused. */
bool flush_within(struct call *call);
/* A loss that no call is there to tell: log and listener. */
void flush_report(struct session *session, HRESULT hr, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Count a loss of length bytes at address in the result and in the session's sums. */
void flush_lost(struct session *session, struct flush_result *result, uint64_t address,
                uint64_t length, enum target_error error, const char *reason);
/* struct target_listener's before_resume. */
bool flush_before_resume(void *context, target_client client, bool *wrote, char *message,
                         size_t size);

/* --- session.c --- */

/* Keep a session's memory while this task works on its view; release may free it. */
void session_hold(struct session *session);
void session_release(struct session *session);
/* A number that moves when others have written to the target's memory, or clean bytes of this view
 * may be stale for another reason. It costs a write the same however many sessions there are. */
static inline uint64_t session_generation(const struct session *session)
{
    return session->generation + (session->space->changes - session->own_changes);
}
/* What its calls really do: the session's choice, unless the view has no room for a line. */
enum cache_policy session_policy(const struct session *session);

#endif
