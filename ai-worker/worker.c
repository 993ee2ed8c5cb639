#include "ai-worker/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ai-worker/limits.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/codec/msgpack.h"

struct ps_worker {
	uint64_t started;
	struct ps_conn *conns; /* of the last snapshot */
	size_t n_conns;
	uint64_t snapshot_at; /* 0 = none yet */
	/* The counters come each second and are asked for once a day: they are read when they are. */
	struct ps_buf heard; /* the last message of them; empty = it has been read */
	uint64_t heard_at;
	struct ps_value *stats;
	uint64_t stats_at;
	uint64_t findings; /* heard */
};

int ps_worker_new(uint64_t started, struct ps_worker **ret_worker)
{
	struct ps_worker *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->started = started;
	*ret_worker = w;
	return 0;
}

void ps_worker_free(struct ps_worker **worker)
{
	if (!*worker)
		return;
	free((*worker)->conns);
	ps_value_free(&(*worker)->stats);
	ps_buf_free(&(*worker)->heard);
	free(*worker);
	*worker = NULL;
}

/* --- hearing ------------------------------------------------------------------------------------- */

static int hear_snapshot(struct ps_worker *w, const struct ps_message *m, uint64_t now)
{
	_cleanup_free_ struct ps_conn *conns = NULL;
	struct ps_batch_reader reader;
	size_t n = 0;
	int r;

	if (m->n > PS_BUS_RECORDS_MAX)
		return -EBADMSG;
	conns = calloc(PS_MAX(m->n, 1u), sizeof(*conns));
	if (!conns)
		return -ENOMEM;
	r = ps_batch_reader_init(
		&reader, PS_RECORD_CONN, ps_value_get(m->header, "fields"), m->payload, m->payload_len);
	while (r >= 0 && n < m->n) {
		r = ps_batch_next(&reader, &conns[n]);
		if (r <= 0)
			break;
		n++;
	}
	if (r < 0)
		return r;
	free(w->conns);
	w->conns = PS_TAKE(conns);
	w->n_conns = n;
	w->snapshot_at = now;
	return 0;
}

static int hear_stats(struct ps_worker *w, const struct ps_message *m, uint64_t now)
{
	ps_buf_reset(&w->heard);
	ps_buf_add(&w->heard, m->payload, m->payload_len);
	w->heard_at = now;
	return w->heard.error;
}

/* Reads the counters that were heard last. Of broken ones nothing is taken. */
static void read_stats(struct ps_worker *w)
{
	struct ps_value *stats = NULL;

	if (w->heard.len == 0)
		return;
	if (ps_msgpack_parse(w->heard.data, w->heard.len, &stats) == 0) {
		ps_value_free(&w->stats);
		w->stats = stats;
		w->stats_at = w->heard_at;
		/* Of an empty table there are no snapshots. */
		if (ps_value_get_uint(ps_value_get(stats, "table"), "known", 1) == 0 && w->snapshot_at <= w->stats_at) {
			w->n_conns = 0;
			w->snapshot_at = w->stats_at;
		}
	}
	ps_buf_reset(&w->heard);
}

int ps_worker_hear(struct ps_worker *w, const struct ps_message *m, uint64_t now)
{
	switch (m->topic) {
	case PS_TOPIC_SNAPSHOT:
		return hear_snapshot(w, m, now);
	case PS_TOPIC_STATS:
		return hear_stats(w, m, now);
	case PS_TOPIC_FINDING:
		w->findings++;
		return 0;
	default:
		return 0;
	}
}

/* --- answering ----------------------------------------------------------------------------------- */

static double seconds_since(uint64_t then, uint64_t now)
{
	return now > then ? (double)(now - then) / (double)PS_NSEC : 0;
}

static struct ps_value *status(const struct ps_worker *w, uint64_t now)
{
	_cleanup_(ps_value_free) struct ps_value *v = ps_value_map();
	int r = ps_value_set(v, "part", ps_value_string("ai-worker"));

	r |= ps_value_set(v, "version", ps_value_string(PS_VERSION));
	r |= ps_value_set(v, "pid", ps_value_int(getpid()));
	r |= ps_value_set(v, "uptime", ps_value_real(seconds_since(w->started, now)));
	r |= ps_value_set(v, "snapshot_age",
		w->snapshot_at ? ps_value_real(seconds_since(w->snapshot_at, now)) : ps_value_null());
	r |= ps_value_set(v, "connections", ps_value_uint(w->n_conns));
	r |= ps_value_set(v, "findings", ps_value_uint(w->findings));
	return r ? NULL : PS_TAKE(v);
}

int ps_worker_picture(struct ps_worker *w, uint64_t now, uint64_t wall, struct ps_picture *ret_picture)
{
	_cleanup_(ps_picture_free) struct ps_picture p = {.wall = wall};

	read_stats(w);
	p.have_snapshot = w->snapshot_at != 0;
	p.snapshot_age = seconds_since(w->snapshot_at, now);
	p.n_conns = w->n_conns;
	p.conns = calloc(PS_MAX(w->n_conns, (size_t)1), sizeof(*p.conns));
	if (!p.conns)
		return -ENOMEM;
	if (w->n_conns)
		memcpy(p.conns, w->conns, w->n_conns * sizeof(*p.conns));
	if (w->stats && now - w->stats_at < PS_AI_STALE_NS) {
		p.stats = ps_value_copy(w->stats);
		if (!p.stats)
			return -ENOMEM;
	}
	*ret_picture = p;
	p = (struct ps_picture){0};
	return 0;
}

int ps_worker_answer(struct ps_worker *w, const char *op, const struct ps_value *args, uint64_t now,
	struct ps_value **ret_body, struct ps_error *err)
{
	int code = 200;

	if (strcmp(op, "status") == 0) {
		read_stats(w);
		*ret_body = status(w, now);
	} else {
		(void)args;
		(void)ps_error_set(err, -ENOENT, 404, "unknown_op", "op",
			"the AI worker answers no \"%s\"; docs/control.md lists what it does", op);
		return 404;
	}
	if (code == 200 && !*ret_body) {
		(void)ps_error_set(err, -ENOMEM, 503, "no_memory", "", "out of memory");
		return 503;
	}
	return code;
}
