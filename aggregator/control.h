/*
 * The control protocol of docs/control.md: one request in, one reply out.
 */
#ifndef PS_AGG_CONTROL_H
#define PS_AGG_CONTROL_H

#include <stdbool.h>

#include "aggregator/aggregator.h"
#include "common/codec/batch.h"

/* What goes back. */
struct ps_answer {
	int status;              /* as in HTTP; from 400 on, error tells why */
	struct ps_value *body;   /* may be NULL */
	struct ps_batch records; /* used if has_records */
	bool has_records;
	struct ps_error error;
};

/*
 * Answers a request. `state` is flushed before a snapshot, so that its sequence numbers say what the snapshot holds;
 * NULL = there is none. Fills *ret_answer, also when it answers an error; ps_answer_free when it was sent.
 */
void ps_control_answer(struct ps_aggregator *a, struct ps_publisher *state, const struct ps_request *req,
	const struct ps_agg_time *now, struct ps_answer *ret_answer);
void ps_answer_free(struct ps_answer *answer);

/* Whether an operation changes nothing: those alone are answered to taps from elsewhere. */
bool ps_control_only_reads(const char *op);

#endif
