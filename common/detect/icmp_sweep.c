/*
 * ICMP sweep: echo requests to many addresses, most of which don't answer. Addresses that answer don't count, so a
 * monitoring host may ask as many as it likes.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/detect/detector.h"
#include "common/detect/echo.h"
#include "common/detect/probes.h"
#include "common/detect/range.h"
#include "common/detect/traits.h"

struct source {
	uint64_t silent, alive, added, first, last;
	struct ps_range hosts; /* that are silent */
};

struct icmp_sweep {
	const struct ps_detect_config *config;
	struct ps_probes *probes;
	struct ps_tracks *alive; /* (source, host) that answered */
	struct ps_tracks *sources;
	uint64_t now;
};

static struct source *source_of(const struct icmp_sweep *d, const struct ps_track_key *pair)
{
	struct ps_track_key key = {.a = pair->a};

	return ps_tracks_find(d->sources, &key);
}

static void on_probe(void *arg, const struct ps_track_key *pair, bool failed, uint64_t when)
{
	struct icmp_sweep *d = arg;
	struct ps_track_key key = {.a = pair->a};
	struct source *s = failed ? ps_tracks_get(d->sources, &key, d->now) : ps_tracks_find(d->sources, &key);

	if (!s)
		return;
	if (failed) {
		if (!s->silent++)
			s->first = when;
		s->last = PS_MAX(s->last, when);
		s->added++;
		ps_range_add(&s->hosts, &pair->b);
		return;
	}
	s->silent -= s->silent > 0;
	if (!s->silent)
		s->hosts = (struct ps_range){0};
}

static void on_alive_out(void *arg, const void *key, void *value, uint64_t touched)
{
	struct source *s = source_of(arg, key);

	(void)value;
	(void)touched;
	if (s)
		s->alive -= s->alive > 0;
}

static void destroy(void *state)
{
	struct icmp_sweep *d = state;

	if (!d)
		return;
	ps_probes_free(&d->probes);
	ps_tracks_free(&d->alive);
	ps_tracks_free(&d->sources);
	free(d);
}

static int create(const struct ps_detect_config *config, void **ret_state)
{
	struct icmp_sweep *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->config = config;
	r = ps_probes_new(PS_SWEEP_PROBES_MAX, on_probe, d, &d->probes);
	if (r == 0)
		r = ps_tracks_new(
			sizeof(struct ps_track_key), sizeof(uint64_t), PS_SWEEP_PROBES_MAX, on_alive_out, d, &d->alive);
	if (r == 0)
		r = ps_tracks_new(sizeof(struct ps_track_key), sizeof(struct source), PS_SWEEP_SOURCES_MAX, NULL, NULL,
			&d->sources);
	if (r < 0) {
		destroy(d);
		return r;
	}
	*ret_state = d;
	return 0;
}

static void answered(struct icmp_sweep *d, const struct ps_track_key *pair, uint64_t now)
{
	struct ps_track_key key = {.a = pair->a};
	struct source *s;

	ps_probes_answered(d->probes, pair);
	if (!ps_tracks_find(d->alive, pair)) {
		s = ps_tracks_get(d->sources, &key, now);
		if (s)
			s->alive++;
	}
	(void)ps_tracks_get(d->alive, pair, now);
}

static void icmp(void *state, const struct ps_icmp *i, uint64_t now)
{
	struct icmp_sweep *d = state;
	struct ps_track_key pair = {.a = i->src_ip, .b = i->dst_ip};

	if (ps_echo_is_reply(i)) {
		pair = (struct ps_track_key){.a = i->dst_ip, .b = i->src_ip};
		answered(d, &pair, now);
	} else if (ps_echo_is_request(i) && !ps_addr_is_group(&i->dst_ip) && !ps_tracks_find(d->alive, &pair)) {
		ps_probes_sent(d->probes, &pair, 0, now);
	}
}

static void judge_source(
	const struct icmp_sweep *d, const struct ps_addr *addr, struct source *s, uint64_t now, struct ps_incidents *in)
{
	struct ps_finding f = {
		.kind = PS_FINDING_ICMP_SWEEP,
		.source = *addr,
		.first = s->first,
		.last = s->last,
		.count = s->silent,
		.severity = s->silent >= 1000 ? PS_SEVERITY_MEDIUM : PS_SEVERITY_LOW,
		.rule = {.proposed = true,
			.protocol = addr->family == PS_FAMILY_IPV6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
			.src = *addr,
			.echo = true},
	};
	char source[PS_ADDR_TEXT], target[PS_FINDING_TARGET_TEXT];

	if (s->silent < d->config->sweep_hosts || s->silent * 100 < d->config->sweep_share * (s->silent + s->alive))
		return;
	f.target = ps_range_target(&s->hosts, 0);
	f.confidence = ps_draft_confidence(s->silent, d->config->sweep_hosts);
	ps_draft_number(&f, "silent", s->silent);
	ps_draft_number(&f, "alive", s->alive);
	ps_draft_title(&f, "%s sent echo requests to %" PRIu64 " addresses in %s, of which %" PRIu64 " answered",
		ps_addr_format(addr, source), s->silent + s->alive, ps_finding_target(&f.target, target), s->alive);
	ps_incidents_report(in, &f, s->added, now);
	s->added = 0;
}

static void judge(void *state, uint64_t now, struct ps_incidents *incidents)
{
	struct icmp_sweep *d = state;
	uint64_t window = d->config->sweep_window, touched;
	const void *key;
	uint32_t cursor = 0;
	struct source *s;

	d->now = now;
	ps_probes_tick(d->probes, now, d->config->grace, window);
	ps_tracks_expire(d->alive, ps_detect_back(now, window));
	while ((s = ps_tracks_walk(d->sources, &cursor, &key, &touched)) && ps_detect_is_recent(touched, now))
		judge_source(d, &((const struct ps_track_key *)key)->a, s, now, incidents);
	ps_tracks_expire(d->sources, ps_detect_back(now, 2 * (window + d->config->grace)));
}

static void usage(const void *state, struct ps_tracks_usage *sum)
{
	const struct icmp_sweep *d = state;

	ps_probes_usage(d->probes, sum);
	ps_tracks_usage(d->alive, sum);
	ps_tracks_usage(d->sources, sum);
}

const struct ps_detector ps_detector_icmp_sweep = {
	.create = create, .destroy = destroy, .icmp = icmp, .judge = judge, .usage = usage};
