/* x86-64 without paging, and its page tables in long mode, walked as QEMU's debugger access walks
 * them (permissions, accessed and dirty bits play no part). Pure: no input, no output. Source:
 * Intel SDM volume 3, "4-level paging and 5-level paging". */
#ifndef SB_UPSTREAM_TRANSLATE_PAGE_WALK_H
#define SB_UPSTREAM_TRANSLATE_PAGE_WALK_H

#include <stdbool.h>
#include <stdint.h>

#define PAGE_WALK_TABLE_SIZE 4096u
#define PAGE_WALK_ENTRIES    512u

/* How a processor stands. */
struct page_walk_mode {
    bool smm;        /* it sees the memory of system management */
    bool known;      /* no paging, or paging with the tables of long mode, nothing odd */
    unsigned levels; /* 4 or 5; 0: no paging, addresses are physical */
    uint64_t root;
};

/* From what the monitor's `info registers` prints. False: it says nothing of system management. */
bool page_walk_parse(struct page_walk_mode *mode, const char *text);

/* The PAGE_WALK_TABLE_SIZE bytes of the table at that physical address, NULL: not at hand. */
typedef const uint8_t *page_walk_table(void *context, uint64_t table);

enum page_walk_result {
    PAGE_WALK_MAPPED,   /* *physical is the page's */
    PAGE_WALK_UNMAPPED, /* there is no page */
    PAGE_WALK_NEEDS,    /* the table at *physical is needed first */
};
enum page_walk_result page_walk(const struct page_walk_mode *mode, uint64_t page,
                                page_walk_table *table, void *context, uint64_t *physical);

/* An entry of a table of that level (1: of pages of 4 KiB). */
struct page_walk_entry {
    bool leaf;         /* it is a page, of size bytes; else the next table */
    uint64_t physical; /* where that lies */
    uint64_t size;
};
/* False: nothing is there. */
bool page_walk_entry(struct page_walk_entry *entry, const uint8_t *table, unsigned index,
                     unsigned level);
/* The first virtual address of that entry, of a table whose own first address is base. */
uint64_t page_walk_page(uint64_t base, unsigned index, unsigned level, unsigned levels);

#endif
