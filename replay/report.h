/*
 * What replay prints: one JSON object, or tables for people.
 */
#ifndef PS_REPLAY_REPORT_H
#define PS_REPLAY_REPORT_H

#include <stdio.h>

#include "replay/replay.h"

struct ps_replay_report {
	const struct ps_capture *capture;
	const struct ps_pipeline *pipeline; /* finished */
	const struct ps_replay_counts *counts;
	const struct ps_rule *rules;
	size_t n_rules;
	size_t limit; /* rows of the connection table */
};

/*
 * {"connections": […], "icmp": […], "stats": {…}, "filters": […], "findings": […]}: records, rules and findings as the
 * REST interface gives them, stats as GET /api/stats with "capture" beside it. -EIO: the output could not be written;
 * -ENOMEM.
 */
int ps_replay_json(const struct ps_replay_report *r, FILE *out);

/* Tables: connections, ICMP, rules, findings, and a summary. */
int ps_replay_tables(const struct ps_replay_report *r, bool colour, FILE *out);

/* Logs what was left out or is not as it was on the wire. */
void ps_replay_warn(const struct ps_replay_report *r);

#endif
