/*
 * The detectors: records of connections and ICMP go in, findings come out.
 *
 * Pure: time is the records' own and `now`, both ns since 1970; nothing is logged. Memory is bounded by
 * common/detect/limits.h: a table that is full forgets what was silent longest, and counts it.
 *
 * There is one incident for each source and kind (and, where the sources are many, for each target and kind). It is
 * told when it is found, when its `count` passes 10, 100, 1000 …, and when it closes. What each detector looks at, and
 * its thresholds: docs/detectors.md.
 *
 * Records may come late, twice, out of order, or not at all; what is not seen is not found. Not thread-safe.
 */
#ifndef PS_DETECT_H
#define PS_DETECT_H

#include <stddef.h>
#include <stdint.h>

#include "common/detect/finding.h"
#include "common/model/schema.h"

/* The thresholds, as set. */
struct ps_detect_config {
#define PS_THRESHOLD_NUMBER(member, option, fallback, min, max, arg, help) uint64_t member;
#define PS_THRESHOLD_SECONDS(member, option, fallback, min, max, help) uint64_t member; /* ns */
#include "common/detect/threshold.def"
};

/* What the table says, for whoever reads no options. */
void ps_detect_config_defaults(struct ps_detect_config *ret_config);

/*
 * Rows for a table of struct ps_option, of settings that hold a struct ps_detect_config in `m`:
 *
 *	#define PS_THRESHOLD_NUMBER(…) PS_DETECT_OPTION_NUMBER(struct settings, detect, …)
 *	#define PS_THRESHOLD_SECONDS(…) PS_DETECT_OPTION_SECONDS(struct settings, detect, …)
 *	#include "common/detect/threshold.def"
 */
#define PS_DETECT_OPTION_NUMBER(st, m, member, option, fallback, min, max, arg, help) \
	PS_OPT_U64(option, 0, st, m.member, #fallback, min, max, arg, help),
#define PS_DETECT_OPTION_SECONDS(st, m, member, option, fallback, min, max, help) \
	PS_OPT_SECONDS(option, 0, st, m.member, #fallback, (min)*1000000000ull, (max)*1000000000ull, help),

struct ps_detect;

/* Told of an incident: found, grown tenfold, or closed (f->open is false). f is good until fn returns. */
typedef void (*ps_detect_fn)(void *arg, const struct ps_finding *f);

/* fn may be NULL. -ENOMEM. */
int ps_detect_new(const struct ps_detect_config *config, ps_detect_fn fn, void *arg, struct ps_detect **ret_detect);
void ps_detect_free(struct ps_detect **detect);

enum ps_detect_event {
	PS_DETECT_NEW,    /* conn.new */
	PS_DETECT_UPDATE, /* conn.update */
	PS_DETECT_END,    /* conn.end */
};

/* One record, with the counters it has so far. now: when it is heard. */
void ps_detect_conn(struct ps_detect *d, enum ps_detect_event event, const struct ps_conn *conn, uint64_t now);
void ps_detect_icmp(struct ps_detect *d, const struct ps_icmp *icmp, uint64_t now);

/* Judges what has been gathered: call it once a second. Findings come only from here and from finish. */
void ps_detect_tick(struct ps_detect *d, uint64_t now);

/* The end of a capture: what still waits for an answer has had its time. Closes nothing. */
void ps_detect_finish(struct ps_detect *d, uint64_t now);

/* Incidents, open and closed, the newest first: i = 0 … count - 1. Good until the next call that takes `d` to change.
 */
size_t ps_detect_count(const struct ps_detect *d);
const struct ps_finding *ps_detect_finding(const struct ps_detect *d, size_t i);

struct ps_detect_totals {
	uint64_t records;     /* heard */
	uint64_t found;       /* incidents so far */
	uint64_t open;        /* now */
	uint64_t refused;     /* incidents that found no room */
	uint64_t connections; /* remembered now */
	uint64_t tracks;      /* sources, targets and pairs watched now, all detectors together */
	uint64_t evicted;     /* of both, forgotten early because a table was full */
	uint64_t resets;      /* times everything was forgotten because the clock went back */
	uint64_t bytes;       /* of memory in the tables */
};
void ps_detect_totals(const struct ps_detect *d, struct ps_detect_totals *ret_totals);

#endif
