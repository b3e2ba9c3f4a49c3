/* Random calls of three sessions on the fake target, against a model that is as plain as can be:
 * one state and one value for each byte of each view. Answers, counts, memory and the views' sums
 * must agree exactly. The seed is printed with a failure; SPACE_MODEL_SEED and SPACE_MODEL_TURNS
 * choose others. */
#include "space_fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define V_PAGES    12
#define CPUS       2
#define V_FIRST    UINT64_C(0x7fff00000000)
#define UNMAPPED_V (-1)
#define HOLE_V     (-2)
#define MOST       (3 * PAGE)

enum frame_kind { FRAME_MEMORY, FRAME_ROM, FRAME_BAR, FRAME_DEVICE };

static const struct {
    uint64_t physical;
    enum frame_kind kind;
} frames[] = {
    {RAM_BASE, FRAME_MEMORY},
    {RAM_BASE + PAGE, FRAME_MEMORY},
    {RAM_BASE + 2 * PAGE, FRAME_MEMORY},
    {RAM_BASE + 7 * PAGE, FRAME_MEMORY},
    {RAM_BASE + 8 * PAGE, FRAME_MEMORY},
    {RAM_BASE + 255 * PAGE, FRAME_MEMORY},
    {ROM_BASE, FRAME_ROM},
    {VRAM_BASE, FRAME_BAR},
    {BAR_BASE, FRAME_DEVICE},
};
#define FRAMES ((int)(sizeof(frames) / sizeof(frames[0])))

enum byte_state { MISSING, CLEAN, DIRTY };

struct model_line {
    int frame;
    uint8_t state[PAGE], value[PAGE];
};

struct model_session {
    struct session *session;
    enum cache_policy policy;
    unsigned cpu;
    struct model_line line[V_PAGES];
};

struct loss {
    uint64_t count, first;
};

static struct machine machine;
static struct model_session model[MANY_SESSIONS];
static uint8_t memory[FRAMES][PAGE];
static int map[CPUS][V_PAGES];
static uint8_t bytes[MOST], back[MOST], expected[MOST];

/* --- the model --- */

static size_t count_state(const struct model_line *line, enum byte_state state)
{
    size_t count = 0;
    for (size_t i = 0; i < PAGE; i++)
        count += line->state[i] == state;
    return count;
}

static bool cacheable(int frame)
{
    return frame >= 0 && frames[frame].kind <= FRAME_ROM;
}

static void drop_state(struct model_line *line, enum byte_state state)
{
    for (size_t i = 0; i < PAGE; i++) {
        if (line->state[i] == state)
            line->state[i] = MISSING;
    }
}

/* A line is used: it must be of the page that is mapped now. */
static struct model_line *settle(struct model_session *s, int v)
{
    struct model_line *line = &s->line[v];
    int frame = map[s->cpu][v];

    if (!cacheable(frame) || line->frame != frame)
        drop_state(line, CLEAN);
    if (cacheable(frame))
        line->frame = frame;
    return line;
}

enum who { BY_VIEW, BY_UNCACHED, BY_PHYSICAL };

static void changed(struct model_session *s, enum who who, int v, int frame, size_t offset)
{
    for (int t = 0; t < MANY_SESSIONS; t++) {
        bool own = &model[t] == s;
        for (int w = 0; w < V_PAGES; w++) {
            struct model_line *line = &model[t].line[w];
            if (line->frame != frame || line->state[offset] != CLEAN)
                continue;
            if (own && (who == BY_UNCACHED || (who == BY_VIEW && w == v)))
                continue;
            line->state[offset] = MISSING;
        }
    }
}

/* A device may do anything to memory when it is written. */
static void device_written(struct model_session *s, enum who who, int frame)
{
    if (frames[frame].kind != FRAME_DEVICE)
        return;
    for (int t = 0; t < MANY_SESSIONS; t++) {
        for (int v = 0; v < V_PAGES && (&model[t] != s || who != BY_UNCACHED); v++)
            drop_state(&model[t].line[v], CLEAN);
    }
}

