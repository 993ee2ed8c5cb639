#include "gateway/event_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "gateway/limits.h"

/* A snapshot is for those who keep a table; a stream begins with GET /api/connections instead. */
#define KNOWN (((1u << PS_TOPICS) - 1) & ~(1u << PS_TOPIC_SNAPSHOT))

uint32_t ps_event_topics_known(void)
{
	return KNOWN;
}

/* An active connection speaks once an interval: that is for those who ask. */
uint32_t ps_event_topics_default(void)
{
	return KNOWN & ~(1u << PS_TOPIC_CONN_UPDATE);
}

static int read_topics(const char *text, uint32_t *ret_topics, struct ps_error *err)
{
	uint32_t topics = 0;

	for (const char *p = text; *p;) {
		size_t len = strcspn(p, ",");
		enum ps_topic t;

		if (ps_topic_parse(p, len, &t) < 0 || !(KNOWN >> t & 1)) {
			char known[192] = "";
			size_t n = 0;

			for (int i = 0; i < PS_TOPICS; i++) {
				if (KNOWN >> i & 1)
					n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", n ? ", " : "",
						ps_topic_name((enum ps_topic)i));
			}
			return ps_error_set(err, -EINVAL, 400, "bad_value", "topics",
				"There is no topic \"%.*s\"; there are %s.", (int)PS_MIN(len, (size_t)32), p, known);
		}
		topics |= 1u << t;
		p += len + (p[len] == ',');
	}
	*ret_topics = topics;
	return 0;
}

int ps_event_filter_read(const struct ps_value *args, struct ps_event_filter *ret_filter, struct ps_error *err)
{
	struct ps_event_filter f = {.topics = ps_event_topics_default(), .proto = -1, .port = -1};
	const char *topics = ps_value_get_string(args, "topics", NULL);
	const char *proto = ps_value_get_string(args, "proto", NULL), *ip = ps_value_get_string(args, "ip", NULL);
	uint8_t number;

	if (topics && read_topics(topics, &f.topics, err) < 0)
		return -EINVAL;
	if (proto) {
		if (ps_proto_parse(proto, strlen(proto), &number) < 0)
			return ps_error_set(err, -EINVAL, 400, "bad_value", "proto",
				"\"%.32s\" is no protocol; write tcp, udp, icmp, icmpv6 or a number.", proto);
		f.proto = number;
	}
	if (ip && ps_addr_parse(ip, strlen(ip), &f.ip) < 0)
		return ps_error_set(err, -EINVAL, 400, "bad_value", "ip", "\"%.64s\" is no IPv4 or IPv6 address.", ip);
	f.port = (int)ps_value_get_int(args, "port", -1);
	*ret_filter = f;
	return 0;
}

bool ps_event_filter_match(const struct ps_event_filter *f, const struct ps_event_meta *meta)
{
	if (!(f->topics >> meta->topic & 1))
		return false;
	if (!meta->has_ends)
		return true;
	if (f->proto >= 0 && meta->proto != f->proto)
		return false;
	if (f->port >= 0 && meta->port[0] != f->port && meta->port[1] != f->port)
		return false;
	return !f->ip.family || ps_addr_equal(&f->ip, &meta->ip[0]) || ps_addr_equal(&f->ip, &meta->ip[1]);
}

/* What is no event of the bus: greetings, comments, gaps. */
static void say(struct ps_event_reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct ps_event_reader *r, const char *fmt, ...)
{
	size_t room;
	va_list ap;
	int n;

	if (r->control_at == r->control_len)
		r->control_at = r->control_len = 0;
	room = sizeof(r->control) - r->control_len;
	va_start(ap, fmt);
	n = vsnprintf(r->control + r->control_len, room, fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < room)
		r->control_len += (size_t)n;
}

