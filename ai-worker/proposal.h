/*
 * A rule that somebody proposes who must not be trusted with it: a model, or a detector. It becomes a complete body for
 * POST /api/filters, or a reason why it may not. Pure.
 *
 * It must be a rule (the rule parser says so), test more than a protocol, cite connections or findings that exist and
 * that it matches, be new, and end by itself. What decides over enforcement is not the proposer's: `enabled`, `mode`,
 * `source` and `id` are set or left out here, and `force` and `confirm_within` are refused.
 */
#ifndef PS_AI_PROPOSAL_H
#define PS_AI_PROPOSAL_H

#include <stdbool.h>

#include "ai-worker/picture.h"
#include "common/base/error.h"
#include "common/model/rule.h"

struct ps_proposal {
	struct ps_rule rule;     /* as understood; owned */
	struct ps_value *filter; /* the body: fields of the rule, `reason`, `evidence` */
	bool cites_live;         /* a connection of the snapshot is cited: the preview must find something */
};

void ps_proposal_free(struct ps_proposal *p); /* fits _cleanup_ */

struct ps_proposal_policy {
	const char *source; /* "ai", "detector" */
	bool enforce;       /* auto_enforce; otherwise the rule is a shadow that only counts */
};

/*
 * `given`: the fields of a rule, `reason`, and the ids it cites: `connections` and `findings`, beside them or in
 * `evidence`. `others`: proposals of the same answer that stand. -EINVAL fills err: why it is rejected. -ENOMEM.
 */
int ps_proposal_read(const struct ps_value *given, const struct ps_picture *picture,
	const struct ps_proposal_policy *policy, const struct ps_proposal *others, size_t n_others,
	struct ps_proposal *ret_proposal, struct ps_error *err);

/* What the aggregator is asked for its impact: the rule as if it were enforced, for it may be one day. NULL on no
 * memory. */
struct ps_value *ps_proposal_candidate(const struct ps_proposal *p);

/* Takes the answer to that: `impact` and `warnings` go into the filter. -EINVAL fills err: a guard rail holds it back,
 * or it matches nothing. -ENOMEM. */
int ps_proposal_settle(struct ps_proposal *p, const struct ps_value *preview, struct ps_error *err);

/* The proposal of a finding, in the form of `given`. NULL: it has none, or no memory. */
struct ps_value *ps_proposal_of_finding(const struct ps_finding *f);

#endif
