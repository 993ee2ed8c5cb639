/*
 * Which side of a capture is the host: addresses and networks from --local. Pure.
 */
#ifndef PS_REPLAY_LOCAL_H
#define PS_REPLAY_LOCAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/model/addr.h"
#include "replay/limits.h"

struct ps_local {
	size_t n; /* 0: nothing is known of the host */
	struct {
		struct ps_addr addr;
		uint8_t prefix;
	} net[PS_REPLAY_LOCAL_MAX];
};

/*
 * Reads "192.0.2.7,10.0.0.0/8,2001:db8::/32"; "" is none. Bits behind the prefix don't matter. -EINVAL fills err (field
 * "local").
 */
int ps_local_parse(const char *list, struct ps_local *ret_local, struct ps_error *err);

/* Is the source of this Ethernet frame in one of the networks? Up to PS_VLAN_TAGS tags; no IP: false. */
bool ps_local_sent(const struct ps_local *local, const uint8_t *frame, size_t len);

#endif
