/*
 * Who gave wrong tokens of late: PS_FAILURES_ALLOWED an address and PS_FAILURES_WINDOW_NS, then none of its tokens is
 * looked at until the window is over. A fixed number of addresses is remembered; the one whose last failure is the
 * oldest goes first. Pure: `now` is boot time, ns.
 */
#ifndef PS_FAILURES_H
#define PS_FAILURES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/model/addr.h"
#include "gateway/limits.h"

struct ps_failures {
	struct ps_failure {
		struct ps_addr addr; /* family 0 = free; IPv6: the /64, which is one customer */
		uint64_t since, last;
		unsigned n;
	} entry[PS_FAILURES_MAX];
	uint64_t total; /* since the start */
};

void ps_failures_add(struct ps_failures *f, const struct ps_addr *addr, uint64_t now);
bool ps_failures_blocked(const struct ps_failures *f, const struct ps_addr *addr, uint64_t now);

#endif