static struct loss flush(struct model_session *s)
{
    struct loss loss = {0, 0};
    static bool was_dirty[V_PAGES][PAGE];

    memset(was_dirty, 0, sizeof(was_dirty));
    for (int v = 0; v < V_PAGES; v++) {
        struct model_line *line = &s->line[v];
        bool any = count_state(line, DIRTY) > 0;
        for (size_t i = 0; i < PAGE && any; i++) {
            was_dirty[v][i] = line->state[i] == DIRTY;
            if (was_dirty[v][i])
                line->state[i] = CLEAN;
        }
        if (any)
            settle(s, v);
    }
    for (int v = 0; v < V_PAGES; v++) {
        int frame = map[s->cpu][v];
        bool written = false;
        for (size_t i = 0; i < PAGE; i++) {
            if (!was_dirty[v][i])
                continue;
            if (frame < 0) {
                s->line[v].state[i] = MISSING;
                if (!loss.count++)
                    loss.first = V_FIRST + (uint64_t)v * PAGE + i;
                continue;
            }
            memory[frame][i] = s->line[v].value[i];
            changed(s, BY_VIEW, v, frame, i);
            written = true;
        }
        if (written)
            device_written(s, BY_VIEW, frame);
    }
    return loss;
}

static bool any_dirty(const struct model_session *s)
{
    for (int v = 0; v < V_PAGES; v++) {
        if (count_state(&s->line[v], DIRTY))
            return true;
    }
    return false;
}

/* What is left of a range of which so much is done, but no more than most. */
static size_t least(size_t most, size_t size, size_t done)
{
    return most < size - done ? most : size - done;
}

/* A range, page by page. */
#define EACH_PAGE(v, first, length, done, offset, size)                                            \
    for (size_t done = 0, v = (size_t)((offset) / PAGE), first = (size_t)((offset) % PAGE),        \
                length = 0;                                                                        \
         done < (size) && ((length = least(PAGE - first, size, done)), true);                      \
         done += length, v++, first = 0)

/* A write through the view to a hole: what was not acknowledged is not kept either. */
static void refused_by_hole(struct model_session *s, int v, size_t first, size_t length)
{
    for (size_t i = first; i < first + length; i++) {
        if (s->line[v].state[i] == CLEAN)
            s->line[v].state[i] = MISSING;
    }
}

/* Returns the count; the bytes in expected. */
static size_t model_read(struct model_session *s, uint64_t offset, size_t size, bool cached)
{
    EACH_PAGE(v, first, length, done, offset, size)
    {
        int frame = v < V_PAGES ? map[s->cpu][v] : UNMAPPED_V;
        struct model_line *line = v < V_PAGES && cached ? settle(s, (int)v) : NULL;
        bool fill = false;
        for (size_t i = first; i < first + length; i++)
            fill |= line && cacheable(frame) && line->state[i] == MISSING;
        for (size_t i = 0; i < PAGE && fill; i++) {
            if (line->state[i] == MISSING) {
                line->state[i] = CLEAN;
                line->value[i] = memory[frame][i];
            }
        }
        for (size_t i = first; i < first + length; i++) {
            if (line && line->state[i] != MISSING)
                expected[done + i - first] = line->value[i];
            else if (frame >= 0)
                expected[done + i - first] = memory[frame][i];
            else
                return done + i - first;
        }
    }
    return size;
}

/* Pages of memory that follow one another are written together, a device on its own. */
static bool together(const struct model_session *s, size_t v)
{
    int frame = v < V_PAGES ? map[s->cpu][v] : UNMAPPED_V;
    return frame >= 0 && frames[frame].kind != FRAME_DEVICE;
}

