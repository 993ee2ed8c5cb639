/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Time of day is nobody's business here: both clocks count boot time, which goes on through suspend.
 *
 * Every packet takes the coarse clock, which is one load (a tick of 1 to 10 ms). Only where a round-trip
 * sample begins or ends is the precise one read, at some 40 ns. A program loaded for replay takes both from the
 * capture.
 */
#ifndef PS_BPF_CLOCK_H
#define PS_BPF_CLOCK_H

#include "bpf/maps.h"

static __always_inline __u64 ps_now(const struct ps_runtime *rt)
{
	if (ps_const.replay)
		return rt->replay_now;
	return bpf_ktime_get_coarse_ns() + rt->clock_offset;
}

/* Microseconds, wraps after 71 minutes; never 0, which says "unknown" where it is kept. */
static __always_inline __u32 ps_precise_us(const struct ps_runtime *rt)
{
	__u64 ns = ps_const.replay ? rt->replay_now : bpf_ktime_get_ns() + rt->clock_offset;

	return (__u32)(ns / 1000) ?: 1;
}

/* The unit of the "reported" stamps: 2^20 ns. 16 bits of it wrap after 68.7 s. */
static __always_inline __u16 ps_stamp(__u64 ns)
{
	return ns >> 20;
}

/*
 * Is a report due? last_seen is when the record was last touched before this packet: after a silence
 * longer than the interval one is due whatever the stamp says, so the wrap can't hide it.
 */
static __always_inline int ps_report_due(__u64 now, __u64 interval, __u64 last_seen, __u16 reported)
{
	__u64 units = interval >> 20;

	if ((__s64)(now - last_seen) >= (__s64)interval)
		return 1;
	return (__u16)(ps_stamp(now) - reported) >= (units < 0x8000 ? units : 0x8000);
}

#endif