void ps_event_reader_init(struct ps_event_reader *r, const struct ps_event_filter *filter,
	const struct ps_event_ring *ring, const char *last_id, uint64_t now)
{
	uint64_t number;

	*r = (struct ps_event_reader){.filter = *filter, .next = ps_event_ring_next(ring), .last = now};
	say(r, ": packetscope\nretry: %d\n\n", PS_EVENTS_RETRY_MS);
	for (int t = 0; t < PS_TOPICS; t++)
		r->seen[t] = ps_event_ring_total(ring, (enum ps_topic)t);
	if (!last_id)
		return;
	if (ps_event_ring_parse(ring, last_id, &number) < 0) {
		say(r, "event: gap\ndata: {\"lost\":null,\"topic\":null,\"reason\":\"restarted\"}\n\n");
		return;
	}
	if (number + 1 < ps_event_ring_first(ring))
		say(r, "event: gap\ndata: {\"lost\":%" PRIu64 ",\"topic\":null,\"reason\":\"away\"}\n\n",
			ps_event_ring_first(ring) - number - 1);
	r->next = PS_MAX(number + 1, ps_event_ring_first(ring));
	for (int t = 0; t < PS_TOPICS; t++)
		r->seen[t] = ps_event_ring_gone(ring, (enum ps_topic)t);
	for (uint64_t n = ps_event_ring_first(ring); n < r->next; n++) {
		const struct ps_event *e = ps_event_ring_get(ring, n);

		r->seen[e->meta.topic] = e->ordinal;
	}
}

/* Overtaken by the ring: says for each of our topics how many events there were that we can't give any more. */
static void tell_gap(struct ps_event_reader *r, const struct ps_event_ring *ring)
{
	for (int t = 0; t < PS_TOPICS; t++) {
		uint64_t gone = ps_event_ring_gone(ring, (enum ps_topic)t);

		if (gone <= r->seen[t])
			continue;
		if (r->filter.topics >> t & 1)
			say(r, "event: gap\ndata: {\"lost\":%" PRIu64 ",\"topic\":\"%s\",\"reason\":\"slow\"}\n\n",
				gone - r->seen[t], ps_topic_name((enum ps_topic)t));
		r->seen[t] = gone;
	}
	r->next = ps_event_ring_first(ring);
}

bool ps_event_reader_ready(struct ps_event_reader *r, const struct ps_event_ring *ring)
{
	if (r->control_at < r->control_len || r->part)
		return true;
	if (r->next < ps_event_ring_first(ring)) {
		tell_gap(r, ring);
		if (r->control_at < r->control_len)
			return true;
	}
	while (r->next < ps_event_ring_next(ring)) {
		const struct ps_event *e = ps_event_ring_get(ring, r->next);

		if (ps_event_filter_match(&r->filter, &e->meta))
			return true;
		r->seen[e->meta.topic] = e->ordinal;
		r->next++;
	}
	r->since = 0;
	return false;
}

bool ps_event_reader_alive(struct ps_event_reader *r, uint64_t now)
{
	if (now - r->last < PS_EVENTS_ALIVE_NS || r->part)
		return false;
	if (r->control_at == r->control_len)
		say(r, ": keep-alive\n\n");
	return true;
}

/* Bytes of the event at r->next, whole if it fits or nothing else is there yet. */
static size_t give(struct ps_event_reader *r, const struct ps_event_ring *ring, char *buf, size_t room, bool alone)
{
	const struct ps_event *e = ps_event_ring_get(ring, r->next);
	size_t left = e->len - r->part, n = PS_MIN(left, room);

	if (n < left && !alone)
		return 0;
	memcpy(buf, ps_event_ring_text(ring, e) + r->part, n);
	r->part += n;
	if (r->part < e->len)
		return n;
	r->part = 0;
	r->seen[e->meta.topic] = e->ordinal;
	r->next++;
	return n;
}

ssize_t ps_event_reader_read(
	struct ps_event_reader *r, const struct ps_event_ring *ring, char *buf, size_t max, uint64_t now)
{
	size_t len = 0;

	if (r->part && r->next < ps_event_ring_first(ring))
		return -EPIPE;
	while (len < max && ps_event_reader_ready(r, ring)) {
		size_t n;

		if (r->control_at < r->control_len && !r->part) {
			n = PS_MIN(max - len, r->control_len - r->control_at);
			memcpy(buf + len, r->control + r->control_at, n);
			r->control_at += n;
		} else {
			n = give(r, ring, buf + len, max - len, len == 0);
			if (!n)
				break;
		}
		len += n;
	}
	if (len) {
		r->last = now;
		r->taken += len;
	}
	return (ssize_t)len;
}

bool ps_event_reader_slow(struct ps_event_reader *r, const struct ps_event_ring *ring, uint64_t now)
{
	if (!ps_event_reader_ready(r, ring))
		return false;
	if (!r->since) {
		r->since = now;
		r->taken = 0;
		return false;
	}
	if (now - r->since < PS_EVENTS_SLOW_NS)
		return false;
	if (r->taken < PS_EVENTS_SLOW_BYTES)
		return true;
	r->since = now;
	r->taken = 0;
	return false;
}
