#include "ai-worker/lookout.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "ai-worker/limits.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"

#define CONNS (1u << PS_TOPIC_CONN_NEW | 1u << PS_TOPIC_CONN_UPDATE | 1u << PS_TOPIC_CONN_END)

struct ps_lookout {
	struct ps_detect *detect;
	/* The kernel's own events, and the aggregator's: what fell silent, and what ended by time. */
	struct ps_subscriber *events, *state;
	struct ps_publisher *findings;
	uint64_t missed;    /* messages that did not come, by their sequence numbers */
	uint64_t malformed; /* messages that broke the format */
	uint64_t untold;    /* findings that could not be put into a message */
	uint64_t missed_told;
};

/* --- hearing ------------------------------------------------------------------------------------- */

static int hear_conns(struct ps_lookout *l, const struct ps_message *m, struct ps_batch_reader *reader, uint64_t now)
{
	enum ps_detect_event event = m->topic == PS_TOPIC_CONN_NEW   ? PS_DETECT_NEW
				     : m->topic == PS_TOPIC_CONN_END ? PS_DETECT_END
								     : PS_DETECT_UPDATE;
	struct ps_conn conn;
	int r;

	while ((r = ps_batch_next(reader, &conn)) > 0)
		ps_detect_conn(l->detect, event, &conn, now);
	return r;
}

static int hear_icmp(struct ps_lookout *l, struct ps_batch_reader *reader, uint64_t now)
{
	struct ps_icmp icmp;
	int r;

	while ((r = ps_batch_next(reader, &icmp)) > 0)
		ps_detect_icmp(l->detect, &icmp, now);
	return r;
}

static int hear(struct ps_lookout *l, const struct ps_message *m, uint64_t now)
{
	enum ps_record_type type = ps_topic_record(m->topic);
	struct ps_batch_reader reader;
	int r;

	/* A gap hides beginnings and answers; each record holds its whole connection, so the next one makes it up. */
	l->missed += m->missed;
	if (type != PS_RECORD_CONN && type != PS_RECORD_ICMP)
		return 0;
	r = ps_batch_reader_init(&reader, type, ps_value_get(m->header, "fields"), m->payload, m->payload_len);
	if (r < 0)
		return r;
	return type == PS_RECORD_CONN ? hear_conns(l, m, &reader, now) : hear_icmp(l, &reader, now);
}

/* Some messages at a time: requests have their turn between them. */
static int take(struct ps_lookout *l, struct ps_subscriber *sub)
{
	for (int i = 0; i < PS_AI_LOOKOUT_BURST; i++) {
		_cleanup_(ps_message_free) struct ps_message m = {0};
		int r = ps_subscriber_next(sub, &m);

		if (r == 0)
			break;
		if (r > 0)
			r = hear(l, &m, ps_clock_wall());
		l->malformed += r < 0;
	}
	return 0;
}

static int on_events(void *arg)
{
	struct ps_lookout *l = arg;

	return take(l, l->events);
}

static int on_state(void *arg)
{
	struct ps_lookout *l = arg;

	return take(l, l->state);
}

static int on_tick(void *arg)
{
	struct ps_lookout *l = arg;

	ps_detect_tick(l->detect, ps_clock_wall());
	/* No record waits here, but what peers sent upstream does: 14 kB a peer that came, until it is taken. Then the
	 * pages go back, not only from the end of the heap. */
	(void)ps_publisher_flush(l->findings, ps_clock_boot(), true);
	(void)malloc_trim(PS_AI_KEEP_BYTES);
	if (l->missed != l->missed_told)
		ps_log(PS_LOG_WARN, "messages of the bus were lost, so something may not be found", "count=%llu",
			(unsigned long long)(l->missed - l->missed_told));
	l->missed_told = l->missed;
	return 0;
}

/* --- telling ------------------------------------------------------------------------------------- */

static void on_finding(void *arg, const struct ps_finding *f)
{
	struct ps_lookout *l = arg;
	_cleanup_(ps_value_free) struct ps_value *v = ps_finding_to_value(f);
	char id[PS_FINDING_ID_TEXT];

	if (!v || ps_publisher_map(l->findings, PS_TOPIC_FINDING, v) < 0)
		l->untold++;
	ps_log(f->open ? PS_LOG_WARN : PS_LOG_INFO, f->open ? "finding" : "finding closed",
		"id=%s kind=%s severity=%s count=%llu title=\"%s\"", ps_finding_id(f->id, id),
		ps_finding_kind_name(f->kind), ps_severity_name(f->severity), (unsigned long long)f->count, f->title);
}

/* --- beginning and end --------------------------------------------------------------------------- */

