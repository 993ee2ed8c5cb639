/*
 * The ring buffers, one a CPU, as one source of events.
 *
 * What was put into a ring while no collector ran is still there: the reader's position is in the ring itself.
 */
#ifndef PS_RINGS_H
#define PS_RINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

struct ps_rings;

/* Where an event stands. The ring moves on behind it only when ps_rings_fn has returned. */
struct ps_ring_place {
	unsigned ring; /* index in the fds of ps_rings_new */
	uint64_t position;
};

/* One event as it stands in the ring; valid during the call. */
typedef void (*ps_rings_fn)(void *arg, const struct ps_ring_place *place, const void *event, size_t size);

/* fds: ring-buffer maps of `bytes` each; they must outlive the object. */
int ps_rings_new(const int *fds, size_t n, size_t bytes, ps_rings_fn fn, void *arg, struct ps_rings **ret_rings,
	struct ps_error *err);
void ps_rings_free(struct ps_rings **rings);

/* Readable while a ring holds something. */
int ps_rings_fd(const struct ps_rings *rings);

/*
 * Takes what is there, at most `budget` events from each ring, so that a flood cannot hold the caller. Returns how
 * many. *ret_busy: a ring was so full (a quarter) that the caller had better come back at once.
 */
size_t ps_rings_drain(struct ps_rings *rings, size_t budget, bool *ret_busy);

#endif
