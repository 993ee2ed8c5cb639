/*
 * What a record of a connection tells that its earlier records did not. Records repeat themselves: each holds the whole
 * connection so far. Pure; internal to common/detect/.
 */
#ifndef PS_DETECT_SIGHT_H
#define PS_DETECT_SIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/detect/detect.h"
#include "common/detect/tracks.h"

/* Each of the three is true once in a connection's life. */
struct ps_sight {
	const struct ps_conn *conn;
	uint64_t now;
	bool begun;                      /* it is heard of for the first time, and it is new */
	bool answered;                   /* TCP: the originator completed the handshake; UDP: the responder has sent */
	bool closed;                     /* TCP: by both sides or by a reset; anything else: it ended */
	uint64_t orig_bytes, resp_bytes; /* since the record before */
};

struct ps_sights;

/* -ENOMEM */
int ps_sights_new(struct ps_sights **ret_sights);
void ps_sights_free(struct ps_sights **sights);

/* false: nothing new. */
bool ps_sights_see(struct ps_sights *s, enum ps_detect_event event, const struct ps_conn *conn, uint64_t now,
	struct ps_sight *ret_sight);

/* Forgets connections that have been silent for long: of one that speaks again only what follows is told. */
void ps_sights_tick(struct ps_sights *s, uint64_t now);

/* Rows and bytes, into their own sum. */
void ps_sights_usage(const struct ps_sights *s, struct ps_tracks_usage *sum);

#endif