int ps_lookout_new(struct ps_bus *bus, struct ps_loop *loop, const struct ps_endpoints *where,
	const struct ps_detect_config *config, struct ps_lookout **ret_lookout, struct ps_error *err)
{
	_cleanup_(ps_lookout_free) struct ps_lookout *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	r = ps_detect_new(config, on_finding, l, &l->detect);
	if (r == 0)
		r = ps_publisher_new(bus, where->findings, false, &l->findings, err);
	if (r == 0)
		r = ps_subscriber_new(bus, where->events, CONNS | 1u << PS_TOPIC_ICMP, &l->events, err);
	if (r == 0)
		r = ps_subscriber_new(bus, where->state, CONNS, &l->state, err);
	if (r == 0)
		r = ps_loop_add_subscriber(loop, l->events, on_events, l);
	if (r == 0)
		r = ps_loop_add_subscriber(loop, l->state, on_state, l);
	if (r == 0)
		r = ps_loop_add_beat(loop, PS_DETECT_TICK_NS, PS_AI_TICK_SLACK_NS, on_tick, l);
	if (r < 0)
		return r;
	*ret_lookout = PS_TAKE(l);
	return 0;
}

void ps_lookout_free(struct ps_lookout **lookout)
{
	struct ps_lookout *l = *lookout;

	if (!l)
		return;
	ps_subscriber_free(&l->events);
	ps_subscriber_free(&l->state);
	ps_publisher_free(&l->findings);
	ps_detect_free(&l->detect);
	ps_freep(lookout);
}

const struct ps_detect *ps_lookout_detect(const struct ps_lookout *lookout)
{
	return lookout->detect;
}

int ps_lookout_recent(const struct ps_lookout *l, uint64_t wall, struct ps_finding **ret_findings, size_t *ret_n)
{
	size_t n = 0, all = ps_detect_count(l->detect);
	struct ps_finding *list = calloc(PS_AI_FINDINGS_DEFAULT, sizeof(*list));

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < all && n < PS_AI_FINDINGS_DEFAULT; i++) {
		const struct ps_finding *f = ps_detect_finding(l->detect, i);

		if (f->open || f->last + PS_AI_FINDINGS_RECENT_NS > wall)
			list[n++] = *f;
	}
	*ret_findings = list;
	*ret_n = n;
	return 0;
}

void ps_lookout_tell_job(struct ps_lookout *l, const struct ps_value *job)
{
	if (ps_publisher_map(l->findings, PS_TOPIC_JOB, job) < 0)
		l->untold++;
}

/* --- answering ----------------------------------------------------------------------------------- */

struct ps_value *ps_lookout_status(const struct ps_lookout *l)
{
	_cleanup_(ps_value_free) struct ps_value *v = ps_value_map();
	struct ps_detect_totals t;

	ps_detect_totals(l->detect, &t);
	const struct {
		const char *name;
		uint64_t n;
	} rows[] = {
		{"records", t.records},
		{"found", t.found},
		{"open", t.open},
		{"refused", t.refused},
		{"connections", t.connections},
		{"tracks", t.tracks},
		{"evicted", t.evicted},
		{"resets", t.resets},
		{"bytes", t.bytes},
		{"missed", l->missed},
		{"malformed", l->malformed},
		{"untold", l->untold},
	};

	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		if (ps_value_set(v, rows[i].name, ps_value_uint(rows[i].n)) < 0)
			return NULL;
	}
	return PS_TAKE(v);
}

static int read_args(const struct ps_value *args, size_t *ret_limit, bool *ret_open, struct ps_error *err)
{
	const struct ps_value *limit = ps_value_get(args, "limit"), *open = ps_value_get(args, "open");
	int64_t n = PS_AI_FINDINGS_DEFAULT;

	if (limit && (!ps_value_is_integer(limit, &n) || n < 1 || n > PS_INCIDENTS_MAX))
		return ps_error_set(err, -EINVAL, 400, "bad_value", "limit",
			"limit must be a whole number from 1 to %d", PS_INCIDENTS_MAX);
	if (open && ps_value_kind(open) != PS_VALUE_BOOL)
		return ps_error_set(err, -EINVAL, 400, "bad_value", "open", "open must be true or false, not %s",
			ps_value_kind_name(ps_value_kind(open)));
	*ret_limit = (size_t)n;
	*ret_open = ps_value_as_bool(open, false);
	return 0;
}

/* The newest first. */
static struct ps_value *list(const struct ps_lookout *l, size_t limit, bool only_open)
{
	_cleanup_(ps_value_free) struct ps_value *v = ps_value_list();

	for (size_t i = 0; i < ps_detect_count(l->detect) && ps_value_count(v) < limit; i++) {
		const struct ps_finding *f = ps_detect_finding(l->detect, i);
		_cleanup_(ps_value_free) struct ps_value *row = NULL;

		if (only_open && !f->open)
			continue;
		row = ps_finding_to_value(f);
		if (!row || ps_finding_times_to_text(row) < 0 || ps_value_append(v, PS_TAKE(row)) < 0)
			return NULL;
	}
	return PS_TAKE(v);
}

int ps_lookout_answer(
	const struct ps_lookout *lookout, const struct ps_value *args, struct ps_value **ret_body, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *v = NULL;
	size_t limit = 0;
	bool open = false;
	int r;

	if (read_args(args, &limit, &open, err) < 0)
		return 400;
	v = ps_value_map();
	r = ps_value_set(v, "findings", list(lookout, limit, open));
	r |= ps_value_set(v, "detect", ps_lookout_status(lookout));
	if (r) {
		(void)ps_error_set(err, -ENOMEM, 503, "no_memory", "", "out of memory");
		return 503;
	}
	*ret_body = PS_TAKE(v);
	return 200;
}
