/*
 * The smallest network that holds a number of addresses of one family. Zeroed memory holds none. Pure; internal to
 * common/detect/.
 */
#ifndef PS_DETECT_RANGE_H
#define PS_DETECT_RANGE_H

#include "common/detect/finding.h"

struct ps_range {
	struct ps_addr low, high;
};

void ps_range_add(struct ps_range *r, const struct ps_addr *addr);
/* One address with the port, or a network. */
struct ps_finding_target ps_range_target(const struct ps_range *r, uint16_t port);
/* One address with the port. */
struct ps_finding_target ps_target_of(const struct ps_addr *addr, uint16_t port);

#endif
