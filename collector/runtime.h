/*
 * What the kernel part needs from user space while it runs: the offset of its cheap clock, which stands still in
 * suspend, and the report interval (struct ps_runtime); and how many events its rings had no room for.
 */
#ifndef PS_RUNTIME_H
#define PS_RUNTIME_H

#include <stdint.h>

#include "bpf/abi.h"
#include "collector/maps.h"
#include "common/base/error.h"

struct ps_runtime_link;

/* Maps ps_runtime and writes the offset and the interval (ns). */
int ps_runtime_open(
	const struct ps_maps *maps, uint64_t report_interval, struct ps_runtime_link **ret_link, struct ps_error *err);
void ps_runtime_close(struct ps_runtime_link **link);

/* Readable when the wall clock was set or the host came back from suspend: call ps_runtime_clock_set then. */
int ps_runtime_fd(const struct ps_runtime_link *link);
/* Clears the descriptor and refreshes. */
void ps_runtime_clock_set(struct ps_runtime_link *link);

/* Reads the clocks and writes the offset if it has changed. */
void ps_runtime_refresh(struct ps_runtime_link *link);

/* From now on the programs look in ps_ifaces for interfaces without a link header. -errno. */
int ps_runtime_note_l3(const struct ps_maps *maps);

/* lost_* of ps_stats by event type, summed over CPUs. -errno. */
int ps_runtime_lost(const struct ps_maps *maps, uint64_t ret_lost[static PS_EV_TYPES]);

#endif
