/*
 * Everything between a frame and the records: the kernel part (machine.h), its events, the aggregator's tables and
 * sweep, all on the capture's clock. As live, but for three things: nothing is lost, ended connections are all kept,
 * and a second passes when the capture says so.
 */
#ifndef PS_REPLAY_PIPELINE_H
#define PS_REPLAY_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aggregator/expiry.h"
#include "aggregator/icmp_table.h"
#include "common/detect/detect.h"
#include "common/model/rule.h"
#include "common/model/value.h"
#include "replay/machine.h"

struct ps_pipeline;

/* timeouts: as the aggregator's; thresholds: as the AI worker's. -EPERM and others fill err; `log` as ps_machine_new.
 */
int ps_pipeline_new(uint32_t max_connections, const struct ps_timeouts *timeouts,
	const struct ps_detect_config *thresholds, struct ps_pipeline **ret_pipeline, struct ps_buf *log,
	struct ps_error *err);
void ps_pipeline_free(struct ps_pipeline **pipeline);

/* Puts rules in force; before the first frame. -ENOSPC. */
int ps_pipeline_rules(struct ps_pipeline *p, const struct ps_rule *rules, size_t n, struct ps_error *err);

/*
 * One frame at its time (ns since 1970). Time that goes back counts as no time: the clock stands until it is caught up
 * with, and *ret_late is set. Returns enum ps_ran or -errno.
 */
int ps_pipeline_frame(struct ps_pipeline *p, bool egress, const uint8_t *frame, size_t len, uint64_t time,
	bool *ret_late, struct ps_error *err);

/* The end of the capture: what lives is brought up to date. -EIO: events were lost, so that records are missing. */
int ps_pipeline_finish(struct ps_pipeline *p, struct ps_error *err);

/* After finish. Connections, ended or not, in order of their first packet; good until the pipeline is freed. */
const struct ps_conn *const *ps_pipeline_conns(const struct ps_pipeline *p, size_t *ret_n);
const struct ps_icmp *const *ps_pipeline_icmp(const struct ps_pipeline *p, size_t *ret_n);
/* What the detectors found. */
const struct ps_detect *ps_pipeline_detect(const struct ps_pipeline *p);
/* The body of `stats` (aggregator/stats_report.h); rates are means over the capture. NULL on no memory. */
struct ps_value *ps_pipeline_stats(const struct ps_pipeline *p);
/* A rule with its counters. NULL on no memory. */
struct ps_value *ps_pipeline_rule(const struct ps_pipeline *p, const struct ps_rule *rule);
/* Sums of the kernel's counters. */
const struct ps_stats *ps_pipeline_counters(const struct ps_pipeline *p);
/* From the first frame to the last, ns. */
uint64_t ps_pipeline_span(const struct ps_pipeline *p);

#endif
