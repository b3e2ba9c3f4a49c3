/* The ways that there are: how they are made, opened, closed and told of. */
#include "upstream/ways/rows.h"

#include <stdio.h>

bool rows_make(struct way_rows *rows, const struct way_ops *const *table, size_t count)
{
    if (count > ROWS_MOST - rows->count)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct way *made = table[i]->make(rows->context);
        if (!made)
            return false;
        rows->row[rows->count++] = made;
    }
    return true;
}

void rows_free(struct way_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        rows->row[i]->ops->free(rows->row[i]);
    rows->count = 0;
}

struct way *rows_find(const struct way_rows *rows, const struct way_ops *ops)
{
    for (size_t i = 0; i < rows->count; i++)
        if (rows->row[i]->ops == ops)
            return rows->row[i];
    return NULL;
}

enum target_error rows_open(struct way_rows *rows, struct failure *failure)
{
    enum target_error error = TARGET_OK;
    rows_close(rows);
    for (size_t i = 0; i < rows->count; i++) {
        struct way *way = rows->row[i];
        way_note(way, "");
        if (way->ops->reset)
            way->ops->reset(way);
    }
    for (size_t i = 0; i < rows->count && error == TARGET_OK; i++)
        if (rows->row[i]->ops->open)
            error = rows->row[i]->ops->open(rows->row[i], failure);
    return error;
}

void rows_close(struct way_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        if (rows->row[i]->ops->close)
            rows->row[i]->ops->close(rows->row[i]);
}

bool rows_big_endian(const struct way_rows *rows, bool *big_endian)
{
    for (size_t i = 0; i < rows->count; i++) {
        const struct way *way = rows->row[i];
        if (way->ops->big_endian && way->ops->big_endian(way, big_endian))
            return true;
    }
    return false;
}

size_t rows_list(const struct way_rows *rows, struct target_transport *out, size_t most)
{
    size_t count = most < rows->count ? most : rows->count;
    for (size_t i = 0; i < count; i++) {
        const struct way *way = rows->row[i];
        out[i] = (struct target_transport){.name = way->ops->name,
                                           .open = way->ops->is_open(way),
                                           .calls = way->calls,
                                           .bytes_read = way->read,
                                           .bytes_written = way->written};
        if (!out[i].open)
            snprintf(out[i].note, sizeof out[i].note, "%s", way->note);
    }
    return count;
}
