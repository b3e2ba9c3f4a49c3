/* The copies of the target's memory that the views of one space hold, and which of them a write
 * makes stale. Pure data structure: no input or output, never suspends. */
#ifndef SB_SPACE_COPIES_H
#define SB_SPACE_COPIES_H

#include "space/view.h"

#include <stddef.h>
#include <stdint.h>

/* Who made a write, for what others may keep. */
enum write_kind {
    WRITE_VIEW, /* by the view: its line of that virtual page is the caller's to bring up to date */
    WRITE_UNCACHED, /* the caller's own lines stay as they were, whatever they are */
    WRITE_PHYSICAL, /* no line is exempt */
};

/* Who holds copies: a session's view, and how fresh it is. */
struct copy_holder {
    struct copy_holder *prev, *next;
    struct view view;
    /* Moves when others may have made clean bytes of this view stale: what was read from the target
     * before and arrives after is not kept. See copies_generation. */
    uint64_t generation;
    uint64_t own_changes; /* writes to the target's memory by this one */
};

/* All of them. Zero-initialise. */
struct copies {
    struct copy_holder *holders; /* utlist */
    uint64_t changes;            /* writes to the target's memory, of all */
    struct view_census census;
};

/* holder's view may hold size bytes. */
void copies_join(struct copies *copies, struct copy_holder *holder, size_t size);
/* With nothing in its view any more. */
void copies_leave(struct copies *copies, struct copy_holder *holder);

/* A number that moves when others have written to the target's memory, or clean bytes of this view
 * may be stale for another reason. It costs a write the same however many holders there are. */
static inline uint64_t copies_generation(const struct copies *copies,
                                         const struct copy_holder *holder)
{
    return holder->generation + (copies->changes - holder->own_changes);
}
/* Its clean bytes may be stale; whoever says so drops them. */
static inline void copies_outdated(struct copy_holder *holder)
{
    holder->generation++;
}

/* Bytes of the physical range may have changed by a write of writer: clean copies of it are dropped
 * everywhere it matters. page: the virtual page whose line is exempt with WRITE_VIEW. */
void copies_changed(struct copies *copies, struct copy_holder *writer, enum write_kind kind,
                    uint64_t page, uint64_t physical, size_t length);
/* A device was written, by a port or by memory: it may have changed memory itself, anywhere. */
void copies_device_written(struct copies *copies, struct copy_holder *writer, enum write_kind kind);
/* All clean bytes are worth nothing any more. */
void copies_all_outdated(struct copies *copies);

#endif
