/*
 * UDP amplification, from both ends. Asked: a host is used as a reflector; someone (whose address is most likely
 * forged: it is the victim) asks one of its services little and is answered much. Unasked: a host is the victim;
 * answers of a service come that it has not asked for, often from many reflectors. Only services that are known to
 * amplify are looked at: a download over QUIC has the same shape.
 */
#include <inttypes.h>
#include <netinet/in.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/detect/detector.h"
#include "common/detect/pairs.h"
#include "common/detect/range.h"
#include "common/detect/traits.h"
#include "common/detect/window.h"

/* key.proto: which end. Asked: a asks b. Unasked: b is sent what it did not ask for. */
#define ASKED 1u
#define UNASKED 2u

struct pair {
	struct ps_window asked, answered;
	struct ps_recent recent;
	struct ps_range reflectors; /* of unasked answers */
	uint64_t first, last, added;
};

static int create(const struct ps_detect_config *config, void **ret_state)
{
	return ps_pairs_new(config, sizeof(struct pair), PS_AMP_PAIRS_MAX, ret_state);
}

/* Which track the record belongs to; false: to none. */
static bool key_of(const struct ps_conn *c, struct ps_track_key *ret_key)
{
	unsigned to = ps_service_traits(c->proto, c->dst_port), from = ps_service_traits(c->proto, c->src_port);

	*ret_key = (struct ps_track_key){.a = c->src_ip, .b = c->dst_ip, .port = c->dst_port, .proto = ASKED};
	/* Where only one direction is watched nothing can be said of who asked. */
	if (c->proto != IPPROTO_UDP || c->view == PS_VIEW_INGRESS || ps_addr_is_group(&c->dst_ip))
		return false;
	if (to & PS_SERVICE_AMPLIFIES && !(from & PS_SERVICE_AMPLIFIES && !c->resp_packets))
		return true;
	if (!(from & (PS_SERVICE_AMPLIFIES | PS_SERVICE_POLLED)) || c->resp_packets)
		return false;
	*ret_key = (struct ps_track_key){.b = c->dst_ip, .port = c->src_port, .proto = UNASKED};
	return true;
}

static void conn(void *state, const struct ps_sight *sight)
{
	struct ps_pairs *d = state;
	const struct ps_conn *c = sight->conn;
	uint64_t span = d->config->amp_window, answered;
	struct ps_track_key key;
	struct pair *p;

	if (!(sight->orig_bytes || sight->resp_bytes) || !key_of(c, &key))
		return;
	p = ps_tracks_get(d->tracks, &key, sight->now);
	if (!p)
		return;
	answered = key.proto == ASKED ? sight->resp_bytes : sight->orig_bytes;
	if (key.proto == ASKED)
		ps_window_add(&p->asked, span, sight->now, sight->orig_bytes);
	else
		ps_range_add(&p->reflectors, &c->src_ip);
	ps_window_add(&p->answered, span, sight->now, answered);
	p->added += answered;
	p->first = p->first ? PS_MIN(p->first, c->first_seen) : c->first_seen;
	p->last = PS_MAX(p->last, c->last_seen);
	if (sight->begun)
		ps_recent_add(&p->recent, c->id);
}

static void draft_asked(struct ps_finding *f, const struct ps_track_key *key, uint64_t asked, uint64_t answered)
{
	const char *service = ps_service_name(IPPROTO_UDP, key->port);
	char source[PS_ADDR_TEXT], target[PS_FINDING_TARGET_TEXT];

	f->source = key->a;
	f->target = ps_target_of(&key->b, key->port);
	f->rule.src = key->a;
	f->rule.dst = key->b;
	f->rule.dst_port = key->port;
	ps_draft_title(f, "%s (%s) sent %" PRIu64 " bytes to %s, which had asked with %" PRIu64,
		ps_finding_target(&f->target, target), service, answered, ps_addr_format(&key->a, source), asked);
}

static void draft_unasked(
	struct ps_finding *f, const struct ps_track_key *key, const struct ps_range *reflectors, uint64_t answered)
{
	const char *service = ps_service_name(IPPROTO_UDP, key->port);
	struct ps_finding_target from = ps_range_target(reflectors, 0);
	bool one = ps_addr_equal(&reflectors->low, &reflectors->high);
	char source[PS_FINDING_TARGET_TEXT], target[PS_FINDING_TARGET_TEXT];

	f->target = ps_target_of(&key->b, 0);
	if (one)
		f->source = f->rule.src = reflectors->low;
	f->rule.dst = key->b;
	f->rule.src_port = key->port;
	ps_draft_title(f, "%s was sent %" PRIu64 " bytes that it did not ask for by %s of %s",
		ps_finding_target(&f->target, target), answered, service, ps_finding_target(&from, source));
}

static void judge_pair(
	const struct ps_pairs *d, const struct ps_track_key *key, struct pair *p, uint64_t now, struct ps_incidents *in)
{
	const struct ps_detect_config *config = d->config;
	uint64_t span = config->amp_window, from = ps_detect_back(now, span);
	uint64_t asked = ps_window_sum(&p->asked, span, from, now);
	uint64_t answered = ps_window_sum(&p->answered, span, from, now);
	struct ps_finding f = {
		.kind = PS_FINDING_UDP_AMPLIFICATION,
		.first = p->first,
		.last = p->last,
		.count = answered,
		.confidence = ps_draft_confidence(answered, config->amp_bytes),
		.severity = answered / (span / PS_NSEC) >= 10000000 ? PS_SEVERITY_CRITICAL : PS_SEVERITY_HIGH,
		.rule = {.proposed = true, .protocol = IPPROTO_UDP, .rate_limit = PS_FINDING_RULE_RATE},
	};

	if (answered < config->amp_bytes || answered < asked * config->amp_factor)
		return;
	ps_draft_number(&f, "bytes", answered);
	ps_draft_number(&f, "asked_bytes", asked);
	if (asked)
		ps_draft_number(&f, "factor", answered / asked);
	ps_draft_number(&f, "port", key->port);
	ps_draft_number(&f, "seconds", span / PS_NSEC);
	if (key->proto == ASKED)
		draft_asked(&f, key, asked, answered);
	else
		draft_unasked(&f, key, &p->reflectors, answered);
	ps_draft_cite_recent(&f, &p->recent);
	ps_incidents_report(in, &f, PS_MIN(p->added, answered), now);
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
	ps_tracks_expire(d->tracks, ps_detect_back(now, 2 * d->config->amp_window));
}

const struct ps_detector ps_detector_udp_amplification = {
	.create = create, .destroy = ps_pairs_destroy, .conn = conn, .judge = judge, .usage = ps_pairs_usage};
