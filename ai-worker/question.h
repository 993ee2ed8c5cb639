/*
 * The arguments of `generate` and `analyze`: {analyze_type, custom_prompt, include_tcp, include_icmp, include_stats,
 * async, caller}. Pure.
 */
#ifndef PS_AI_QUESTION_H
#define PS_AI_QUESTION_H

#include <stdbool.h>

#include "ai-worker/prompt.h"
#include "common/base/error.h"
#include "common/model/value.h"

struct ps_asked {
	struct ps_question question;
	char *custom_prompt;     /* owns question.custom_prompt */
	struct ps_value *caller; /* NULL = unknown */
};

void ps_asked_free(struct ps_asked *a); /* what it holds; fits _cleanup_ */

/* Missing members: balanced for analyze, security for generate, everything included. -EINVAL fills err with field,
 * value and remedy. -ENOMEM. */
int ps_asked_read(const struct ps_value *args, bool with_filters, struct ps_asked *ret_asked, bool *ret_async,
	struct ps_error *err);

#endif
