#include "gateway/events.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/codec/json.h"
#include "common/codec/msgpack.h"
#include "common/codec/record_json.h"
#include "common/detect/finding.h"
#include "gateway/event_reader.h"
#include "gateway/exchange.h"
#include "gateway/handlers.h"
#include "gateway/limits.h"

#define BIT(t) (1u << PS_TOPIC_##t)
#define CONNS (BIT(CONN_NEW) | BIT(CONN_UPDATE) | BIT(CONN_END))

/*
 * Where topics come from. Topics of one row share a socket, and so keep their order; a row is open only while somebody
 * wants one of its topics.
 */
static const struct {
	size_t endpoint; /* into struct ps_endpoints */
	uint32_t topics;
} sources[] = {
	{offsetof(struct ps_endpoints, events), CONNS},
	{offsetof(struct ps_endpoints, events), BIT(ICMP)},
	{offsetof(struct ps_endpoints, events), BIT(DROP)},
	{offsetof(struct ps_endpoints, state), CONNS},
	{offsetof(struct ps_endpoints, state), BIT(STATS)},
	{offsetof(struct ps_endpoints, state), BIT(RULE)},
	{offsetof(struct ps_endpoints, findings), BIT(FINDING) | BIT(JOB)},
};

struct source {
	struct ps_events *events;
	struct ps_subscriber *sub; /* NULL = closed */
	uint64_t malformed;        /* of subscribers that were closed */
};

struct stream {
	struct stream *prev, *next;
	struct ps_events *events;
	struct ps_exchange *x;
	struct ps_event_reader reader;
	bool waiting; /* for something to read */
};

struct ps_events {
	struct ps_bus *bus;
	struct ps_loop *loop;
	const struct ps_endpoints *endpoints;
	struct source source[PS_ARRAY_SIZE(sources)];
	struct ps_event_ring *ring; /* NULL until somebody listens */
	struct stream *streams;
	uint32_t wanted;          /* topics of some stream, or of one that left a short while ago */
	uint64_t used[PS_TOPICS]; /* boot time when a topic was last wanted by a stream */
	uint64_t lost[PS_TOPICS]; /* left out since the last gap was told */
	unsigned budget;          /* events that may still be rendered before the next wake-up */
	int flush_timer, tick_timer;
	bool flushing; /* flush_timer runs */
	struct ps_buf text;
	struct ps_events_totals totals;
};

/* --- from the bus into the ring ------------------------------------------------------------------- */

static void wake_soon(struct ps_events *e)
{
	if (e->flushing)
		return;
	e->flushing = true;
	ps_loop_set_timer(e->loop, e->flush_timer, PS_EVENTS_DELAY_NS);
}

static void add(struct ps_events *e, const struct ps_event_meta *meta, const char *name)
{
	if (e->text.error || ps_event_ring_add(e->ring, meta, name, e->text.data, e->text.len) < 0)
		e->totals.lost++;
	else
		e->totals.events++;
	wake_soon(e);
}

static void leave_out(struct ps_events *e, enum ps_topic topic, uint64_t n)
{
	e->lost[topic] += n;
	e->totals.lost += n;
	wake_soon(e);
}

static void conn_meta(const struct ps_conn *c, struct ps_event_meta *m)
{
	m->proto = c->proto;
	m->port[0] = c->src_port;
	m->port[1] = c->dst_port;
	m->ip[0] = c->src_ip;
	m->ip[1] = c->dst_ip;
}

static void icmp_meta(const struct ps_icmp *i, struct ps_event_meta *m)
{
	m->proto = i->src_ip.family == 6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	m->ip[0] = i->src_ip;
	m->ip[1] = i->dst_ip;
}

static void drop_meta(const struct ps_drop *d, struct ps_event_meta *m)
{
	m->proto = d->proto;
	m->port[0] = d->src_port;
	m->port[1] = d->dst_port;
	m->ip[0] = d->src_ip;
	m->ip[1] = d->dst_ip;
}

