/*
 * ICMP tunnel: an echo's reply carries what the request carried, and a program that pings does not change its mind
 * about the size. So between two hosts with many echo messages and many bytes it is a tunnel when their size changes
 * again and again, or when the replies are larger than the requests. (Smaller replies are common: some hosts cut long
 * ones.)
 *
 * Records tell of packets and bytes so far, at most once a second; the size is the mean of what came since the record
 * before.
 */
#include <inttypes.h>
#include <netinet/in.h>

#include "common/base/cleanup.h"
#include "common/detect/detector.h"
#include "common/detect/echo.h"
#include "common/detect/pairs.h"
#include "common/detect/range.h"
#include "common/detect/traits.h"
#include "common/detect/window.h"

/* A size that differs by less than this share of the larger is the same: two programs ping, now one more, now the
 * other. */
#define CHANGE_PERCENT 25u
/* Replies that are compared with requests: fewer are chance. */
#define REPLIES_MIN 20u

/* Requests, or replies. */
struct way {
	uint64_t packets, bytes, first_seen; /* of the record before */
	uint64_t size;                       /* then, in bytes */
	struct ps_window messages, volume;
};

struct pair {
	struct way request, reply;
	struct ps_window changes;
	uint64_t first, last, added;
};

static int create(const struct ps_detect_config *config, void **ret_state)
{
	return ps_pairs_new(config, sizeof(struct pair), PS_TUNNEL_PAIRS_MAX, ret_state);
}

static bool differs(uint64_t a, uint64_t b)
{
	uint64_t larger = PS_MAX(a, b);

	return (larger - PS_MIN(a, b)) * 100 >= larger * CHANGE_PERCENT;
}

static void icmp(void *state, const struct ps_icmp *i, uint64_t now)
{
	struct ps_pairs *d = state;
	bool request = ps_echo_is_request(i);
	struct ps_track_key key = {.a = request ? i->src_ip : i->dst_ip, .b = request ? i->dst_ip : i->src_ip};
	uint64_t span = d->config->tunnel_window, packets = i->packets, bytes = i->bytes, size;
	struct pair *p;
	struct way *w;

	if ((!request && !ps_echo_is_reply(i)) || ps_addr_is_group(&key.b))
		return;
	p = ps_tracks_get(d->tracks, &key, now);
	if (!p)
		return;
	w = request ? &p->request : &p->reply;
	/* The kernel forgets what is silent; then it counts from the start, with another first message. */
	if (w->first_seen == i->first_seen) {
		if (packets <= w->packets || bytes < w->bytes)
			return;
		packets -= w->packets;
		bytes -= w->bytes;
	} else if (i->first_seen + PS_SIGHT_FRESH_NS < now) {
		/* Joined late: what came before this record may be days old. */
		packets = bytes = 0;
	}
	w->packets = i->packets;
	w->bytes = i->bytes;
	w->first_seen = i->first_seen;
	if (!packets)
		return;
	size = bytes / packets;
	if (w->size && differs(size, w->size))
		ps_window_add(&p->changes, span, now, 1);
	w->size = size;
	ps_window_add(&w->messages, span, now, packets);
	ps_window_add(&w->volume, span, now, bytes);
	if (!p->first)
		p->first = i->first_seen;
	p->last = PS_MAX(p->last, i->last_seen);
	p->added += packets;
}

/* By how many percent are the replies larger than the requests? */
static uint64_t excess(uint64_t requests, uint64_t asked, uint64_t replies, uint64_t answered)
{
	uint64_t ask, answer;

	if (!requests || replies < REPLIES_MIN)
		return 0;
	ask = asked / requests;
	answer = answered / replies;
	return ask && answer > ask ? (answer - ask) * 100 / ask : 0;
}

static void judge_pair(
	const struct ps_pairs *d, const struct ps_track_key *key, struct pair *p, uint64_t now, struct ps_incidents *in)
{
	const struct ps_detect_config *config = d->config;
	uint64_t span = config->tunnel_window, from = ps_detect_back(now, span);
	uint64_t requests = ps_window_sum(&p->request.messages, span, from, now);
	uint64_t replies = ps_window_sum(&p->reply.messages, span, from, now);
	uint64_t asked = ps_window_sum(&p->request.volume, span, from, now);
	uint64_t answered = ps_window_sum(&p->reply.volume, span, from, now);
	uint64_t changes = ps_window_sum(&p->changes, span, from, now);
	uint64_t more = excess(requests, asked, replies, answered);
	struct ps_finding f = {
		.kind = PS_FINDING_ICMP_TUNNEL,
		.source = key->a,
		.target = ps_target_of(&key->b, 0),
		.first = p->first,
		.last = p->last,
		.count = requests + replies,
		.severity = PS_SEVERITY_HIGH,
		.rule = {.proposed = true,
			.protocol = key->a.family == PS_FAMILY_IPV6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
			.src = key->a,
			.dst = key->b,
			.both = true},
	};
	char source[PS_ADDR_TEXT], target[PS_FINDING_TARGET_TEXT];

	if (f.count < config->tunnel_messages || asked + answered < config->tunnel_bytes ||
		(changes < config->tunnel_changes && more < config->tunnel_excess))
		return;
	f.confidence = ps_draft_confidence(changes + more, PS_MIN(config->tunnel_changes, config->tunnel_excess));
	ps_draft_number(&f, "requests", requests);
	ps_draft_number(&f, "replies", replies);
	ps_draft_number(&f, "bytes", asked + answered);
	ps_draft_number(&f, "size_changes", changes);
	ps_draft_number(&f, "reply_excess_percent", more);
	ps_draft_title(&f, "%s and %s exchanged %" PRIu64 " echo messages with %" PRIu64 " bytes, whose size %s",
		ps_addr_format(&key->a, source), ps_finding_target(&f.target, target), f.count, asked + answered,
		changes >= config->tunnel_changes ? "keeps changing" : "is larger in the replies");
	ps_incidents_report(in, &f, p->added, now);
	p->added = 0;
}

static void judge(void *state, uint64_t now, struct ps_incidents *incidents)
{
	struct ps_pairs *d = state;
	const void *key;
	uint64_t touched;
	uint32_t cursor = 0;
	struct pair *p;

	while ((p = ps_tracks_walk(d->tracks, &cursor, &key, &touched)) && ps_detect_is_recent(touched, now))
		judge_pair(d, key, p, now, incidents);
	ps_tracks_expire(d->tracks, ps_detect_back(now, 2 * d->config->tunnel_window));
}

const struct ps_detector ps_detector_icmp_tunnel = {
	.create = create, .destroy = ps_pairs_destroy, .icmp = icmp, .judge = judge, .usage = ps_pairs_usage};
