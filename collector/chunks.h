/*
 * Memory for rules, which grows: chunks of units (of both rule sets) and of rows, each a map of its own in
 * ps_rule_chunks and ps_rule_rows, pinned under the names of bpf/abi.h. The aggregator may not make maps; it writes to
 * ps_runtime how many it wants and calls (ps_subscriber_call on the feed); what is there is written beside that. Chunks
 * are never taken away.
 */
#ifndef PS_CHUNKS_H
#define PS_CHUNKS_H

#include "bpf/abi.h"
#include "collector/pins.h"
#include "common/base/error.h"

struct ps_chunks;

/*
 * Takes the chunks that are there and makes the first of each kind. units and rows are the outer maps, and stay the
 * caller's; runtime is the mapped ps_runtime, which is unmapped by ps_chunks_free. pins NULL: nothing is pinned, and
 * ps_chunks_fd knows the chunks.
 */
int ps_chunks_new(const struct ps_pins *pins, int units, int rows, struct ps_runtime *runtime,
	struct ps_chunks **ret_chunks, struct ps_error *err);
void ps_chunks_free(struct ps_chunks **chunks);

/* Makes what is wanted. 0; -errno, which is also in ps_runtime.room_error: what there was before is still there. */
int ps_chunks_serve(struct ps_chunks *chunks);

/* The descriptor of a chunk that was made or found, by its name; -1 = no such. */
int ps_chunks_fd(const struct ps_chunks *chunks, const char *name);

#endif