static void add_records(struct ps_events *e, const struct ps_message *m)
{
	enum ps_record_type type = ps_topic_record(m->topic);
	struct ps_batch_reader reader;
	uint32_t left = m->n;
	union {
		struct ps_conn conn;
		struct ps_icmp icmp;
		struct ps_drop drop;
	} record;

	if (ps_batch_reader_init(&reader, type, ps_value_get(m->header, "fields"), m->payload, m->payload_len) < 0) {
		e->totals.malformed++;
		return;
	}
	for (; left && e->budget; left--, e->budget--) {
		struct ps_event_meta meta = {.topic = m->topic, .has_ends = true};

		if (ps_batch_next(&reader, &record) != 1) {
			e->totals.malformed++;
			break;
		}
		if (type == PS_RECORD_CONN)
			conn_meta(&record.conn, &meta);
		else if (type == PS_RECORD_ICMP)
			icmp_meta(&record.icmp, &meta);
		else
			drop_meta(&record.drop, &meta);
		ps_buf_reset(&e->text);
		ps_record_json(&e->text, type, &record);
		add(e, &meta, ps_topic_name(m->topic));
	}
	if (left)
		leave_out(e, m->topic, left);
}

static void add_map(struct ps_events *e, const struct ps_message *m)
{
	const struct ps_event_meta meta = {.topic = m->topic};
	_cleanup_(ps_value_free) struct ps_value *map = NULL;

	if (ps_msgpack_parse(m->payload, m->payload_len, &map) < 0) {
		e->totals.malformed++;
		return;
	}
	if (m->topic == PS_TOPIC_FINDING && ps_finding_times_to_text(map) < 0) {
		leave_out(e, m->topic, 1);
		return;
	}
	ps_buf_reset(&e->text);
	ps_json_write(&e->text, map);
	add(e, &meta, ps_topic_name(m->topic));
}

static int on_message(void *arg)
{
	struct source *s = arg;
	struct ps_events *e = s->events;
	_cleanup_(ps_message_free) struct ps_message m = {0};

	if (!s->sub || ps_subscriber_next(s->sub, &m) != 1)
		return 0;
	if (m.missed)
		leave_out(e, m.topic, m.missed); /* messages: how many records they held nobody knows */
	if (!(e->wanted >> m.topic & 1))
		return 0;
	if (ps_topic_record(m.topic) == PS_RECORD_TYPES)
		add_map(e, &m);
	else
		add_records(e, &m);
	return 0;
}

/* --- to the streams ------------------------------------------------------------------------------- */

static void tell_gaps(struct ps_events *e)
{
	for (int t = 0; t < PS_TOPICS; t++) {
		const struct ps_event_meta meta = {.topic = (enum ps_topic)t};

		if (!e->lost[t])
			continue;
		ps_buf_reset(&e->text);
		ps_buf_addf(&e->text, "{\"lost\":%" PRIu64 ",\"topic\":\"%s\",\"reason\":\"rate\"}", e->lost[t],
			ps_topic_name((enum ps_topic)t));
		e->lost[t] = 0;
		if (e->wanted >> t & 1)
			(void)ps_event_ring_add(e->ring, &meta, "gap", e->text.data, e->text.len);
	}
}

static void wake(struct stream *s)
{
	if (!s->waiting)
		return;
	s->waiting = false;
	s->x->wake(s->x);
}

static int on_flush(void *arg)
{
	struct ps_events *e = arg;

	e->flushing = false;
	ps_loop_set_timer(e->loop, e->flush_timer, 0);
	e->budget = PS_EVENTS_BUDGET;
	tell_gaps(e);
	for (struct stream *s = e->streams; s; s = s->next) {
		if (s->waiting && ps_event_reader_ready(&s->reader, e->ring))
			wake(s);
	}
	return 0;
}

