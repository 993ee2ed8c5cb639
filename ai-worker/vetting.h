/*
 * The proposals of one answer on their way: each is held against what a proposal must be (proposal.h), and what stands
 * is shown to the aggregator for its impact and the guard rails, one after the other, from the loop.
 */
#ifndef PS_AI_VETTING_H
#define PS_AI_VETTING_H

#include "ai-worker/ask.h"
#include "ai-worker/proposal.h"

struct ps_vetting;

struct ps_vetting_env {
	struct ps_ask *aggregator;
	const struct ps_picture *picture; /* must outlive it */
	const struct ps_value *caller;    /* for the lock-out guard; NULL = unknown; must outlive it */
	struct ps_proposal_policy policy;
	void (*progress)(void *arg, size_t done, size_t all);
	/* What became of one: a reason, or the filter as it stands. */
	void (*verdict)(void *arg, const char *reason, const struct ps_value *filter);
	/* The end: 0, or -ENOMEM. */
	void (*done)(void *arg, int r);
	void *arg;
};

/* Begins with a list of proposals, of which PS_AI_FILTERS_MAX are looked at; done may come before this returns.
 * -ENOMEM: done is not called. */
int ps_vetting_start(const struct ps_vetting_env *env, const struct ps_value *filters, struct ps_vetting **ret_vetting);
void ps_vetting_free(struct ps_vetting **vetting); /* without done */

/* Puts `filters`, `rejected` and, if not all are shown, `rejected_in_all` into an answer; once. -ENOMEM. */
int ps_vetting_write(struct ps_vetting *vetting, struct ps_value *answer);

#endif
