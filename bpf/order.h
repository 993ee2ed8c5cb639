/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * What another CPU sees in which order. x86 shows stores in the order they were made and loads likewise; arm64 doesn't,
 * and BPF before Linux 6.15 has neither a barrier nor acquire and release. Two things that it has are enough (Linux:
 * Documentation/memory-barriers.txt):
 *
 * - An atomic operation that returns a value is ordered against all before and all after it; a compare-and-exchange is
 * when it succeeds. One whose value nobody uses is compiled to an operation without BPF_FETCH, which is atomic, but has
 * no order at all.
 * - A load whose address depends on a value comes after the load of that value.
 */
#ifndef PS_BPF_ORDER_H
#define PS_BPF_ORDER_H

#include <linux/types.h>

/* Makes the value of an atomic operation a used one, and so the operation ordered. */
#define PS_ORDERED(operation) \
	do { \
		__u64 ps_was = (operation); \
		asm volatile("" : : "r"(ps_was) : "memory"); \
	} while (0)

/* The pointer "at" (an lvalue), for loads that are to come after the one that gave "seen". For the
 * verifier nothing is added. */
#define PS_AFTER(at, seen) \
	do { \
		__u64 ps_nothing = (seen); \
		asm volatile("%1 &= 0\n%0 += %1" : "+r"(at), "+r"(ps_nothing) : : "memory"); \
	} while (0)

#endif
