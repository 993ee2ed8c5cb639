/*
 * SYN flood: of the handshakes that are begun with one service, most are not completed, and they are many. The source
 * is named when most of them come from one address; a flood with forged sources has its target only.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/detect/detector.h"
#include "common/detect/range.h"
#include "common/detect/window.h"

/* One source sends at least this share of what one source is blamed for, in percent. */
#define ONE_SOURCE_SHARE 80u

struct target {
	struct ps_window begun, half_open; /* by the time of the first packet */
	struct ps_recent recent;
	/* Boyer and Moore's majority vote: if one source sends most, it is this one. */
	struct ps_addr source;
	uint64_t votes, same, all;
	uint64_t first, last; /* of those in the window */
	uint64_t left;        /* begun and not completed, ever */
	uint64_t told;        /* of those, accounted for in reports */
};

struct syn_flood {
	const struct ps_detect_config *config;
	uint64_t span; /* of the windows: what is judged, and before that the grace */
	struct ps_tracks *targets;
};

static void destroy(void *state)
{
	struct syn_flood *d = state;

	if (!d)
		return;
	ps_tracks_free(&d->targets);
	free(d);
}

static int create(const struct ps_detect_config *config, void **ret_state)
{
	struct syn_flood *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->config = config;
	d->span = config->flood_window + config->grace;
	r = ps_tracks_new(
		sizeof(struct ps_track_key), sizeof(struct target), PS_FLOOD_TARGETS_MAX, NULL, NULL, &d->targets);
	if (r < 0) {
		destroy(d);
		return r;
	}
	*ret_state = d;
	return 0;
}

static void vote(struct target *t, const struct ps_addr *source)
{
	if (t->votes == 0) {
		t->source = *source;
		t->same = t->all = 0;
	}
	t->all++;
	if (ps_addr_equal(&t->source, source)) {
		t->votes++;
		t->same++;
	} else {
		t->votes--;
	}
}

static void conn(void *state, const struct ps_sight *sight)
{
	struct syn_flood *d = state;
	const struct ps_conn *c = sight->conn;
	struct ps_track_key key = {.b = c->dst_ip, .port = c->dst_port, .proto = c->proto};
	struct target *t;

	if (c->proto != IPPROTO_TCP || c->midstream || (!sight->begun && !sight->answered))
		return;
	t = sight->begun ? ps_tracks_get(d->targets, &key, sight->now) : ps_tracks_find(d->targets, &key);
	if (!t)
		return;
	if (sight->begun) {
		if (!ps_window_sum(&t->half_open, d->span, ps_detect_back(c->first_seen, d->span), c->first_seen))
			t->first = c->first_seen;
		ps_window_add(&t->begun, d->span, c->first_seen, 1);
		ps_window_add(&t->half_open, d->span, c->first_seen, 1);
		t->left++;
		t->last = PS_MAX(t->last, c->first_seen);
		ps_recent_add(&t->recent, c->id);
		vote(t, &c->src_ip);
	}
	if (sight->answered) {
		ps_window_take(&t->half_open, d->span, c->first_seen, 1);
		t->left -= t->left > 0;
		ps_recent_remove(&t->recent, c->id);
	}
}

static void judge_target(const struct syn_flood *d, const struct ps_track_key *key, struct target *t, uint64_t now,
	struct ps_incidents *in)
{
	uint64_t from = ps_detect_back(now, d->span), to = ps_detect_back(now, d->config->grace);
	uint64_t half_open = ps_window_sum(&t->half_open, d->span, from, to);
	uint64_t begun = ps_window_sum(&t->begun, d->span, from, to), settled, added;
	uint64_t window = d->config->flood_window / PS_NSEC;
	bool one = t->same * 100 >= t->all * ONE_SOURCE_SHARE;
	struct ps_finding f = {
		.kind = PS_FINDING_SYN_FLOOD,
		.first = t->first,
		.last = t->last,
		.count = half_open,
		.target = ps_target_of(&key->b, key->port),
	};
	char source[PS_ADDR_TEXT], target[PS_FINDING_TARGET_TEXT];

	if (half_open < d->config->flood_syns || half_open * 100 < begun * d->config->flood_share)
		return;
	/* What came within the grace may yet be completed. */
	settled = ps_window_sum(&t->half_open, d->span, from, now) - half_open;
	settled = t->left > settled ? t->left - settled : 0;
	added = PS_MIN(settled > t->told ? settled - t->told : 0, half_open);
	t->told = settled;
	f.severity = half_open / window >= 1000 ? PS_SEVERITY_CRITICAL : PS_SEVERITY_HIGH;
	f.confidence = ps_draft_confidence(half_open, d->config->flood_syns);
	ps_draft_number(&f, "half_open", half_open);
	ps_draft_number(&f, "begun", begun);
	ps_draft_number(&f, "seconds", window);
	(void)ps_finding_target(&f.target, target);
	if (one) {
		f.source = t->source;
		f.rule = (struct ps_finding_rule){.proposed = true,
			.protocol = IPPROTO_TCP,
			.src = t->source,
			.dst = key->b,
			.dst_port = key->port,
			.syn = true};
		ps_draft_title(&f, "%s began %" PRIu64 " handshakes with %s in %" PRIu64 " s that were not completed",
			ps_addr_format(&t->source, source), half_open, target, window);
	} else {
		f.rule = (struct ps_finding_rule){.proposed = true,
			.protocol = IPPROTO_TCP,
			.dst = key->b,
			.dst_port = key->port,
			.syn = true,
			.rate_limit = PS_FINDING_RULE_RATE};
		ps_draft_title(&f,
			"%" PRIu64 " of %" PRIu64 " handshakes with %s in %" PRIu64
			" s, from many sources, were not completed",
			half_open, begun, target, window);
	}
	ps_draft_cite_recent(&f, &t->recent);
	ps_incidents_report(in, &f, added, now);
}

static void judge(void *state, uint64_t now, struct ps_incidents *incidents)
{
	struct syn_flood *d = state;
	const void *key;
	uint64_t touched;
	uint32_t cursor = 0;
	struct target *t;

	/* What began just before the grace is judged only now. */
	while ((t = ps_tracks_walk(d->targets, &cursor, &key, &touched)) &&
		touched + d->config->grace + 2 * PS_DETECT_TICK_NS > now)
		judge_target(d, key, t, now, incidents);
	ps_tracks_expire(d->targets, ps_detect_back(now, 2 * d->span));
}

static void usage(const void *state, struct ps_tracks_usage *sum)
{
	const struct syn_flood *d = state;

	ps_tracks_usage(d->targets, sum);
}

const struct ps_detector ps_detector_syn_flood = {
	.create = create, .destroy = destroy, .conn = conn, .judge = judge, .usage = usage};
