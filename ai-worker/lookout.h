/*
 * The lookout: hears what the collector and the aggregator tell of connections and ICMP, lets the detectors
 * (common/detect/detect.h) judge it, publishes what they find, and keeps it for those who ask.
 */
#ifndef PS_AI_LOOKOUT_H
#define PS_AI_LOOKOUT_H

#include "common/base/error.h"
#include "common/bus/bus.h"
#include "common/bus/loop.h"
#include "common/detect/detect.h"

struct ps_lookout;

/*
 * Subscribes to where->events and where->state, binds where->findings, and goes into the loop with a timer of its own.
 * Free it after the loop, before the bus. -ENOMEM, or why the socket can't be bound (err).
 */
int ps_lookout_new(struct ps_bus *bus, struct ps_loop *loop, const struct ps_endpoints *where,
	const struct ps_detect_config *config, struct ps_lookout **ret_lookout, struct ps_error *err);
void ps_lookout_free(struct ps_lookout **lookout);

/* The detectors, for whoever wants findings as structs: ps_detect_count, ps_detect_finding. */
const struct ps_detect *ps_lookout_detect(const struct ps_lookout *lookout);

/* Copies of the incidents that are open or ended within PS_AI_FINDINGS_RECENT_NS, at most PS_AI_FINDINGS_DEFAULT of the
 * newest. -ENOMEM. */
int ps_lookout_recent(const struct ps_lookout *lookout, uint64_t wall, struct ps_finding **ret_findings, size_t *ret_n);

/* Publishes a job's progress beside the findings. */
void ps_lookout_tell_job(struct ps_lookout *lookout, const struct ps_value *job);

/*
 * The op `findings` (docs/control.md): {limit, open} → {findings: […], detect: {…}}, times as text. The status of the
 * reply, and *ret_body (the caller's) or err.
 */
int ps_lookout_answer(const struct ps_lookout *lookout, const struct ps_value *args, struct ps_value **ret_body,
	struct ps_error *err);

/* {records, connections, tracks, evicted, open, found, refused, missed, …}: the state of the detectors. NULL: no
 * memory. */
struct ps_value *ps_lookout_status(const struct ps_lookout *lookout);

#endif