/* The view follows what was written to these pages, and lines of the same memory drop it. */
static void model_follow(struct model_session *s, uint64_t offset, size_t size, const uint8_t *from)
{
    EACH_PAGE(v, first, length, done, offset, size)
    {
        struct model_line *line = &s->line[v];
        for (size_t i = first; i < first + length; i++) {
            line->state[i] = cacheable(map[s->cpu][v]) ? CLEAN : MISSING;
            line->value[i] = from[done + i - first];
        }
    }
    EACH_PAGE(v, first, length, done, offset, size)
    {
        for (size_t i = first; i < first + length; i++)
            changed(s, BY_VIEW, (int)v, map[s->cpu][v], i);
    }
}

static size_t model_write_past(struct model_session *s, uint64_t offset, size_t size, enum who who)
{
    size_t written = size, followed = 0;

    EACH_PAGE(v, first, length, done, offset, size)
    {
        int frame = v < V_PAGES ? map[s->cpu][v] : UNMAPPED_V;
        if (frame < 0) {
            if (who == BY_VIEW && frame == HOLE_V)
                refused_by_hole(s, (int)v, first, length);
            written = done;
            break;
        }
        if (who == BY_VIEW && together(s, v))
            settle(s, (int)v);
        for (size_t i = first; i < first + length; i++) {
            memory[frame][i] = bytes[done + i - first];
            if (who == BY_UNCACHED)
                changed(s, who, (int)v, frame, i);
        }
        device_written(s, who, frame);
        if (who == BY_VIEW && (!together(s, v) || !together(s, v + 1))) {
            model_follow(s, offset + followed, done + length - followed, bytes + followed);
            followed = done + length;
        }
    }
    if (who == BY_VIEW && written > followed)
        model_follow(s, offset + followed, written - followed, bytes + followed);
    return written;
}

/* *failed: a flush on the way lost bytes. */
static size_t model_write_back(struct model_session *s, uint64_t offset, size_t size, bool *failed)
{
    EACH_PAGE(v, first, length, done, offset, size)
    {
        int frame = v < V_PAGES ? map[s->cpu][v] : UNMAPPED_V;
        if (frame == UNMAPPED_V)
            return done;
        if (!cacheable(frame)) {
            bool alone = frame < 0 || frames[frame].kind == FRAME_DEVICE;
            if (alone && any_dirty(s) && flush(s).count) {
                *failed = true;
                return done;
            }
            if (frame == HOLE_V) {
                refused_by_hole(s, (int)v, first, length);
                return done;
            }
        }
        struct model_line *line = cacheable(frame) ? settle(s, (int)v) : &s->line[v];
        for (size_t i = first; i < first + length; i++) {
            line->value[i] = bytes[done + i - first];
            if (cacheable(frame)) {
                line->state[i] = DIRTY;
                continue;
            }
            memory[frame][i] = bytes[done + i - first];
            changed(s, BY_VIEW, (int)v, frame, i);
            line->state[i] = MISSING;
        }
        if (!cacheable(frame))
            device_written(s, BY_VIEW, frame);
    }
    return size;
}

/* --- both --- */

static unsigned pick(unsigned below)
{
    return (unsigned)rand() % below;
}

static void assert_agree(int turn)
{
    for (int t = 0; t < MANY_SESSIONS; t++) {
        struct session_cache_status status;
        uint64_t valid = 0, dirty = 0;
        for (int v = 0; v < V_PAGES; v++) {
            dirty += count_state(&model[t].line[v], DIRTY);
            valid += PAGE - count_state(&model[t].line[v], MISSING);
        }
        session_get_cache_status(model[t].session, &status);
        /* An assertion that holds costs a system call: not here. */
        if (status.dirty_bytes != dirty || status.valid_bytes != valid)
            ck_abort_msg(
                "turn %d: session %d has %llu valid and %llu dirty bytes, not %llu and %llu", turn,
                t, (unsigned long long)status.valid_bytes, (unsigned long long)status.dirty_bytes,
                (unsigned long long)valid, (unsigned long long)dirty);
    }
    for (int f = 0; f < FRAMES; f++) {
        if (memcmp(memory[f], fake_byte(&machine.fake, frames[f].physical), PAGE))
            ck_abort_msg("turn %d: frame %d differs", turn, f);
    }
}

