/*
 * Names of interfaces by index, remembered: a name is asked for with every record, and changes hardly ever.
 */
#ifndef PS_AGG_IFACE_NAMES_H
#define PS_AGG_IFACE_NAMES_H

#include <stdint.h>

#include "aggregator/kernel.h"
#include "bpf/limits.h"

struct ps_iface_names {
	const struct ps_kernel *kernel; /* NULL: no maps to ask */
	uint32_t n;
	struct {
		uint32_t ifindex;
		char name[PS_NAME_SIZE];
	} known[PS_IFACES_MAX];
};

/* Fits ps_record_env.iface_name; arg is the struct above. "if7" when nobody knows. */
const char *ps_iface_names_get(void *arg, uint32_t ifindex, char out[static PS_NAME_SIZE]);

/* Asks anew from now on. */
void ps_iface_names_forget(struct ps_iface_names *names);

#endif
