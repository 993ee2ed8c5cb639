/*
 * Incidents: what the detectors report again and again becomes one finding that grows. Pure; internal to
 * common/detect/.
 */
#ifndef PS_DETECT_INCIDENTS_H
#define PS_DETECT_INCIDENTS_H

#include "common/detect/detect.h"

struct ps_incidents;

/* -ENOMEM */
int ps_incidents_new(ps_detect_fn fn, void *arg, struct ps_incidents **ret_incidents);
void ps_incidents_free(struct ps_incidents **incidents);

/*
 * What a detector sees now: a finding without id and open, whose `count` is what its window holds. The first report of
 * its kind and source (or target, without a source) opens an incident of that size; each later one makes it larger by
 * `added`. Texts, numbers and target are those of the largest report so far. now: when it was last added to.
 */
void ps_incidents_report(struct ps_incidents *in, const struct ps_finding *draft, uint64_t added, uint64_t now);
/* The same, of what comes so rarely that only `patience` without more of it means that it is over. */
void ps_incidents_report_slow(
	struct ps_incidents *in, const struct ps_finding *draft, uint64_t added, uint64_t patience, uint64_t now);

/* How many connection ids a report of this kind, source and target could still add. */
size_t ps_incidents_room(const struct ps_incidents *in, const struct ps_finding *draft);

/* Closes what has not grown for `quiet`, or for its patience if that is longer. */
void ps_incidents_tick(struct ps_incidents *in, uint64_t now, uint64_t quiet);

/* All that are kept, the newest first. */
size_t ps_incidents_count(const struct ps_incidents *in);
const struct ps_finding *ps_incidents_at(const struct ps_incidents *in, size_t i);

/* Sets found, open and refused, and adds to bytes. */
void ps_incidents_totals(const struct ps_incidents *in, struct ps_detect_totals *totals);

/* For those who write a draft. */
void ps_draft_number(struct ps_finding *draft, const char *name, uint64_t value);
void ps_draft_cite(struct ps_finding *draft, uint64_t connection);
void ps_draft_title(struct ps_finding *draft, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* 0.5 at the threshold, more with every multiple of it, never certain. */
double ps_draft_confidence(uint64_t n, uint64_t threshold);

/* The ids of the latest connections of a track, the newest in the place before `next`. */
struct ps_recent {
	uint64_t id[PS_FINDING_CONNECTIONS_MAX];
	uint32_t next;
};
void ps_recent_add(struct ps_recent *r, uint64_t id);
void ps_recent_remove(struct ps_recent *r, uint64_t id);
/* Cites them, the newest first. */
void ps_draft_cite_recent(struct ps_finding *draft, const struct ps_recent *r);

#endif
