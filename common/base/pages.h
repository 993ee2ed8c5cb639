/*
 * Memory for large tables: zeroed, on huge pages where the kernel has them (madvise(2), MADV_HUGEPAGE), so that first
 * touching it costs one page fault in 2 MB instead of 512, and a look-up in it rarely a miss of the TLB.
 */
#ifndef PS_PAGES_H
#define PS_PAGES_H

#include <stddef.h>

#define PS_PAGES_HUGE ((size_t)2 << 20)

/* So many bytes, a multiple of PS_PAGES_HUGE, aligned to it. NULL if there is no memory. */
void *ps_pages_new(size_t bytes);
/* The same number of bytes. NULL is nothing. */
void ps_pages_free(void *at, size_t bytes);

#endif
