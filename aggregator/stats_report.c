#include "aggregator/stats_report.h"

#include <errno.h>
#include <stddef.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"

/* A map that is being filled; the first failure is kept, so that not every row must be checked. */
struct filling {
	struct ps_value *map;
	int error;
};

static void put(struct filling *f, const char *key, struct ps_value *v)
{
	int r;

	if (!f->map) {
		ps_value_free(&v);
		return;
	}
	r = ps_value_set(f->map, key, v);
	if (r < 0)
		f->error = r;
}

static void put_u64(struct filling *f, const char *key, uint64_t n)
{
	put(f, key, ps_value_uint(n));
}

static struct ps_value *finish(struct filling *f)
{
	if (f->error)
		ps_value_free(&f->map);
	return f->map;
}

static struct filling begin(void)
{
	struct filling f = {.map = ps_value_map()};

	if (!f.map)
		f.error = -ENOMEM;
	return f;
}

static struct ps_value *counts(const __u64 *n, size_t len)
{
	_cleanup_(ps_value_free) struct ps_value *list = ps_value_list();

	for (size_t i = 0; i < len; i++) {
		if (!list || ps_value_append(list, ps_value_uint(n[i])) < 0)
			return NULL;
	}
	return PS_TAKE(list);
}

static uint64_t malformed(const struct ps_stats *s)
{
	return s->malformed_eth + s->malformed_ip + s->malformed_ext + s->malformed_l4;
}

#define CLIENT_ICMP_TYPES 16 /* as many as clients of the prototype expect */

static void put_client_names(struct filling *f, const struct ps_stats *s)
{
	put_u64(f, "TotalPackets", s->packets);
	put_u64(f, "TotalBytes", s->bytes);
	put_u64(f, "DroppedPackets", s->dropped_packets);
	put_u64(f, "MalformedPackets", malformed(s));
	put_u64(f, "TCPRetrans", s->tcp_retrans);
	put_u64(f, "TCPDuplicateAck", s->tcp_dup_acks);
	put_u64(f, "TCPOutOfOrder", s->tcp_out_of_order);
	put_u64(f, "TCPZeroWindow", s->tcp_zero_windows);
	put_u64(f, "TCPSmallWindow", s->tcp_small_windows);
	put(f, "ICMPTypeCounts", counts(s->icmp_types, CLIENT_ICMP_TYPES));
	put(f, "ICMPCodeCounts", counts(s->icmp_codes, PS_ARRAY_SIZE(s->icmp_codes)));
}

static struct ps_value *counters(const struct ps_stats *s)
{
	struct filling f = begin();

#define PS_STAT(name, help) put_u64(&f, #name, s->name);
#include "bpf/stats.def"
#undef PS_STAT
	return finish(&f);
}

/* What an operator watches move. */
static const struct {
	const char *name;
	size_t offset;
} rated[] = {
#define RATED(name) \
	{ \
#name, offsetof(struct ps_stats, name) \
	}
	RATED(packets),
	RATED(bytes),
	RATED(ingress_packets),
	RATED(egress_packets),
	RATED(dropped_packets),
	RATED(dropped_bytes),
	RATED(tcp_packets),
	RATED(udp_packets),
	RATED(icmp_packets),
	RATED(conns_new),
	RATED(conns_recycled),
	RATED(untracked),
	RATED(tcp_retrans),
#undef RATED
};

static uint64_t counter_at(const struct ps_stats *s, size_t offset)
{
	return *(const __u64 *)((const char *)s + offset);
}

static struct ps_value *rates(const struct ps_stats_sample *before, const struct ps_stats_sample *after)
{
	struct filling f = begin();
	double seconds =
		before->time && after->time > before->time ? (double)(after->time - before->time) / (double)PS_NSEC : 0;

	for (size_t i = 0; i < PS_ARRAY_SIZE(rated); i++) {
		uint64_t was = counter_at(&before->stats, rated[i].offset);
		uint64_t is = counter_at(&after->stats, rated[i].offset);

		put(&f, rated[i].name, ps_value_real(seconds > 0 && is >= was ? (double)(is - was) / seconds : 0));
	}
	return finish(&f);
}

static struct ps_value *table(const struct ps_stats_input *in)
{
	struct filling f = begin();

