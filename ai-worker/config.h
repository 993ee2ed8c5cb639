/*
 * What the AI worker is told about its LLM: by the operator at its start (environment, configuration file, key file)
 * and by POST /api/ai/config, whose values win and are kept in the state directory. Pure.
 *
 * A key belongs to the origin (scheme, host, port) that it was given with and is used for no other: whoever changes the
 * endpoint without giving a key is left without one.
 */
#ifndef PS_AI_CONFIG_H
#define PS_AI_CONFIG_H

#include <stdbool.h>

#include "ai-worker/endpoint.h"
#include "ai-worker/limits.h"
#include "common/base/error.h"
#include "common/base/secret.h"
#include "common/model/value.h"

struct ps_ai_key {
	struct ps_secret secret;
	char origin[PS_ENDPOINT_HOST + 32]; /* "" = given when there was no endpoint */
};

struct ps_ai_config {
	char endpoint_text[PS_ENDPOINT_TEXT]; /* "" = none */
	struct ps_llm_endpoint endpoint;
	struct ps_ai_key given; /* by the API */
	struct ps_ai_key own;   /* by the operator */
	bool no_key;            /* the API took the key away */
	char model[PS_AI_MODEL_MAX + 1];
	double temperature;
	unsigned timeout; /* seconds for the whole answer */
	bool debug;
	unsigned set; /* bits: which fields the API has set; these are kept */

	/* The operator's alone. */
	const char *allow; /* ps_endpoint_listed; never NULL */
	bool auto_enforce;
};

/* Defaults; `allow` must outlive the configuration. */
void ps_ai_config_init(struct ps_ai_config *ret_config, const char *allow, bool auto_enforce);
void ps_ai_config_free(struct ps_ai_config *c); /* fits _cleanup_ */

/* What the operator gives at the start; NULL or "" = nothing. -EINVAL, -EPERM fill err; all or nothing. */
int ps_ai_config_operator(struct ps_ai_config *c, const char *endpoint, const char *model, const struct ps_secret *key,
	struct ps_error *err);

/*
 * Merges what a body gives: openai_endpoint, api_key, model, temperature, timeout, debug; null or "" takes a value
 * away. All or nothing. *ret_warnings (may be NULL): sentences about what the caller may not expect. -EINVAL, -EPERM,
 * -ENOMEM fill err; no message ever shows the key.
 */
int ps_ai_config_merge(
	struct ps_ai_config *c, const struct ps_value *body, struct ps_value **ret_warnings, struct ps_error *err);

/* The key to send, or NULL. */
const struct ps_secret *ps_ai_config_key(const struct ps_ai_config *c);

/* Can an LLM be asked? If not, *ret_why (may be NULL) says what is missing. */
bool ps_ai_config_ready(const struct ps_ai_config *c, const char **ret_why);

/* As GET shows it: everything but the key. NULL on no memory. */
struct ps_value *ps_ai_config_show(const struct ps_ai_config *c);

/* What is kept in the state directory, the key included: a body for ps_ai_config_restore. NULL on no memory. */
struct ps_value *ps_ai_config_keep(const struct ps_ai_config *c);
/* Takes back what was kept. What is not allowed any more is left out, with a warning. */
int ps_ai_config_restore(
	struct ps_ai_config *c, const struct ps_value *kept, struct ps_value **ret_warnings, struct ps_error *err);

#endif