static ssize_t on_read(void *arg, char *buf, size_t max)
{
	struct stream *s = arg;
	ssize_t n = ps_event_reader_read(&s->reader, s->events->ring, buf, max, ps_clock_boot());

	s->waiting = n == 0;
	return n;
}

/* --- subscriptions -------------------------------------------------------------------------------- */

static void close_source(struct ps_events *e, size_t i)
{
	struct source *s = &e->source[i];

	if (!s->sub)
		return;
	s->malformed += ps_subscriber_malformed(s->sub);
	ps_loop_remove_subscriber(e->loop, s->sub);
	ps_subscriber_free(&s->sub);
}

static int open_source(struct ps_events *e, size_t i)
{
	const char *endpoint = (const char *)e->endpoints + sources[i].endpoint;
	struct source *s = &e->source[i];
	struct ps_error err = {0};
	int r = ps_subscriber_new(e->bus, endpoint, sources[i].topics, &s->sub, &err);

	if (r < 0) {
		ps_log_failure("cannot subscribe", r, &err);
		return r;
	}
	return ps_loop_add_subscriber(e->loop, s->sub, on_message, s);
}

static void follow_wishes(struct ps_events *e)
{
	for (size_t i = 0; i < PS_ARRAY_SIZE(sources); i++) {
		bool wish = e->wanted & sources[i].topics;

		if (wish && !e->source[i].sub && open_source(e, i) < 0)
			ps_subscriber_free(&e->source[i].sub);
		else if (!wish)
			close_source(e, i);
	}
}

static int ring_begin(struct ps_events *e)
{
	uint32_t prefix = 0;

	if (e->ring)
		return 0;
	if (getrandom(&prefix, sizeof(prefix), 0) != (ssize_t)sizeof(prefix))
		prefix = (uint32_t)ps_clock_wall();
	return ps_event_ring_new(PS_EVENTS_BYTES, PS_EVENTS_KEEP, prefix, &e->ring);
}

/* Topics that nobody wanted for a while are forgotten, and with the last of them the ring: ids from before are then of
 * another run, for what came meanwhile is missing. */
static void forget(struct ps_events *e, uint64_t now)
{
	uint32_t wanted = 0;

	for (struct stream *s = e->streams; s; s = s->next)
		wanted |= s->reader.filter.topics;
	for (int t = 0; t < PS_TOPICS; t++) {
		if (wanted >> t & 1)
			e->used[t] = now;
		else if (e->used[t] && now - e->used[t] < PS_EVENTS_LINGER_NS)
			wanted |= 1u << t;
	}
	e->wanted = wanted;
	follow_wishes(e);
	if (wanted || e->streams)
		return;
	ps_event_ring_free(&e->ring);
	ps_buf_free(&e->text);
	ps_loop_set_timer(e->loop, e->tick_timer, 0);
}

static int on_tick(void *arg)
{
	struct ps_events *e = arg;
	uint64_t now = ps_clock_boot();

	for (struct stream *s = e->streams; s; s = s->next) {
		if (ps_event_reader_slow(&s->reader, e->ring, now)) {
			e->totals.cut++;
			s->x->cut(s->x);
		} else if (ps_event_reader_alive(&s->reader, now)) {
			wake(s);
		}
	}
	forget(e, now);
	return 0;
}

/* --- streams -------------------------------------------------------------------------------------- */

static void on_close(void *arg)
{
	struct stream *s = arg;
	struct ps_events *e = s->events;

	if (s->prev)
		s->prev->next = s->next;
	else
		e->streams = s->next;
	if (s->next)
		s->next->prev = s->prev;
	e->totals.streams--;
	free(s);
}

static void link_stream(struct ps_events *e, struct stream *s)
{
	s->events = e;
	s->next = e->streams;
	if (s->next)
		s->next->prev = s;
	e->streams = s;
	e->totals.streams++;
	e->totals.opened++;
}

