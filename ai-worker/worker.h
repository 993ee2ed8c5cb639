/*
 * What the AI worker has heard on the bus, and what it says of itself. Its answers to questions are the desk's
 * (desk.h).
 */
#ifndef PS_AI_WORKER_H
#define PS_AI_WORKER_H

#include "ai-worker/picture.h"
#include "common/base/error.h"
#include "common/bus/bus.h"

struct ps_worker;

/* started, and every `now` below: boot time, ns. -ENOMEM. */
int ps_worker_new(uint64_t started, struct ps_worker **ret_worker);
void ps_worker_free(struct ps_worker **worker);

/* Topics that it wants to hear. */
#define PS_WORKER_TOPICS (1u << PS_TOPIC_SNAPSHOT | 1u << PS_TOPIC_STATS | 1u << PS_TOPIC_FINDING)

/* Takes one message in. -EBADMSG: it breaks the format, and what was known stays (of `stats` that is seen when it is
 * read, with the next question). -ENOMEM. */
int ps_worker_hear(struct ps_worker *w, const struct ps_message *m, uint64_t now);

/* What is known, copied, as of `now` and `wall` (ns since 1970). Rules and ICMP are not: the aggregator has them.
 * -ENOMEM. */
int ps_worker_picture(struct ps_worker *w, uint64_t now, uint64_t wall, struct ps_picture *ret_picture);

/* Answers a request: the status of the reply, and *ret_body (the caller's) or err. */
int ps_worker_answer(struct ps_worker *w, const char *op, const struct ps_value *args, uint64_t now,
	struct ps_value **ret_body, struct ps_error *err);

#endif
