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
/*
 * The same over maps that are pinned nowhere: fd gives the descriptor of a map by its name (its owner's, copied here),
 * or -1.
 */
int ps_kernel_maps_new_own(int (*fd)(void *arg, const char *name), void *arg, struct ps_kernel_maps **ret_maps);
void ps_kernel_maps_free(struct ps_kernel_maps **maps);

/* The function table over these maps. */
struct ps_kernel ps_kernel_maps_ops(struct ps_kernel_maps *maps);

#endif