static size_t streams_of(const struct ps_events *e, const struct ps_addr *addr)
{
	size_t n = 0;

	for (const struct stream *s = e->streams; s; s = s->next)
		n += ps_addr_equal(&s->x->req.peer, addr);
	return n;
}

static int begin(struct ps_exchange *x, struct ps_error *err)
{
	struct ps_events *e = x->gateway->events;
	struct ps_event_filter filter;
	struct stream *s;
	int r = ps_event_filter_read(x->args, &filter, err);

	if (r < 0)
		return r;
	if (e->totals.streams >= PS_STREAMS_MAX)
		return ps_error_set(err, -EBUSY, 503, "busy", "",
			"%d event streams are open, and there is no room for more; close one.", PS_STREAMS_MAX);
	if (!ps_access_is_local(&x->req) && streams_of(e, &x->req.peer) >= PS_STREAMS_PER_IP)
		return ps_error_set(err, -EBUSY, 429, "busy", "",
			"%d event streams are open from this address already; close one.", PS_STREAMS_PER_IP);
	r = ring_begin(e);
	s = r == 0 ? calloc(1, sizeof(*s)) : NULL;
	if (!s)
		return -ENOMEM;
	s->x = x;
	ps_event_reader_init(&s->reader, &filter, e->ring, x->req.headers.last_event_id, ps_clock_boot());
	link_stream(e, s);
	x->resp.stream = (struct ps_stream){.read = on_read, .close = on_close, .arg = s, .endless = true};
	forget(e, ps_clock_boot());
	ps_loop_set_timer(e->loop, e->tick_timer, PS_NSEC);
	return 0;
}

void ps_handle_events(struct ps_exchange *x)
{
	struct ps_error err = {0};
	int r = begin(x, &err);

	if (r == -ENOMEM)
		(void)ps_error_set(&err, r, 503, "no_memory", "", "The gateway has no memory left.");
	if (r < 0) {
		ps_answer_problem(x, &err);
		return;
	}
	ps_http_response_header(&x->resp, "X-Accel-Buffering", "no"); /* a proxy must not wait for more */
	ps_answer_stream(x, "text/event-stream");
}

int ps_events_new(
	struct ps_bus *bus, struct ps_loop *loop, const struct ps_endpoints *endpoints, struct ps_events **ret_events)
{
	_cleanup_(ps_events_free) struct ps_events *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	e->bus = bus;
	e->loop = loop;
	e->endpoints = endpoints;
	e->budget = PS_EVENTS_BUDGET;
	e->text.limit = PS_EVENT_MAX;
	for (size_t i = 0; i < PS_ARRAY_SIZE(sources); i++)
		e->source[i].events = e;
	r = ps_loop_add_timer(loop, PS_NSEC, on_flush, e, &e->flush_timer);
	if (r == 0)
		r = ps_loop_add_timer(loop, PS_NSEC, on_tick, e, &e->tick_timer);
	if (r < 0)
		return r;
	ps_loop_set_timer(loop, e->flush_timer, 0);
	ps_loop_set_timer(loop, e->tick_timer, 0);
	*ret_events = PS_TAKE(e);
	return 0;
}

void ps_events_free(struct ps_events **events)
{
	struct ps_events *e = *events;

	if (!e)
		return;
	for (size_t i = 0; i < PS_ARRAY_SIZE(sources); i++)
		close_source(e, i);
	ps_event_ring_free(&e->ring);
	ps_buf_free(&e->text);
	free(e);
	*events = NULL;
}

void ps_events_totals(const struct ps_events *events, struct ps_events_totals *ret_totals)
{
	*ret_totals = events->totals;
	for (size_t i = 0; i < PS_ARRAY_SIZE(sources); i++) {
		const struct source *s = &events->source[i];

		ret_totals->malformed += s->malformed + (s->sub ? ps_subscriber_malformed(s->sub) : 0);
	}
}
