/* Bytes to and from the target, past every view, and what that makes of the copies that views hold.
 */
#ifndef SB_SPACE_TRANSFER_H
#define SB_SPACE_TRANSFER_H

#include "space/core.h"
#include "space/page.h"

/* Write virtual spans, in rising order, to page[from..to), all PAGE_CACHED or PAGE_BULK. Spans that
 * may have hit anything but RAM or ROM come back as not written. The first error is returned, each
 * span has its own. */
enum target_error transfer_write_pages(struct session *session, enum write_kind kind,
                                       const struct pages *pages, size_t from, size_t to,
                                       struct target_span *span, size_t count);
/* Read virtual spans of page[from..to), in rising order, each in RAM or ROM as far as that page
 * tells; done and error are in the spans. */
void transfer_read_pages(struct session *session, const struct pages *pages, size_t from, size_t to,
                         struct target_span *span, size_t count);
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

/* Bytes of one page of any kind, each region in its own way. reason (SESSION_REASON_SIZE) says why
 * it stopped short. */
enum target_error transfer_read_piece(struct session *session, const struct pages *pages,
                                      size_t index, size_t first, uint8_t *bytes, size_t length,
                                      size_t *done, char *reason);
enum target_error transfer_write_piece(struct session *session, enum write_kind kind,
                                       const struct pages *pages, size_t index, size_t first,
                                       const uint8_t *bytes, size_t length, size_t *done,
                                       char *reason);

#endif
