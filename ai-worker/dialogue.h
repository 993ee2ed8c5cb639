/*
 * One question to an LLM and its answer, in OpenAI's chat completions: what to send, and what to do with what comes
 * back. Pure: sending and waiting are the caller's.
 *
 * Endpoints differ. What one is found to refuse is remembered in its habits: a JSON schema for the answer (json_schema,
 * then json_object, then text with a fenced block), `max_tokens`, `temperature`.
 */
#ifndef PS_AI_DIALOGUE_H
#define PS_AI_DIALOGUE_H

#include <stdbool.h>
#include <stdint.h>

#include "ai-worker/transport.h"
#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/model/value.h"

enum ps_llm_mode {
	PS_LLM_SCHEMA,
	PS_LLM_JSON,
	PS_LLM_TEXT,
};

/* "json_schema", "json_object", "text" */
const char *ps_llm_mode_name(enum ps_llm_mode mode);

struct ps_llm_habits {
	enum ps_llm_mode mode;
	bool completion_tokens; /* wants max_completion_tokens */
	bool no_temperature;
};

struct ps_dialogue_settings {
	const char *model, *system, *user;
	const struct ps_value *schema; /* JSON schema of the answer */
	double temperature;
	unsigned answer_tokens;
	struct ps_llm_habits habits;
};

struct ps_dialogue;

/* Copies what it is given. -ENOMEM. */
int ps_dialogue_new(const struct ps_dialogue_settings *settings, struct ps_dialogue **ret_dialogue);
void ps_dialogue_free(struct ps_dialogue **dialogue);

/* Appends the body of the next request. */
void ps_dialogue_request(struct ps_dialogue *d, struct ps_buf *out);

enum ps_dialogue_step {
	PS_DIALOGUE_SEND,   /* again, after *ret_wait ns */
	PS_DIALOGUE_READ,   /* ps_dialogue_text has the answer */
	PS_DIALOGUE_FAILED, /* err says why, for an operator */
};

/* Takes the answer to the last request. left: ns until the whole must be done; wall: now, ns since 1970 (for a
 * Retry-After that is a date). */
enum ps_dialogue_step ps_dialogue_take(struct ps_dialogue *d, const struct ps_http_answer *answer, uint64_t left,
	uint64_t wall, uint64_t *ret_wait, struct ps_error *err);

/* What the model said. */
const char *ps_dialogue_text(const struct ps_dialogue *d, size_t *ret_len);
/*
 * The text does not do, `reason` says why: makes the next request tell the model. Once; the second time -ELOOP. `cut`:
 * it ended at the limit of tokens.
 */
int ps_dialogue_repair(struct ps_dialogue *d, const char *reason);
bool ps_dialogue_was_cut(const struct ps_dialogue *d);

uint64_t ps_dialogue_tokens(const struct ps_dialogue *d); /* used so far, as the endpoint counts */
const struct ps_llm_habits *ps_dialogue_habits(const struct ps_dialogue *d);

#endif
