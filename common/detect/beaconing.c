/*
 * Beaconing: new connections of one source to one service at even intervals, with little in each. Connections that
 * begin together are one call; a call that carries much, or comes too soon or too late, begins the count anew. Services
 * that call at even intervals by nature (time, names, leases) are left out; health checks and agents that report are
 * not: they are the same thing with a good purpose.
 */
#include <inttypes.h>
#include <math.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/detect/detector.h"
#include "common/detect/pairs.h"
#include "common/detect/range.h"
#include "common/detect/traits.h"

#define MS 1000000ull

/* Intervals without a call after which it is over. */
#define PATIENCE 3

struct pair {
	uint64_t began; /* the last call */
	uint64_t bytes; /* of it so far */
	uint64_t first; /* the first call of those that are counted */
	uint64_t calls; /* since then */
	uint64_t told;  /* calls at the last report */
	struct ps_recent recent;
	uint32_t interval[PS_BEACON_INTERVALS]; /* ms, a ring */
	uint32_t n;                             /* intervals so far */
};

static int create(const struct ps_detect_config *config, void **ret_state)
{
	return ps_pairs_new(config, sizeof(struct pair), PS_BEACON_PAIRS_MAX, ret_state);
}

static void begin_anew(struct pair *p, const struct ps_conn *c)
{
	*p = (struct pair){.began = c->first_seen, .first = c->first_seen, .calls = 1};
	ps_recent_add(&p->recent, c->id);
}

static void call(const struct ps_pairs *d, struct pair *p, const struct ps_conn *c)
{
	uint64_t interval = c->first_seen > p->began ? c->first_seen - p->began : 0;

	if (p->calls && interval < PS_BEACON_TOGETHER_NS)
		return;
	if (!p->calls || interval < d->config->beacon_min || interval > d->config->beacon_max ||
		p->bytes > d->config->beacon_bytes) {
		begin_anew(p, c);
		return;
	}
	p->interval[p->n++ % PS_BEACON_INTERVALS] = (uint32_t)(interval / MS);
	p->began = c->first_seen;
	p->bytes = 0;
	p->calls++;
	ps_recent_add(&p->recent, c->id);
}

static void conn(void *state, const struct ps_sight *sight)
{
	struct ps_pairs *d = state;
	const struct ps_conn *c = sight->conn;
	struct ps_track_key key = {.a = c->src_ip, .b = c->dst_ip, .port = c->dst_port, .proto = c->proto};
	struct pair *p;

	if (c->midstream || ps_addr_is_group(&c->dst_ip) ||
		(ps_service_traits(c->proto, c->dst_port) | ps_service_traits(c->proto, c->src_port)) &
			PS_SERVICE_PERIODIC)
		return;
	p = sight->begun ? ps_tracks_get(d->tracks, &key, sight->now) : ps_tracks_find(d->tracks, &key);
	if (!p)
		return;
	if (sight->begun)
		call(d, p, c);
	p->bytes += sight->orig_bytes + sight->resp_bytes;
}

/*
 * Mean of the last n intervals, and their standard deviation in percent of it. The one that is farthest from the mean
 * is left out: a call may be lost.
 */
static double deviation(const struct pair *p, uint32_t n, double *ret_mean)
{
	double sum = 0, far = 0, squares = 0, mean;
	uint32_t farthest = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += p->interval[(p->n - 1 - i) % PS_BEACON_INTERVALS];
	mean = sum / n;
	for (uint32_t i = 0; i < n; i++) {
		double off = fabs(p->interval[(p->n - 1 - i) % PS_BEACON_INTERVALS] - mean);

		if (off > far) {
			far = off;
			farthest = i;
		}
	}
	if (far > 0)
		sum -= p->interval[(p->n - 1 - farthest) % PS_BEACON_INTERVALS];
	*ret_mean = mean = far > 0 ? sum / (n - 1) : mean;
	for (uint32_t i = 0; i < n; i++) {
		double off = p->interval[(p->n - 1 - i) % PS_BEACON_INTERVALS] - mean;

		squares += far > 0 && i == farthest ? 0 : off * off;
	}
	return 100 * sqrt(squares / (far > 0 ? n - 1 : n)) / mean;
}

static void judge_pair(
	const struct ps_pairs *d, const struct ps_track_key *key, struct pair *p, uint64_t now, struct ps_incidents *in)
{
	uint32_t n = PS_MIN(p->n, PS_BEACON_INTERVALS);
	bool within = ps_addr_is_private(&key->a) && ps_addr_is_private(&key->b);
	struct ps_finding f = {
		.kind = PS_FINDING_BEACONING,
		.source = key->a,
		.target = ps_target_of(&key->b, key->port),
		.first = p->first,
		.last = p->began,
		.count = p->calls,
		.severity = within ? PS_SEVERITY_LOW : PS_SEVERITY_MEDIUM,
		.rule = {.proposed = true,
			.protocol = key->proto,
			.src = key->a,
			.dst = key->b,
			.dst_port = key->port,
			.both = true},
	};
	char source[PS_ADDR_TEXT], target[PS_FINDING_TARGET_TEXT], proto[8];
	double jitter, mean;

	if (n + 1 < d->config->beacon_calls || p->bytes > d->config->beacon_bytes)
		return;
	/* Few intervals are even by chance more easily than many. */
	jitter = deviation(p, n, &mean);
	if (jitter > (double)(d->config->beacon_jitter * n) / PS_BEACON_INTERVALS)
		return;
	/* The more even and the longer, the surer; within one's own networks it is more likely a check. */
	f.confidence = ps_draft_confidence(p->calls, d->config->beacon_calls) * (within ? 0.5 : 1);
	ps_draft_number(&f, "calls", p->calls);
	ps_draft_number(&f, "interval_ms", (uint64_t)(mean + 0.5));
	ps_draft_number(&f, "jitter_percent", (uint64_t)(jitter + 0.5));
	ps_draft_title(&f, "%s called %s (%s) %" PRIu64 " times, every %.1f s", ps_addr_format(&key->a, source),
		ps_finding_target(&f.target, target), ps_proto_name(key->proto, proto), p->calls, mean / 1000);
	ps_draft_cite_recent(&f, &p->recent);
	ps_incidents_report_slow(in, &f, p->calls - p->told, (uint64_t)(PATIENCE * mean) * MS, now);
	p->told = p->calls;
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
	ps_tracks_expire(d->tracks, ps_detect_back(now, d->config->beacon_max + d->config->grace));
}

const struct ps_detector ps_detector_beaconing = {
	.create = create, .destroy = ps_pairs_destroy, .conn = conn, .judge = judge, .usage = ps_pairs_usage};
