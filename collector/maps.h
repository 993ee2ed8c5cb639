/*
 * The pinned maps: made once, found again by every later start, so that counters, connections and rules outlive the
 * programs.
 *
 * Every map of the object is pinned under its own name, and each ring as ring-N. ps_meta is pinned last: a directory
 * without it was left by a start that died on the way, and is begun anew.
 */
#ifndef PS_MAPS_H
#define PS_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/abi.h"
#include "collector/pins.h"
#include "common/base/error.h"

struct bpf_object;

struct ps_maps;
struct ps_takeover;

/*
 * Before the object is loaded: takes the maps that are pinned, those of an older version that have the same layout (see
 * takeover.h), or sets the sizes of new ones for `max_connections` of
 * any kind (buckets = that / PS_TABLE_LOAD_PERCENT / PS_BUCKET_SLOTS, rounded up; one ring for each CPU that is
 * online). -EINVAL: a pin has another layout than the object ("bad_pin"); -EEXIST: a newer version is at work
 * ("newer_pins"). The object must outlive ps_maps_commit.
 *
 * `pins` NULL: the maps are the caller's own; they are pinned nowhere, begin empty, and have a fixed seed, so that the
 * same packets give the same ids.
 */
int ps_maps_prepare(const struct ps_pins *pins, struct bpf_object *obj, uint32_t max_connections,
	struct ps_maps **ret_maps, struct ps_error *err);

/* After load: makes what is missing of the rings and the first chunks for rules, fills ps_rings, pins what is new,
 * ps_meta last. */
int ps_maps_commit(struct ps_maps *maps, struct ps_error *err);
void ps_maps_free(struct ps_maps **maps); /* closes; pins stay */

/* What the maps were made with. Known after ps_maps_prepare. */
const struct ps_meta *ps_maps_meta(const struct ps_maps *maps);
bool ps_maps_reused(const struct ps_maps *maps);

/* After commit. Descriptors are the maps' own; -1 = no such map. */
int ps_maps_fd(const struct ps_maps *maps, const char *name);
const int *ps_maps_rings(const struct ps_maps *maps, size_t *ret_n);

/* The takeover from an older version, after commit (takeover.h); NULL = there is none. */
struct ps_takeover *ps_maps_takeover(const struct ps_maps *maps);
/* Our programs are attached: ends the takeover, if there is one, and removes the maps of other versions. */
void ps_maps_settle(struct ps_maps *maps);

/* Makes the chunks for rules that ps_runtime says are wanted. Looks at two words when there is nothing to do. */
void ps_maps_make_room(struct ps_maps *maps);

/* Maps the single element of a BPF_F_MMAPABLE array; `size` must be its value size. munmap by ps_maps_unmap. */
int ps_maps_mmap(const struct ps_maps *maps, const char *name, size_t size, void **ret_memory, struct ps_error *err);
void ps_maps_unmap(void **memory, size_t size);

/* Notes in the pinned ps_ifaces that no program of ours is on any interface now. No pin: nothing to note. */
void ps_maps_note_detached(const struct ps_pins *pins);

/* Sizes for a number of connections; pure. */
uint32_t ps_maps_buckets(uint32_t max_connections);
/* Bytes of each of n rings: a power of two, together within PS_RING_TOTAL unless PS_RING_MIN forbids; pure. */
uint32_t ps_maps_ring_bytes(uint32_t n);

#endif
