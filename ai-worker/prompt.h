/*
 * The question to the LLM: numbers and addresses of the picture, chosen to fit a budget of tokens, the worst first.
 * Pure.
 *
 * There are typed fields only, never bytes from the wire. The few texts that others may have written (a rule's comment)
 * are quoted as JSON strings without control characters or angle brackets, cut to PS_AI_QUOTED_MAX bytes, inside the
 * part that the model is told to take as data. The operator's own wish (custom_prompt) stands outside it.
 */
#ifndef PS_AI_PROMPT_H
#define PS_AI_PROMPT_H

#include <stdbool.h>
#include <stddef.h>

#include "ai-worker/picture.h"
#include "common/base/buf.h"

enum ps_analyze_type {
	PS_ANALYZE_SECURITY,
	PS_ANALYZE_PERFORMANCE,
	PS_ANALYZE_BALANCED,
	PS_ANALYZE_CUSTOM,
	PS_ANALYZE_TYPES,
};

/* "security" … */
const char *ps_analyze_type_name(enum ps_analyze_type type);

struct ps_question {
	enum ps_analyze_type type;
	bool with_filters; /* generate; else analyze */
	bool include_tcp, include_icmp, include_stats;
	const char *custom_prompt; /* "" = none */
};

/* How much of the picture went in. */
struct ps_prompt_extent {
	size_t findings, connections, icmp, rules; /* rows */
	size_t tokens;                             /* estimated, of both texts */
};

/* Appends both messages. `tokens`: the budget of the two together; at least the fixed part is written. -ENOMEM. */
int ps_prompt_write(const struct ps_question *q, const struct ps_picture *p, size_t tokens, struct ps_buf *system,
	struct ps_buf *user, struct ps_prompt_extent *ret_extent);

#endif
