/*
 * A bounded table of what a detector watches: keys and values of fixed size, in the order in which they were last
 * touched. When it is full, what was touched longest ago makes room. Pure; internal to common/detect/.
 */
#ifndef PS_DETECT_TRACKS_H
#define PS_DETECT_TRACKS_H

#include <stddef.h>
#include <stdint.h>

#include "common/model/addr.h"

struct ps_tracks;

/* What most detectors watch: one or two addresses, a port, a protocol. Zero it first: all bytes are compared. */
struct ps_track_key {
	struct ps_addr a, b;
	uint16_t port;
	uint8_t proto;
	uint8_t pad[5];
};

/* Told of a value that expires or makes room; not of one that is removed or freed with the table. */
typedef void (*ps_track_fn)(void *arg, const void *key, void *value, uint64_t touched);

/* key_size: a multiple of 8. drop may be NULL; it must not change this table. -ENOMEM. */
int ps_tracks_new(
	size_t key_size, size_t value_size, size_t limit, ps_track_fn drop, void *arg, struct ps_tracks **ret_tracks);
void ps_tracks_free(struct ps_tracks **tracks);

/* The value of a key, or NULL. Values are good until the table changes. */
void *ps_tracks_find(const struct ps_tracks *t, const void *key);
/* The same, touched; one that is not there is made, zeroed. NULL: no memory. */
void *ps_tracks_get(struct ps_tracks *t, const void *key, uint64_t now);
void ps_tracks_remove(struct ps_tracks *t, const void *key);
/* Drops what was touched before that time. */
void ps_tracks_expire(struct ps_tracks *t, uint64_t before);

/* Walks from what was touched last to what was touched first. *cursor: 0 at the start. NULL: the end. */
void *ps_tracks_walk(const struct ps_tracks *t, uint32_t *cursor, const void **ret_key, uint64_t *ret_touched);

struct ps_tracks_usage {
	uint64_t tracks, evicted, bytes;
};
/* Adds this table's. */
void ps_tracks_usage(const struct ps_tracks *t, struct ps_tracks_usage *sum);

#endif
