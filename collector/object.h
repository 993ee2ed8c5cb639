/*
 * The BPF object of the kernel part: opened from the program itself, given its constants, loaded.
 */
#ifndef PS_OBJECT_H
#define PS_OBJECT_H

#include <stdbool.h>

#include "bpf/abi.h"
#include "collector/maps.h"
#include "common/base/buf.h"
#include "common/base/error.h"

struct ps_object;

/* `trace`: the variant that writes matches to the kernel's trace pipe. */
int ps_object_open(bool trace, struct ps_object **ret_obj, struct ps_error *err);

/*
 * Prepares the maps (ps_maps_prepare), loads the programs and commits the maps. `pins` NULL is for replay: maps of its
 * own, and the programs take the time from ps_runtime.replay_now. On failure `log` (may be NULL) gets the
 * last lines that libbpf and the verifier said, one a line.
 */
int ps_object_load(struct ps_object *obj, const struct ps_pins *pins, uint32_t max_connections,
	struct ps_maps **ret_maps, struct ps_buf *log, struct ps_error *err);
void ps_object_free(struct ps_object **obj);

/* Descriptors that outlive the object: the caller closes them. Valid after load. */
int ps_object_xdp(const struct ps_object *obj);
int ps_object_tc(const struct ps_object *obj);

/* Can the kernel load an XDP program for frames longer than their head (5.18)? */
bool ps_object_has_frags(void);

#endif
