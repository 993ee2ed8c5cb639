/*
 * One answer in the making: what is known is gathered, the LLM (or the local engine) is asked, the rules that it
 * proposes are checked one by one, with the aggregator's word on their impact. All of it from the loop, without
 * waiting.
 */
#ifndef PS_AI_RUN_H
#define PS_AI_RUN_H

#include "ai-worker/ask.h"
#include "ai-worker/config.h"
#include "ai-worker/dialogue.h"
#include "ai-worker/picture.h"
#include "ai-worker/prompt.h"
#include "ai-worker/transport.h"

struct ps_run;

/* What a run needs of its owner. */
struct ps_run_env {
	struct ps_transport *transport;
	struct ps_ask *aggregator;
	unsigned prompt_tokens, answer_tokens;
	/* Habits of an endpoint; what is learned is written there. Never NULL. */
	struct ps_llm_habits *(*habits)(void *arg, const char *endpoint);
	/* A step of the debug output; what is shown has no key in it. */
	void (*debug)(void *arg, const char *step, const char *text);
	void (*progress)(void *arg, unsigned per_cent, const char *stage);
	/* The end: the answer, the callee's to free; NULL = no memory. The run is the owner's to free, but not in here.
	 */
	void (*done)(void *arg, struct ps_value *answer);
	/* ps_run_wake is due then (boot time, ns). */
	void (*wake_at)(void *arg, uint64_t due);
	void *arg;
};

/*
 * Begins; the answer may come before this returns. `question` and `caller` (who asks, for the lock-out guard; NULL =
 * unknown) are copied, the picture is taken over, of the configuration what is needed is copied. `deadline`: boot time,
 * ns. -ENOMEM.
 */
int ps_run_start(const struct ps_run_env *env, const struct ps_question *question, const struct ps_value *caller,
	struct ps_picture *picture, const struct ps_ai_config *config, uint64_t deadline, struct ps_run **ret_run);
void ps_run_wake(struct ps_run *run);
/* Gives up whatever is under way, without ps_run_env.done. */
void ps_run_free(struct ps_run **run);

/* {success: false, engine, error} */
struct ps_value *ps_run_failure(const char *engine, const char *error);

#endif
