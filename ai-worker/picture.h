/*
 * What is known of the traffic and the rules at one moment: the whole of what an answer may be built from.
 */
#ifndef PS_AI_PICTURE_H
#define PS_AI_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/detect/finding.h"
#include "common/model/schema.h"
#include "common/model/value.h"

struct ps_picture {
	uint64_t wall; /* when, ns since 1970 */
	bool have_snapshot;
	double snapshot_age;   /* seconds */
	struct ps_conn *conns; /* the most recently active ones */
	size_t n_conns;
	struct ps_icmp *icmp;
	size_t n_icmp;
	struct ps_finding *findings; /* the worst first, open ones before closed ones */
	size_t n_findings;
	struct ps_value *stats; /* the last `stats` message; NULL = none of late */
	struct ps_value *rules; /* a list, as the API shows them; NULL = unknown */
};

void ps_picture_free(struct ps_picture *p); /* what it holds, not itself; fits _cleanup_ */

/* Puts the findings in their order. */
void ps_picture_sort_findings(struct ps_picture *p);

/* NULL: not there. `id` is the text of JSON: 16 hexadecimal digits, "f-17". */
const struct ps_conn *ps_picture_conn(const struct ps_picture *p, const char *id);
const struct ps_finding *ps_picture_finding(const struct ps_picture *p, const char *id);

#endif