static void assert_answer(int turn, HRESULT hr, uint32_t done, size_t count, size_t size,
                          bool failed, HRESULT fault)
{
    HRESULT wanted = failed ? E_FAIL : count || !size ? S_OK : fault;
    ck_assert_msg(hr == wanted && done == count, "turn %d: 0x%08x with %u, not 0x%08x with %zu",
                  turn, (unsigned)hr, done, (unsigned)wanted, count);
}

static void set_map(unsigned cpu, int v, int frame)
{
    uint64_t page = V_FIRST + (uint64_t)v * PAGE;
    map[cpu][v] = frame;
    if (frame == UNMAPPED_V)
        fake_unmap(&machine.fake, cpu, page);
    else
        fake_map(&machine.fake, cpu, page, frame == HOLE_V ? NOWHERE : frames[frame].physical);
}

static void remap(void)
{
    unsigned choice = pick(20);
    int frame = choice == 0 ? UNMAPPED_V : choice == 1 ? HOLE_V : (int)pick((unsigned)FRAMES);
    set_map(pick(CPUS), (int)pick(V_PAGES), frame);
}

static void do_read(int turn, struct model_session *s, uint64_t offset, size_t size, bool cached)
{
    uint32_t done = 0;
    bool view = cached && s->policy != CACHE_OFF;
    size_t count = model_read(s, offset, size, view);
    HRESULT hr = (cached ? session_read_virtual : session_read_virtual_uncached)(
        s->session, V_FIRST + offset, back, (uint32_t)size, &done);

    assert_answer(turn, hr, done, count, size, false, SB_ERROR_READ_FAULT);
    ck_assert_msg(!memcmp(back, expected, count), "turn %d: other bytes were read", turn);
}

static void do_write(int turn, struct model_session *s, uint64_t offset, size_t size, bool cached)
{
    uint32_t done = 0;
    bool failed = false;
    size_t count;

    if (!cached || s->policy == CACHE_OFF)
        count = model_write_past(s, offset, size, BY_UNCACHED);
    else if (s->policy == CACHE_WRITE_THROUGH)
        count = model_write_past(s, offset, size, BY_VIEW);
    else
        count = model_write_back(s, offset, size, &failed);
    HRESULT hr = (cached ? session_write_virtual : session_write_virtual_uncached)(
        s->session, V_FIRST + offset, bytes, (uint32_t)size, &done);
    if (failed) {
        /* Of what this call had put in the view some may be among the lost. */
        assert_hr(hr, E_FAIL);
        ck_assert_uint_le(done, count);
        return;
    }
    assert_answer(turn, hr, done, count, size, false, SB_ERROR_WRITE_FAULT);
}

static void do_physical(int turn, struct model_session *s, size_t size)
{
    int frame = (int)pick((unsigned)FRAMES);
    size_t offset = pick(PAGE), most = PAGE - offset < size ? PAGE - offset : size;
    uint64_t physical = frames[frame].physical + offset;
    uint32_t done = 0;

    if (pick(2)) {
        assert_hr(session_read_physical(s->session, "ReadPhysical", physical, 0, back,
                                        (uint32_t)most, &done),
                  S_OK);
        ck_assert_uint_eq(done, most);
        ck_assert_mem_eq(back, memory[frame] + offset, most);
        return;
    }
    HRESULT hr = session_write_physical(s->session, "WritePhysical", physical, 0, bytes,
                                        (uint32_t)most, &done);
    if (!most) {
        assert_hr(hr, S_OK);
    } else if (frames[frame].kind == FRAME_ROM) {
        assert_answer(turn, hr, done, 0, most, false, SB_ERROR_WRITE_FAULT);
    } else if (flush(s).count) {
        assert_answer(turn, hr, done, 0, most, true, 0);
    } else {
        assert_answer(turn, hr, done, most, most, false, 0);
        for (size_t i = 0; i < most; i++) {
            memory[frame][offset + i] = bytes[i];
            changed(s, BY_PHYSICAL, -1, frame, offset + i);
        }
        device_written(s, BY_PHYSICAL, frame);
    }
}

