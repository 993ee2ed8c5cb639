/*
 * What this host can do, for `packetscope doctor`: nothing is attached, nothing is left behind.
 */
#ifndef PS_HOST_H
#define PS_HOST_H

#include "collector/pins.h"
#include "common/model/value.h"

/*
 * A map; docs/collector.md describes it. `ifaces` is a list as --iface takes it; "" = all but loopback. What cannot be
 * found out (for lack of privilege, or because the kernel is too old to say) is null. NULL on no memory.
 */
struct ps_value *ps_host_probe(const struct ps_pins *pins, const char *ifaces);

#endif
