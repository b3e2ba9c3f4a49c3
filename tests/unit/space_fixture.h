/* A small machine on the fake target, with one space and sessions on it, for the tests of
 * src/space. */
#ifndef SB_TESTS_SPACE_FIXTURE_H
#define SB_TESTS_SPACE_FIXTURE_H

#include "fake_target.h"
#include "space/session.h"

#define PAGE 4096u

/* Physical. */
#define RAM_BASE   UINT64_C(0x0)        /* 1 MiB */
#define MIXED_BASE UINT64_C(0x200000)   /* half a page of RAM, half a page of device */
#define ROM_BASE   UINT64_C(0xf00000)   /* two pages */
#define EDGE_BASE  UINT64_C(0xf02000)   /* a page of RAM right behind the ROM */
#define VRAM_BASE  UINT64_C(0xd0000000) /* 64 KiB of RAM in a prefetchable BAR */
#define BAR_BASE   UINT64_C(0xe0000000) /* a page of registers in a BAR */
#define HPET_BASE  UINT64_C(0xfed00000) /* 0x400 bytes of registers */
#define LAPIC_BASE UINT64_C(0xfee00000) /* a page that cannot be reached */
#define NOWHERE    UINT64_C(0x50000000) /* a hole */

/* Virtual, as processor 0 sees it. */
#define BASE     UINT64_C(0xffff800000000000) /* pages 0 to 7: RAM at RAM_AT */
#define RAM_AT   UINT64_C(0x10000)
#define UNMAPPED (BASE + 8 * PAGE)  /* between two mapped pages */
#define AFTER    (BASE + 9 * PAGE)  /* pages 9 to 15: RAM again */
#define ALIAS    (BASE + 32 * PAGE) /* the same physical page as BASE */
#define V_ROM    (BASE + 40 * PAGE)
#define V_HPET   (BASE + 41 * PAGE)
#define V_VRAM   (BASE + 42 * PAGE)
#define V_MIXED  (BASE + 43 * PAGE)
#define V_LAPIC  (BASE + 44 * PAGE)
#define V_HOLE   (BASE + 45 * PAGE)
#define V_BAR    (BASE + 46 * PAGE)
#define V_TOP    UINT64_C(0xfffffffffffff000) /* the last page: RAM */
#define TOP_AT   UINT64_C(0x20000)

#define MANY_SESSIONS 3

struct heard {
    unsigned flush_failed, state_changed;
    HRESULT hr;
    char message[512];
    enum space_state state;
};

struct machine {
    struct fake_target fake;
    struct space *space;
    struct session *a, *b, *c;
    struct heard heard[MANY_SESSIONS];
};

/* cache_size 0: the default one. */
void machine_start(struct machine *machine, enum cache_policy policy, size_t cache_size);
/* Sessions that are still set are closed. */
void machine_stop(struct machine *machine);
struct session_cache_status machine_status(struct session *session);
uint64_t dirty_bytes(struct session *session);

/* Where a byte of RAM behind BASE..BASE + 16 pages lives. */
uint8_t *ram(struct machine *machine, uint64_t address);

#define assert_hr(expression, expected)                                                            \
    do {                                                                                           \
        HRESULT assert_hr_ = (expression);                                                         \
        ck_assert_msg(assert_hr_ == (expected), "%s is 0x%08x, not %s", #expression,               \
                      (unsigned)assert_hr_, #expected);                                            \
    } while (0)
#define assert_says(session, part)                                                                 \
    ck_assert_msg(strstr(session_message(session), part) != NULL, "\"%s\" lacks \"%s\"",           \
                  session_message(session), part)

#endif
