/*
 * The local engine's answer to `analyze`: figures in sentences, and what they suggest. Pure. It counts and compares; it
 * does not guess what anybody means by their traffic.
 */
#ifndef PS_ANALYSIS_H
#define PS_ANALYSIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/model/schema.h"
#include "common/model/value.h"

struct ps_analysis_input {
	bool have_snapshot;
	const struct ps_conn *conns; /* the most recently active connections */
	size_t n_conns;
	double snapshot_age;          /* seconds */
	const struct ps_value *stats; /* the last `stats` message; NULL = none yet */
	bool include_tcp, include_icmp, include_stats;
};

/*
 * {success, engine: "local", summary, analysis, suggestions, figures}, or {success: false, engine, error} while there
 * is no snapshot. `analysis` is text in paragraphs, `suggestions` a list of sentences, `figures` the numbers that the
 * text speaks of. Without include_tcp only UDP connections are looked at. NULL on no memory.
 */
struct ps_value *ps_analysis(const struct ps_analysis_input *in);

#endif
