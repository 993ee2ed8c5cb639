#include "common/detect/sight.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/abi.h"
#include "common/base/cleanup.h"
#include "common/detect/limits.h"

#define ANSWERED 1u
#define CLOSED 2u

struct memory {
	uint64_t orig_bytes, resp_bytes;
	uint64_t did;
};

struct ps_sights {
	struct ps_tracks *conns; /* by id */
};

int ps_sights_new(struct ps_sights **ret_sights)
{
	_cleanup_(ps_sights_free) struct ps_sights *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	r = ps_tracks_new(sizeof(uint64_t), sizeof(struct memory), PS_SIGHTS_MAX, NULL, NULL, &s->conns);
	if (r < 0)
		return r;
	*ret_sights = PS_TAKE(s);
	return 0;
}

void ps_sights_free(struct ps_sights **sights)
{
	if (!*sights)
		return;
	ps_tracks_free(&(*sights)->conns);
	ps_freep(sights);
}

/* The originator's ACK or data, by the letters of its history; case is reliable from the last '^' on. */
static bool orig_acknowledged(const struct ps_conn *c)
{
	const char *flip = strrchr(c->history, '^');

	return strpbrk(flip ? flip : c->history, "AD") != NULL;
}

static uint64_t done_so_far(const struct ps_conn *c, enum ps_detect_event event)
{
	uint64_t did = event == PS_DETECT_END ? CLOSED : 0;

	if (c->proto != IPPROTO_TCP)
		return did | (c->resp_packets ? ANSWERED : 0);
	if (orig_acknowledged(c))
		did |= ANSWERED;
	if (c->state == PS_TCP_CLOSE || c->state == PS_TCP_TIME_WAIT || c->state == PS_TCP_LAST_ACK)
		did |= CLOSED;
	return did;
}

bool ps_sights_see(struct ps_sights *s, enum ps_detect_event event, const struct ps_conn *conn, uint64_t now,
	struct ps_sight *ret_sight)
{
	struct memory *known = ps_tracks_find(s->conns, &conn->id), *m;
	uint64_t did = done_so_far(conn, event), before;
	bool fresh = event == PS_DETECT_NEW || conn->first_seen + PS_SIGHT_FRESH_NS > now;
	struct ps_sight sight = {.conn = conn, .now = now, .begun = !known && fresh};

	if (!conn->id)
		return false;
	m = ps_tracks_get(s->conns, &conn->id, now);
	if (!m)
		return false;
	/* Of one that was joined late nothing is known but what happens from now on. */
	if (!known && !fresh) {
		*m = (struct memory){.orig_bytes = conn->orig_bytes, .resp_bytes = conn->resp_bytes, .did = did};
		return false;
	}
	before = m->did;
	m->did |= did;
	sight.answered = m->did & ~before & ANSWERED;
	sight.closed = m->did & ~before & CLOSED;
	if (conn->orig_bytes > m->orig_bytes) {
		sight.orig_bytes = conn->orig_bytes - m->orig_bytes;
		m->orig_bytes = conn->orig_bytes;
	}
	if (conn->resp_bytes > m->resp_bytes) {
		sight.resp_bytes = conn->resp_bytes - m->resp_bytes;
		m->resp_bytes = conn->resp_bytes;
	}
	*ret_sight = sight;
	return sight.begun || sight.answered || sight.closed || sight.orig_bytes || sight.resp_bytes;
}

void ps_sights_tick(struct ps_sights *s, uint64_t now)
{
	ps_tracks_expire(s->conns, now > PS_SIGHT_KEEP_NS ? now - PS_SIGHT_KEEP_NS : 0);
}

void ps_sights_usage(const struct ps_sights *s, struct ps_tracks_usage *sum)
{
	ps_tracks_usage(s->conns, sum);
}
