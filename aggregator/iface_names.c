#include "aggregator/iface_names.h"

#include <net/if.h>
#include <stdio.h>
#include <string.h>

const char *ps_iface_names_get(void *arg, uint32_t ifindex, char out[static PS_NAME_SIZE])
{
	struct ps_iface_names *names = arg;
	char name[PS_NAME_SIZE] = "";

	for (uint32_t i = 0; i < names->n; i++) {
		if (names->known[i].ifindex == ifindex)
			return names->known[i].name;
	}
	_Static_assert(PS_NAME_SIZE == IF_NAMESIZE, "one name");
	if ((!names->kernel || names->kernel->ops->iface(names->kernel->impl, ifindex, name) < 0) &&
		!if_indextoname(ifindex, name))
		(void)snprintf(name, sizeof(name), "if%u", ifindex);
	if (names->n < PS_IFACES_MAX) {
		names->known[names->n].ifindex = ifindex;
		memcpy(names->known[names->n].name, name, sizeof(name));
		names->n++;
	}
	memcpy(out, name, sizeof(name));
	return out;
}

void ps_iface_names_forget(struct ps_iface_names *names)
{
	names->n = 0;
}