static void clear(struct model_session *s)
{
    for (int v = 0; v < V_PAGES; v++) {
        drop_state(&s->line[v], CLEAN);
        drop_state(&s->line[v], DIRTY);
    }
}

static void do_flush(int turn, struct model_session *s)
{
    char text[64];
    struct loss loss = flush(s);
    HRESULT hr = session_flush(s->session, NULL);

    ck_assert_msg(hr == (loss.count ? E_FAIL : S_OK), "turn %d: flush", turn);
    if (loss.count) {
        snprintf(text, sizeof(text), "%llu dirty byte%s lost, the first at 0x%llx",
                 (unsigned long long)loss.count, loss.count == 1 ? "" : "s",
                 (unsigned long long)loss.first);
        assert_says(s->session, text);
    }
}

static void do_resume(int turn, struct model_session *s)
{
    uint64_t lost = 0;
    for (int t = 0; t < MANY_SESSIONS; t++)
        lost += flush(&model[t]).count;
    HRESULT hr = session_set_execution_status(s->session, DEBUG_STATUS_GO);
    ck_assert_msg(hr == (lost ? E_FAIL : S_OK), "turn %d: resume", turn);
    if (lost)
        return;
    for (int t = 0; t < MANY_SESSIONS; t++) {
        for (int v = 0; v < V_PAGES; v++)
            drop_state(&model[t].line[v], CLEAN);
    }
    assert_hr(session_interrupt(s->session), S_OK);
}

static void do_settings(int turn, struct model_session *s)
{
    uint64_t dropped = 0, count = 0;
    struct loss loss;

    switch (pick(5)) {
    case 0:
        for (int v = 0; v < V_PAGES; v++) {
            count += count_state(&s->line[v], DIRTY);
            drop_state(&s->line[v], DIRTY);
        }
        assert_hr(session_discard(s->session, &dropped), S_OK);
        ck_assert_uint_eq(dropped, count);
        break;
    case 1:
        for (int v = 0; v < V_PAGES; v++)
            drop_state(&s->line[v], CLEAN);
        assert_hr(session_invalidate(s->session), S_OK);
        break;
    case 2: {
        enum cache_policy policy = (enum cache_policy)pick(3);
        loss.count = 0;
        if (policy != CACHE_WRITE_BACK)
            loss = flush(s);
        assert_hr(session_set_cache_policy(s->session, policy), loss.count ? E_FAIL : S_OK);
        if (!loss.count) {
            if (policy == CACHE_OFF)
                clear(s);
            s->policy = policy;
        }
        break;
    }
    case 3: {
        unsigned cpu = pick(CPUS);
        loss.count = 0;
        if (cpu != s->cpu)
            loss = flush(s);
        assert_hr(session_set_current_processor(s->session, cpu), loss.count ? E_FAIL : S_OK);
        if (!loss.count && cpu != s->cpu) {
            clear(s);
            s->cpu = cpu;
        }
        break;
    }
    default:
        do_resume(turn, s);
    }
}

static size_t pick_size(void)
{
    switch (pick(8)) {
    case 0:
        return pick(MOST + 1);
    case 1:
        return PAGE;
    case 2:
        return 0;
    default:
        return 1 + pick(40);
    }
}

/* Often next to a page boundary. */
static uint64_t pick_offset(void)
{
    uint64_t page = (uint64_t)pick(V_PAGES) * PAGE;
    return pick(2) ? page + pick(PAGE) : page + PAGE - 1 - pick(16);
}

static unsigned setting(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    return text ? (unsigned)strtoul(text, NULL, 0) : otherwise;
}