	put_u64(&f, "slots", in->slots);
	put_u64(&f, "max_connections", in->max_connections);
	put_u64(&f, "used", in->sweep->used);
	put_u64(&f, "confirmed", in->sweep->confirmed);
	put_u64(&f, "half_open", in->sweep->half_open);
	put(&f, "fill", ps_value_real(in->slots ? (double)in->sweep->used / in->slots : 0));
	put_u64(&f, "known", in->conns.live);
	put_u64(&f, "ended", in->conns.ended);
	put_u64(&f, "refused", in->conns.refused);
	put_u64(&f, "icmp", in->icmp_entries);
	put_u64(&f, "lists", in->walks.lists);
	put_u64(&f, "list_bytes", in->walks.bytes);
	put_u64(&f, "lists_refused", in->walks.refused);
	return finish(&f);
}

static const struct {
	const char *name;
	enum ps_event_type type;
	size_t produced, lost;
} events[] = {
#define EVENT(name, type, word) \
	{ \
		name, type, offsetof(struct ps_stats, ev_##word), offsetof(struct ps_stats, lost_##word) \
	}
	EVENT("conn.new", PS_EV_CONN_NEW, conn_new),
	EVENT("conn.update", PS_EV_CONN_UPDATE, conn_update),
	EVENT("conn.end", PS_EV_CONN_END, conn_end),
	EVENT("icmp", PS_EV_ICMP, icmp),
	EVENT("drop", PS_EV_DROP, drop),
#undef EVENT
};

static struct ps_value *ledger(const struct ps_stats_input *in)
{
	const struct ps_ledger *l = in->ledger;
	struct filling f = begin();

	for (size_t i = 0; i < PS_ARRAY_SIZE(events); i++) {
		enum ps_event_type t = events[i].type;
		struct filling e = begin();

		put_u64(&e, "produced", counter_at(in->stats, events[i].produced));
		put_u64(&e, "ring_lost", counter_at(in->stats, events[i].lost));
		put_u64(&e, "received", l->received[t]);
		put_u64(&e, "abandoned", l->abandoned[t]);
		put_u64(&e, "published", l->published[t]);
		put_u64(&e, "refused", l->refused[t]);
		put_u64(&e, "applied", l->applied[t]);
		put_u64(&e, "missed", l->missed[t]);
		put(&f, events[i].name, finish(&e));
	}
	put_u64(&f, "broken_events", l->received[0]);
	put_u64(&f, "broken_messages", l->broken_messages);
	put_u64(&f, "broken_requests", l->broken_requests);
	put_u64(&f, "late_requests", l->late_requests);
	put_u64(&f, "resyncs", l->resyncs);
	put_u64(&f, "expired", l->expired);
	return finish(&f);
}

static const char *mode_name(uint32_t flags)
{
	return flags & PS_IFACE_XDP_NATIVE ? "native" : flags & PS_IFACE_XDP_GENERIC ? "generic" : "none";
}

static const char *egress_name(uint32_t flags)
{
	return flags & PS_IFACE_TCX ? "tcx" : flags & PS_IFACE_CLSACT ? "clsact" : "none";
}

static struct ps_value *interfaces(const struct ps_stats_input *in)
{
	_cleanup_(ps_value_free) struct ps_value *list = ps_value_list();

	for (size_t i = 0; i < in->n_ifaces; i++) {
		const struct ps_kernel_iface *k = &in->ifaces[i];
		struct filling f = begin();

		put(&f, "name", ps_value_string(k->v.name));
		put_u64(&f, "ifindex", k->ifindex);
		put(&f, "mode", ps_value_string(mode_name(k->v.flags)));
		put(&f, "egress", ps_value_string(egress_name(k->v.flags)));
		put(&f, "attached", ps_value_bool(k->v.flags & PS_IFACE_XDP));
		if (!list || ps_value_append(list, finish(&f)) < 0)
			return NULL;
	}
	return PS_TAKE(list);
}

static struct ps_value *rules(const struct ps_stats_input *in)
{
	struct filling f = begin();

	put_u64(&f, "generation", in->generation);
	put_u64(&f, "rules", in->rules);
	put_u64(&f, "enabled", in->rules_enabled);
	return finish(&f);
}

struct ps_value *ps_stats_report(const struct ps_stats_input *in)
{
	struct filling f = begin();
	char time[PS_RFC3339_SIZE];

	put_client_names(&f, in->stats);
	put(&f, "counters", counters(in->stats));
	put(&f, "rates", rates(in->before, in->after));
	put(&f, "table", table(in));
	put(&f, "ledger", ledger(in));
	put(&f, "interfaces", interfaces(in));
	put(&f, "rules", rules(in));
	put(&f, "uptime", ps_value_real((double)in->uptime / (double)PS_NSEC));
	put(&f, "since", ps_value_string(ps_rfc3339(in->created, time)));
	put(&f, "time", ps_value_string(ps_rfc3339(in->now, time)));
	return finish(&f);
}
