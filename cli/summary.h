/*
 * What `up` prints at each interval: rates between two readings of /api/stats, and who sent most meanwhile. Pure.
 */
#ifndef PS_SUMMARY_H
#define PS_SUMMARY_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/limits.h"
#include "common/base/buf.h"
#include "common/model/value.h"

/* A reading of the counters that the summary speaks of, and of the connections that were active last. */
struct ps_reading {
	bool valid;
	uint64_t at; /* ns, any clock that goes on */
	uint64_t packets, bytes, dropped, retransmitted, malformed;
	uint64_t connections;
	size_t n;
	struct ps_reading_conn {
		char id[24];
		char key[168]; /* "10.0.0.1:4000 -> 10.0.0.2:80 (TCP)" */
		char state[16];
		double duration; /* seconds */
		uint64_t bytes;  /* both directions */
	} conn[PS_UP_TALKER_CONNS];
};

/*
 * Takes a reading from the answers of GET /api/stats and GET /api/connections and its X-Total-Count. What is missing
 * counts as 0; `connections` may be NULL.
 */
void ps_reading_take(struct ps_reading *r, const struct ps_value *stats, const struct ps_value *connections,
	uint64_t total, uint64_t now);

/*
 * Appends the summary: rates and differences since `before` (NULL or not valid: only the totals), and the busiest
 * connections. wall: for the time of day, ns since 1970. As JSON it is one object in one line.
 */
void ps_summary_text(
	const struct ps_reading *before, const struct ps_reading *now, uint64_t wall, bool colour, struct ps_buf *out);
void ps_summary_json(const struct ps_reading *before, const struct ps_reading *now, uint64_t wall, struct ps_buf *out);

#endif
