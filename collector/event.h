/*
 * An event from a ring, checked against bpf/abi.h before anyone believes a byte of it. Pure.
 */
#ifndef PS_EVENT_H
#define PS_EVENT_H

#include <stddef.h>

#include "bpf/abi.h"

/* One event, complete: what the kernel left out (TCP analysis) is zero. */
struct ps_event {
	enum ps_event_type type;
	union {
		struct ps_event_head head;
		struct ps_event_conn conn; /* PS_EV_CONN_* */
		struct ps_event_icmp icmp;
		struct ps_event_drop drop;
	};
};

/*
 * Reads `size` bytes. A size that is not the type's, or a head that says another one, a type, protocol, state, reason,
 * rule, mode or count out of its range: -EBADMSG. The bytes may be aligned in any way and longer than the event by the
 * ring's padding to eight.
 */
int ps_event_read(const void *data, size_t size, struct ps_event *ret_event);

#endif
