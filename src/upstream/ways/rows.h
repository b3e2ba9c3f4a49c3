/* The ways that there are, made from the table of their rows. */
#ifndef SB_UPSTREAM_WAYS_ROWS_H
#define SB_UPSTREAM_WAYS_ROWS_H

#include "upstream/ways/way.h"

#define ROWS_MOST TARGET_TRANSPORTS_MOST

/* In the order in which users are told of them. They are asked from the last to the first: the
 * first is the last resort, which takes everything. Zero-initialise. */
struct way_rows {
    const struct way_context *context;
    struct way *row[ROWS_MOST];
    size_t count;
};

/* Make those of the table, behind those that there are. False: out of memory, or too many. */
bool rows_make(struct way_rows *rows, const struct way_ops *const *table, size_t count);
void rows_free(struct way_rows *rows);
/* The one of that row, NULL: it is not among them. */
struct way *rows_find(const struct way_rows *rows, const struct way_ops *ops);

/* Open what is wanted, for the target that is connected now, in a task. Not TARGET_OK when what
 * must be had cannot; failure (not NULL) says which and why. */
enum target_error rows_open(struct way_rows *rows, struct failure *failure);
void rows_close(struct way_rows *rows);
/* The byte order that one of them knows. False: none does. */
bool rows_big_endian(const struct way_rows *rows, bool *big_endian);
/* As target_about.transports. */
size_t rows_list(const struct way_rows *rows, struct target_transport *out, size_t most);

#endif
