#include "common/base/pages.h"

#include <stdint.h>
#include <sys/mman.h>

void *ps_pages_new(size_t bytes)
{
	/* mmap aligns to small pages only: what stands over on both sides is given back. */
	size_t all = bytes + PS_PAGES_HUGE;
	char *at = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before;

	if (at == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)at & (PS_PAGES_HUGE - 1);
	if (before)
		(void)munmap(at, before);
	if (before < PS_PAGES_HUGE)
		(void)munmap(at + before + bytes, PS_PAGES_HUGE - before);
	/* a kernel without them has small ones */
	(void)madvise(at + before, bytes, MADV_HUGEPAGE);
	return at + before;
}

void ps_pages_free(void *at, size_t bytes)
{
	if (at)
		(void)munmap(at, bytes);
}
