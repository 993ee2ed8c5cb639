#include "common/detect/detect.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/detect/detector.h"
#include "common/detect/incidents.h"
#include "common/detect/sight.h"

static const struct ps_detector *const detectors[] = {
#define PS_DETECTOR(suffix, name, functions, doc) [PS_FINDING_##suffix] = &ps_detector_##functions,
#include "common/detect/detector.def"
};

struct ps_detect {
	struct ps_detect_config config;
	struct ps_sights *sights;
	struct ps_incidents *incidents;
	void *state[PS_FINDING_KINDS];
	uint64_t now; /* the latest that was heard */
	uint64_t judged;
	uint64_t records, resets;
};

void ps_detect_config_defaults(struct ps_detect_config *ret_config)
{
	*ret_config = (struct ps_detect_config){
#define PS_THRESHOLD_NUMBER(member, option, fallback, min, max, arg, help) .member = (fallback),
#define PS_THRESHOLD_SECONDS(member, option, fallback, min, max, help) .member = (fallback)*1000000000ull,
#include "common/detect/threshold.def"
	};
}

/* --- beginning and end ---------------------------------------------------------------------------- */

static void forget(struct ps_detect *d)
{
	ps_sights_free(&d->sights);
	for (unsigned k = 0; k < PS_FINDING_KINDS; k++) {
		detectors[k]->destroy(d->state[k]);
		d->state[k] = NULL;
	}
}

static int begin(struct ps_detect *d)
{
	int r = ps_sights_new(&d->sights);

	for (unsigned k = 0; r == 0 && k < PS_FINDING_KINDS; k++)
		r = detectors[k]->create(&d->config, &d->state[k]);
	return r;
}

int ps_detect_new(const struct ps_detect_config *config, ps_detect_fn fn, void *arg, struct ps_detect **ret_detect)
{
	_cleanup_(ps_detect_free) struct ps_detect *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->config = *config;
	r = ps_incidents_new(fn, arg, &d->incidents);
	if (r == 0)
		r = begin(d);
	if (r < 0)
		return r;
	*ret_detect = PS_TAKE(d);
	return 0;
}

void ps_detect_free(struct ps_detect **detect)
{
	if (!*detect)
		return;
	forget(*detect);
	ps_incidents_free(&(*detect)->incidents);
	ps_freep(detect);
}

/* --- time ------------------------------------------------------------------------------------------ */

static void judge(struct ps_detect *d, uint64_t now)
{
	for (unsigned k = 0; k < PS_FINDING_KINDS; k++)
		detectors[k]->judge(d->state[k], now, d->incidents);
	d->judged = now;
}

/* After a silence, first the moments in which what was waiting before it is judged; then what comes after is old. */
static void pass(struct ps_detect *d, uint64_t now)
{
	uint64_t until = PS_MIN(now, d->judged + d->config.grace + 3 * PS_DETECT_TICK_NS);

	while (d->judged + 2 * PS_DETECT_TICK_NS <= until)
		judge(d, d->judged + PS_DETECT_TICK_NS);
	judge(d, now);
}

/*
 * A clock that was put back makes all that is remembered seem to lie ahead. Without memory for a fresh start nothing is
 * heard until the next one.
 */
static void begin_anew(struct ps_detect *d, uint64_t now)
{
	d->resets++;
	forget(d);
	d->now = d->judged = now;
	if (begin(d) < 0)
		forget(d);
}

/* false: there is no memory to go on. */
static bool hear(struct ps_detect *d, uint64_t now)
{
	if (!d->judged)
		d->judged = d->now = now;
	if (now + PS_DETECT_BACK_NS < d->now)
		begin_anew(d, now);
	if (!d->sights)
		return false;
	d->now = PS_MAX(d->now, now);
	if (d->now >= d->judged + PS_DETECT_TICK_NS)
		ps_detect_tick(d, d->now);
	return true;
}

void ps_detect_tick(struct ps_detect *d, uint64_t now)
{
	if (!d->sights || !d->judged || now + PS_DETECT_EARLY_NS < d->judged + PS_DETECT_TICK_NS)
		return;
	pass(d, now);
	ps_sights_tick(d->sights, now);
	ps_incidents_tick(d->incidents, now, d->config.quiet);
}

void ps_detect_finish(struct ps_detect *d, uint64_t now)
{
	if (!d->sights || !d->judged)
		return;
	pass(d, PS_MAX(now, d->now) + d->config.grace + 2 * PS_DETECT_TICK_NS);
}

/* --- records --------------------------------------------------------------------------------------- */

void ps_detect_conn(struct ps_detect *d, enum ps_detect_event event, const struct ps_conn *conn, uint64_t now)
{
	struct ps_sight sight;

	d->records++;
	if (!hear(d, now) || !ps_sights_see(d->sights, event, conn, now, &sight))
		return;
	for (unsigned k = 0; k < PS_FINDING_KINDS; k++) {
		if (detectors[k]->conn)
			detectors[k]->conn(d->state[k], &sight);
	}
}

void ps_detect_icmp(struct ps_detect *d, const struct ps_icmp *icmp, uint64_t now)
{
	d->records++;
	if (!hear(d, now))
		return;
	for (unsigned k = 0; k < PS_FINDING_KINDS; k++) {
		if (detectors[k]->icmp)
			detectors[k]->icmp(d->state[k], icmp, now);
	}
}

/* --- what was found -------------------------------------------------------------------------------- */

size_t ps_detect_count(const struct ps_detect *d)
{
	return ps_incidents_count(d->incidents);
}

const struct ps_finding *ps_detect_finding(const struct ps_detect *d, size_t i)
{
	return ps_incidents_at(d->incidents, i);
}

void ps_detect_totals(const struct ps_detect *d, struct ps_detect_totals *ret_totals)
{
	struct ps_detect_totals t = {.records = d->records, .resets = d->resets};
	struct ps_tracks_usage conns = {0}, tracks = {0};

	ps_incidents_totals(d->incidents, &t);
	if (d->sights)
		ps_sights_usage(d->sights, &conns);
	for (unsigned k = 0; d->sights && k < PS_FINDING_KINDS; k++)
		detectors[k]->usage(d->state[k], &tracks);
	t.connections = conns.tracks;
	t.tracks = tracks.tracks;
	t.evicted = conns.evicted + tracks.evicted;
	t.bytes += conns.bytes + tracks.bytes;
	*ret_totals = t;
}
