/*
 * The maps pinned under <pin-root>/maps/v<ABI>/, opened by libbpf and mapped into memory. Needs no capability, only
 * permission on the pins (kernel 5.19 or newer; before that, CAP_BPF where unprivileged bpf(2) is off).
 */
#ifndef PS_AGG_KERNEL_MAPS_H
#define PS_AGG_KERNEL_MAPS_H

#include "aggregator/kernel.h"

struct ps_kernel_maps;

/* -ENAMETOOLONG, -ENOMEM. Opens nothing yet. */
int ps_kernel_maps_new(const char *pin_root, struct ps_kernel_maps **ret_maps);
/* Who keeps maps that are pinned nowhere. */
struct ps_kernel_owner {
	int (*fd)(void *arg, const char *name); /* the descriptor of a map (the owner's, copied here), or -1 */
	void (*room)(void *arg);                /* makes what ps_runtime says is wanted of rule chunks */
	void *arg;
};

/* The same over such maps. */
int ps_kernel_maps_new_own(const struct ps_kernel_owner *owner, struct ps_kernel_maps **ret_maps);
/* The collector keeps the pinned maps: `call` makes it look at what ps_runtime says is wanted, sooner than it would. */
void ps_kernel_maps_on_room(struct ps_kernel_maps *maps, void (*call)(void *arg), void *arg);
void ps_kernel_maps_free(struct ps_kernel_maps **maps);

/* The function table over these maps. */
struct ps_kernel ps_kernel_maps_ops(struct ps_kernel_maps *maps);

#endif
