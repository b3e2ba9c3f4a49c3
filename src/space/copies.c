/* How it is found out cheaply whose copies a write may have made stale. */
#include "space/copies.h"

#include <utlist.h>

void copies_join(struct copies *copies, struct copy_holder *holder, size_t size)
{
    view_init(&holder->view, size);
    holder->view.census = &copies->census;
    holder->own_changes = copies->changes;
    DL_APPEND(copies->holders, holder);
}

void copies_leave(struct copies *copies, struct copy_holder *holder)
{
    DL_DELETE(copies->holders, holder);
}

/* May a line be concerned, the writer's own one apart? Asked of a page at a time: most writes lie
 * within one. */
static bool others_may_hold(const struct copies *copies, const struct copy_holder *writer,
                            enum write_kind kind, uint64_t page, uint64_t physical, uint64_t last)
{
    uint64_t first = physical & TARGET_PAGE_MASK;
    if (last - first >= TARGET_PAGE_SIZE)
        return true;
    uint32_t lines = view_census_lines(&copies->census, first);
    if (lines == 1 && kind == WRITE_VIEW) {
        const struct view_line *own = view_find(&writer->view, page);
        return !own || own->physical != first;
    }
    return lines > 0;
}

void copies_changed(struct copies *copies, struct copy_holder *writer, enum write_kind kind,
                    uint64_t page, uint64_t physical, size_t length)
{
    struct copy_holder *other;
    uint64_t last = physical + (length - 1);

    if (!length)
        return;
    if (last < physical)
        last = UINT64_MAX;
    copies->changes++;
    writer->own_changes++;
    if (!others_may_hold(copies, writer, kind, page, physical, last))
        return;
    DL_FOREACH(copies->holders, other)
    {
        if (other != writer)
            view_drop_physical(&other->view, physical, last, NULL);
    }
    if (kind == WRITE_UNCACHED)
        return;
    view_drop_physical(&writer->view, physical, last,
                       kind == WRITE_VIEW ? view_find(&writer->view, page) : NULL);
}

void copies_device_written(struct copies *copies, struct copy_holder *writer, enum write_kind kind)
{
    struct copy_holder *other;

    DL_FOREACH(copies->holders, other)
    {
        if (other == writer && kind == WRITE_UNCACHED)
            continue;
        copies_outdated(other);
        view_drop_all_clean(&other->view);
    }
}

void copies_all_outdated(struct copies *copies)
{
    struct copy_holder *holder;

    DL_FOREACH(copies->holders, holder)
    {
        copies_outdated(holder);
        view_drop_all_clean(&holder->view);
    }
}