static void start(size_t cache_size)
{
    machine_start(&machine, CACHE_WRITE_BACK, cache_size);
    struct session *session[] = {machine.a, machine.b, machine.c};
    memset(model, 0, sizeof(model));
    for (int t = 0; t < MANY_SESSIONS; t++) {
        model[t].session = session[t];
        model[t].policy = CACHE_WRITE_BACK;
        for (int v = 0; v < V_PAGES; v++)
            model[t].line[v].frame = UNMAPPED_V;
    }
    memset(memory, 0, sizeof(memory));
    for (unsigned cpu = 0; cpu < CPUS; cpu++) {
        for (int v = 0; v < V_PAGES; v++)
            set_map(cpu, v, (int)pick((unsigned)FRAMES));
        set_map(cpu, 5, UNMAPPED_V);
    }
}

START_TEST(test_sessions_agree_with_the_model)
{
    unsigned seed = setting("SPACE_MODEL_SEED", 1) + (unsigned)_i;
    int turns = (int)setting("SPACE_MODEL_TURNS", 600);

    srand(seed);
    start(0);
    machine.fake.epoch_on_write = _i % 2;
    for (int turn = 0; turn < turns; turn++) {
        struct model_session *s = &model[pick(MANY_SESSIONS)];
        size_t size = pick_size();
        uint64_t offset = pick_offset();
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)rand();
        switch (pick(16)) {
        case 0:
            remap();
            break;
        case 1:
            do_flush(turn, s);
            break;
        case 2:
            do_settings(turn, s);
            break;
        case 3:
            do_physical(turn, s, size);
            break;
        case 4:
            do_read(turn, s, offset, size, false);
            break;
        case 5:
            do_write(turn, s, offset, size, false);
            break;
        case 6:
        case 7:
        case 8:
        case 9:
        case 10:
            do_read(turn, s, offset, size, true);
            break;
        default:
            do_write(turn, s, offset, size, true);
        }
        assert_agree(turn);
    }
    machine_stop(&machine);
}
END_TEST

/* A view of two lines: what is evicted when is nobody's business, the bytes are. */
START_TEST(test_a_tiny_view_loses_nothing)
{
    static uint8_t flat[V_PAGES * PAGE];
    int turns = (int)setting("SPACE_MODEL_TURNS", 600);

    srand(setting("SPACE_MODEL_SEED", 1) + (unsigned)_i);
    start(2 * PAGE);
    memset(flat, 0, sizeof(flat));
    for (int v = 0; v < V_PAGES; v++)
        fake_map(&machine.fake, 0, V_FIRST + (uint64_t)v * PAGE,
                 RAM_BASE + (uint64_t)(v * 3 + 1) * PAGE);
    for (int turn = 0; turn < turns; turn++) {
        size_t size = pick_size();
        uint64_t offset = pick_offset();
        uint32_t done = 0;
        if (size > sizeof(flat) - offset)
            size = sizeof(flat) - (size_t)offset;
        if (pick(2)) {
            for (size_t i = 0; i < size; i++)
                flat[offset + i] = bytes[i] = (uint8_t)rand();
            assert_hr(
                session_write_virtual(machine.a, V_FIRST + offset, bytes, (uint32_t)size, &done),
                S_OK);
        } else {
            assert_hr(
                session_read_virtual(machine.a, V_FIRST + offset, back, (uint32_t)size, &done),
                S_OK);
            ck_assert_msg(!memcmp(back, flat + offset, size), "turn %d", turn);
        }
        ck_assert_uint_eq(done, size);
        ck_assert_uint_le(machine_status(machine.a).used, 2 * PAGE);
    }
    assert_hr(session_flush(machine.a, NULL), S_OK);
    for (int v = 0; v < V_PAGES; v++)
        ck_assert_mem_eq(fake_byte(&machine.fake, RAM_BASE + (uint64_t)(v * 3 + 1) * PAGE),
                         flat + v * PAGE, PAGE);
    machine_stop(&machine);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("space model");
    TCase *tests = tcase_create("space model");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, test_sessions_agree_with_the_model, 0, 4);
    tcase_add_loop_test(tests, test_a_tiny_view_loses_nothing, 0, 2);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
