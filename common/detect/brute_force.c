/*
 * Brute force: many connections of one source to one service that asks for a login, each of which said something, was
 * short, small and is over. What was said is not read: a script that logs in ten times in two minutes looks the same.
 */
#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/detect/detector.h"
#include "common/detect/pairs.h"
#include "common/detect/range.h"
#include "common/detect/traits.h"
#include "common/detect/window.h"

struct pair {
	struct ps_window tries;
	struct ps_recent recent;
	uint64_t first, last, added;
};

static int create(const struct ps_detect_config *config, void **ret_state)
{
	return ps_pairs_new(config, sizeof(struct pair), PS_BRUTE_PAIRS_MAX, ret_state);
}

/* Did both sides talk, briefly? */
static bool is_try(const struct ps_pairs *d, const struct ps_conn *c)
{
	return !c->midstream && strchr(c->history, 'D') && strchr(c->history, 'd') &&
	       c->duration <= d->config->brute_duration && c->orig_bytes + c->resp_bytes <= d->config->brute_bytes;
}

static void conn(void *state, const struct ps_sight *sight)
{
	struct ps_pairs *d = state;
	const struct ps_conn *c = sight->conn;
	struct ps_track_key key = {.a = c->src_ip, .b = c->dst_ip, .port = c->dst_port};
	uint64_t span = d->config->brute_window, held;
	struct pair *p;

	if (c->proto != IPPROTO_TCP || !sight->closed ||
		!(ps_service_traits(c->proto, c->dst_port) & PS_SERVICE_LOGIN) || !is_try(d, c))
		return;
	p = ps_tracks_get(d->tracks, &key, sight->now);
	if (!p)
		return;
	held = ps_window_sum(&p->tries, span, ps_detect_back(c->last_seen, span), c->last_seen);
	if (!held)
		p->first = c->first_seen;
	p->first = PS_MIN(p->first, c->first_seen);
	p->last = PS_MAX(p->last, c->last_seen);
	p->added++;
	ps_window_add(&p->tries, span, c->last_seen, 1);
	ps_recent_add(&p->recent, c->id);
}

static void judge_pair(
	const struct ps_pairs *d, const struct ps_track_key *key, struct pair *p, uint64_t now, struct ps_incidents *in)
{
	uint64_t span = d->config->brute_window;
	uint64_t tries = ps_window_sum(&p->tries, span, ps_detect_back(now, span), now), seconds = span / PS_NSEC;
	const char *service = ps_service_name(IPPROTO_TCP, key->port);
	struct ps_finding f = {
		.kind = PS_FINDING_BRUTE_FORCE,
		.source = key->a,
		.target = ps_target_of(&key->b, key->port),
		.first = p->first,
		.last = p->last,
		.count = tries,
		.severity = tries >= 100 ? PS_SEVERITY_HIGH : PS_SEVERITY_MEDIUM,
		.rule = {.proposed = true,
			.protocol = IPPROTO_TCP,
			.src = key->a,
			.dst = key->b,
			.dst_port = key->port},
	};
	char source[PS_ADDR_TEXT], target[PS_FINDING_TARGET_TEXT];

	if (tries < d->config->brute_tries)
		return;
	f.confidence = ps_draft_confidence(tries, d->config->brute_tries);
	ps_draft_number(&f, "tries", tries);
	ps_draft_number(&f, "seconds", seconds);
	ps_draft_title(&f, "%s made %" PRIu64 " short connections to %s (%s) in %" PRIu64 " s",
		ps_addr_format(&key->a, source), tries, ps_finding_target(&f.target, target),
		service ? service : "a login service", seconds);
	ps_draft_cite_recent(&f, &p->recent);
	ps_incidents_report(in, &f, PS_MIN(p->added, tries), now);
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
	ps_tracks_expire(d->tracks, ps_detect_back(now, 2 * d->config->brute_window));
}

const struct ps_detector ps_detector_brute_force = {
	.create = create, .destroy = ps_pairs_destroy, .conn = conn, .judge = judge, .usage = ps_pairs_usage};
