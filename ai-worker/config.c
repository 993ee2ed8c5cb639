#include "ai-worker/config.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"

#define bad(err, field, ...) ps_error_set(err, -EINVAL, 400, "bad_value", field, __VA_ARGS__)

enum field {
	ENDPOINT,
	KEY,
	MODEL,
	TEMPERATURE,
	TIMEOUT,
	DEBUG,
	FIELDS
};

static const char *const names[FIELDS] = {
	[ENDPOINT] = "openai_endpoint",
	[KEY] = "api_key",
	[MODEL] = "model",
	[TEMPERATURE] = "temperature",
	[TIMEOUT] = "timeout",
	[DEBUG] = "debug",
};

/* What a body gives, checked; nothing is changed before all of it is right. */
struct change {
	bool given[FIELDS];
	const char *endpoint_text; /* "" = none */
	struct ps_llm_endpoint endpoint;
	const char *key; /* "" = none */
	size_t key_len;
	const char *model;
	double temperature;
	unsigned timeout;
	bool debug;
};

void ps_ai_config_init(struct ps_ai_config *ret_config, const char *allow, bool auto_enforce)
{
	*ret_config = (struct ps_ai_config){
		.temperature = PS_AI_TEMPERATURE,
		.timeout = PS_AI_TIMEOUT,
		.allow = allow ? allow : "",
		.auto_enforce = auto_enforce,
	};
	(void)snprintf(ret_config->model, sizeof(ret_config->model), "%s", PS_AI_MODEL);
}

void ps_ai_config_free(struct ps_ai_config *c)
{
	ps_secret_free(&c->given.secret);
	ps_secret_free(&c->own.secret);
}

/* --- reading ------------------------------------------------------------------------------------- */

/* Text or null (as ""); -EINVAL. */
static int read_text(const struct ps_value *v, enum field f, size_t max, const char **ret, struct ps_error *err)
{
	const char *s = ps_value_kind(v) == PS_VALUE_NULL ? "" : ps_value_as_string(v, NULL);

	if (!s)
		return bad(err, names[f], "%s must be text in quotes, not %s", names[f],
			ps_value_kind_name(ps_value_kind(v)));
	if (ps_value_string_len(v) > max)
		return bad(err, names[f], "%s has %zu bytes; at most %zu are taken", names[f], ps_value_string_len(v),
			max);
	if (strlen(s) != ps_value_string_len(v))
		return bad(err, names[f], "%s has a NUL character in it", names[f]);
	*ret = s;
	return 0;
}

/* A key goes into a header: visible ASCII. The message must not show it. */
static int read_key(const struct ps_value *v, struct change *ch, struct ps_error *err)
{
	int r = read_text(v, KEY, PS_AI_KEY_MAX, &ch->key, err);

	for (const char *p = r == 0 ? ch->key : ""; *p; p++) {
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f)
			return bad(err, names[KEY],
				"api_key may have visible ASCII characters only; there is another at byte %zu",
				(size_t)(p - ch->key) + 1);
	}
	ch->key_len = r == 0 ? strlen(ch->key) : 0;
	return r;
}

static int read_number(const struct ps_value *v, enum field f, double low, double high, double fallback, double *ret,
	struct ps_error *err)
{
	double d = ps_value_kind(v) == PS_VALUE_NULL ? fallback : ps_value_as_real(v, NAN);

	if (!(d >= low && d <= high))
		return bad(err, names[f], "%s must be a number from %g to %g, without quotes", names[f], low, high);
	*ret = d;
	return 0;
}

static int read_endpoint(
	const struct ps_ai_config *c, const struct ps_value *v, struct change *ch, struct ps_error *err)
{
	int r = read_text(v, ENDPOINT, PS_ENDPOINT_TEXT - 1, &ch->endpoint_text, err);

	if (r < 0 || !*ch->endpoint_text)
		return r;
	r = ps_endpoint_parse(ch->endpoint_text, &ch->endpoint, err);
	return r < 0 ? r : ps_endpoint_permitted(&ch->endpoint, c->allow, err);
}

static int read_field(
	const struct ps_ai_config *c, enum field f, const struct ps_value *v, struct change *ch, struct ps_error *err)
{
	double d = 0;
	int r;

	switch (f) {
	case ENDPOINT:
		return read_endpoint(c, v, ch, err);
	case KEY:
		return read_key(v, ch, err);
	case MODEL:
		r = read_text(v, MODEL, PS_AI_MODEL_MAX, &ch->model, err);
		if (ps_value_kind(v) == PS_VALUE_NULL)
			ch->model = PS_AI_MODEL;
		for (const char *p = r == 0 ? ch->model : ""; *p; p++) {
			if ((unsigned char)*p < ' ' || (unsigned char)*p == 0x7f)
				return bad(err, names[MODEL], "model has a control character in it");
		}
		return r;
	case TEMPERATURE:
		return read_number(v, TEMPERATURE, 0, 2, PS_AI_TEMPERATURE, &ch->temperature, err);
	case TIMEOUT:
		r = read_number(v, TIMEOUT, 1, PS_AI_TIMEOUT_MAX, PS_AI_TIMEOUT, &d, err);
		ch->timeout = (unsigned)d;
		return r;
	case DEBUG:
		if (ps_value_kind(v) != PS_VALUE_BOOL && ps_value_kind(v) != PS_VALUE_NULL)
			return bad(err, names[DEBUG], "debug must be true or false, without quotes");
		ch->debug = ps_value_as_bool(v, false);
		return 0;
	case FIELDS:
		break;
	}
	return -EINVAL;
}

/* What GET shows beside the fields: may come back, and says nothing. */
static bool is_echo(const char *name)
{
	static const char *const echo[] = {
		"has_api_key", "is_configured", "auto_enforce", "warnings", "reason", "key_origin", "no_key"};

	for (size_t i = 0; i < PS_ARRAY_SIZE(echo); i++) {
		if (strcmp(name, echo[i]) == 0)
			return true;
	}
	return false;
}

static int read_body(const struct ps_ai_config *c, const struct ps_value *body, struct change *ch, struct ps_error *err)
{
	if (ps_value_kind(body) != PS_VALUE_MAP)
		return bad(err, "", "the configuration must be a JSON object");
	for (size_t i = 0; i < ps_value_count(body); i++) {
		const char *name = ps_value_key_at(body, i);
		unsigned f = 0;
		int r;

		while (f < FIELDS && strcmp(names[f], name) != 0)
			f++;
		if (f == FIELDS && is_echo(name))
			continue;
		if (f == FIELDS)
			return ps_error_set(err, -EINVAL, 400, "unknown_field", name,
				"there is no \"%.40s\" to configure; there are openai_endpoint, api_key, model, "
				"temperature, timeout and debug",
				name);
		r = read_field(c, (enum field)f, ps_value_at(body, i), ch, err);
		if (r < 0)
			return r;
		ch->given[f] = true;
	}
	return 0;
}

/* --- changing ------------------------------------------------------------------------------------ */

static int warn(struct ps_value *warnings, const char *text)
{
	return warnings ? ps_value_append(warnings, ps_value_string(text)) : 0;
}

static int apply(struct ps_ai_config *c, const struct change *ch, struct ps_value *warnings)
{
	const char *origin = ch->given[ENDPOINT] ? ch->endpoint.origin : c->endpoint.origin;
	int r = 0;

	if (ch->given[KEY] && ch->key_len) {
		r = ps_secret_set(&c->given.secret, ch->key, ch->key_len);
		if (r < 0)
			return r;
		(void)snprintf(c->given.origin, sizeof(c->given.origin), "%s", origin);
		c->no_key = false;
	} else if (ch->given[KEY]) {
		ps_secret_free(&c->given.secret);
		c->no_key = true;
	} else if (c->given.secret.text && strcmp(c->given.origin, origin) != 0) {
		ps_secret_free(&c->given.secret);
		r = warn(warnings, "The API key was dropped, for it was given for another endpoint: send api_key "
				   "together with openai_endpoint.");
	} else if (c->own.secret.text && !c->no_key && ch->given[ENDPOINT] && *origin &&
		   strcmp(c->own.origin, origin) != 0) {
		r = warn(warnings, "The API key of the worker's environment is not sent to this endpoint, for it was "
				   "given for another: send api_key together with openai_endpoint.");
	}
	if (ch->given[ENDPOINT]) {
		(void)snprintf(c->endpoint_text, sizeof(c->endpoint_text), "%s", ch->endpoint_text);
		c->endpoint = ch->endpoint;
	}
	if (ch->given[MODEL])
		(void)snprintf(c->model, sizeof(c->model), "%s", ch->model);
	if (ch->given[TEMPERATURE])
		c->temperature = ch->temperature;
	if (ch->given[TIMEOUT])
		c->timeout = ch->timeout;
	if (ch->given[DEBUG])
		c->debug = ch->debug;
	for (unsigned f = 0; f < FIELDS; f++)
		c->set |= ch->given[f] ? 1u << f : 0;
	return r;
}

int ps_ai_config_operator(struct ps_ai_config *c, const char *endpoint, const char *model, const struct ps_secret *key,
	struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *body = ps_value_map();
	struct change ch = {.endpoint_text = "", .key = "", .model = ""};
	int r = 0;

	if (endpoint && *endpoint)
		r |= ps_value_set(body, names[ENDPOINT], ps_value_string(endpoint));
	if (model && *model)
		r |= ps_value_set(body, names[MODEL], ps_value_string(model));
	if (key && key->text)
		r |= ps_value_set(body, names[KEY], ps_value_string_n(key->text, key->len));
	if (!body || r)
		return ps_error_set(err, -ENOMEM, 503, "no_memory", "", "out of memory");
	r = read_body(c, body, &ch, err);
	if (r == 0 && ch.key_len)
		r = ps_secret_set(&c->own.secret, ch.key, ch.key_len);
	if (r < 0)
		return r;
	if (ch.given[ENDPOINT]) {
		(void)snprintf(c->endpoint_text, sizeof(c->endpoint_text), "%s", ch.endpoint_text);
		c->endpoint = ch.endpoint;
	}
	if (ch.given[MODEL])
		(void)snprintf(c->model, sizeof(c->model), "%s", ch.model);
	(void)snprintf(c->own.origin, sizeof(c->own.origin), "%s", c->endpoint.origin);
	return 0;
}

int ps_ai_config_merge(
	struct ps_ai_config *c, const struct ps_value *body, struct ps_value **ret_warnings, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *warnings = ps_value_list();
	struct change ch = {.endpoint_text = "", .key = "", .model = ""};
	int r = read_body(c, body, &ch, err);

	if (r == 0)
		r = apply(c, &ch, warnings);
	if (r == -ENOMEM)
		(void)ps_error_set(err, r, 503, "no_memory", "", "out of memory");
	if (r == 0 && ret_warnings)
		*ret_warnings = PS_TAKE(warnings);
	return r;
}

/* --- showing and keeping ------------------------------------------------------------------------- */

const struct ps_secret *ps_ai_config_key(const struct ps_ai_config *c)
{
	if (c->given.secret.text && strcmp(c->given.origin, c->endpoint.origin) == 0)
		return &c->given.secret;
	if (!c->no_key && c->own.secret.text && *c->endpoint_text && strcmp(c->own.origin, c->endpoint.origin) == 0)
		return &c->own.secret;
	return NULL;
}

bool ps_ai_config_ready(const struct ps_ai_config *c, const char **ret_why)
{
	const char *why = NULL;

	if (!*c->endpoint_text)
		why = "no LLM is configured: POST openai_endpoint, api_key and model to /api/ai/config";
	else if (!*c->model && !c->endpoint.azure)
		why = "the LLM's model is not configured: POST model to /api/ai/config";
	else if (!c->endpoint.own && !ps_ai_config_key(c))
		why = "the LLM's endpoint needs an API key: POST openai_endpoint and api_key to /api/ai/config";
	if (ret_why)
		*ret_why = why;
	return !why;
}

static int put_common(const struct ps_ai_config *c, struct ps_value *v, unsigned which)
{
	int r = 0;

	if (which & 1u << ENDPOINT)
		r |= ps_value_set(v, names[ENDPOINT], ps_value_string(c->endpoint_text));
	if (which & 1u << MODEL)
		r |= ps_value_set(v, names[MODEL], ps_value_string(c->model));
	if (which & 1u << TEMPERATURE)
		r |= ps_value_set(v, names[TEMPERATURE], ps_value_real(c->temperature));
	if (which & 1u << TIMEOUT)
		r |= ps_value_set(v, names[TIMEOUT], ps_value_uint(c->timeout));
	if (which & 1u << DEBUG)
		r |= ps_value_set(v, names[DEBUG], ps_value_bool(c->debug));
	return r;
}

struct ps_value *ps_ai_config_show(const struct ps_ai_config *c)
{
	_cleanup_(ps_value_free) struct ps_value *v = ps_value_map();
	const char *why = NULL;
	bool ready = ps_ai_config_ready(c, &why);
	int r = put_common(c, v, ~0u);

	r |= ps_value_set(v, "has_api_key", ps_value_bool(ps_ai_config_key(c) != NULL));
	r |= ps_value_set(v, "is_configured", ps_value_bool(ready));
	r |= ps_value_set(v, "reason", ps_value_string(why));
	r |= ps_value_set(v, "auto_enforce", ps_value_bool(c->auto_enforce));
	return r ? NULL : PS_TAKE(v);
}

struct ps_value *ps_ai_config_keep(const struct ps_ai_config *c)
{
	_cleanup_(ps_value_free) struct ps_value *v = ps_value_map();
	int r = put_common(c, v, c->set);

	if (c->given.secret.text) {
		r |= ps_value_set(v, names[KEY], ps_value_string_n(c->given.secret.text, c->given.secret.len));
		r |= ps_value_set(v, "key_origin", ps_value_string(c->given.origin));
	}
	if (c->no_key)
		r |= ps_value_set(v, "no_key", ps_value_bool(true));
	return r ? NULL : PS_TAKE(v);
}

int ps_ai_config_restore(
	struct ps_ai_config *c, const struct ps_value *kept, struct ps_value **ret_warnings, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *body = ps_value_copy(kept);
	const char *endpoint = ps_value_get_string(kept, names[ENDPOINT], "");
	struct ps_llm_endpoint ep;
	bool refused;
	int r;

	if (!body)
		return ps_error_set(err, -ENOMEM, 503, "no_memory", "", "out of memory");
	refused = *endpoint &&
		  (ps_endpoint_parse(endpoint, &ep, NULL) < 0 || ps_endpoint_permitted(&ep, c->allow, NULL) < 0);
	if (refused) {
		ps_value_unset(body, names[ENDPOINT]);
		ps_value_unset(body, names[KEY]);
	}
	r = ps_ai_config_merge(c, body, ret_warnings, err);
	if (r < 0)
		return r;
	(void)snprintf(c->given.origin, sizeof(c->given.origin), "%s", ps_value_get_string(kept, "key_origin", ""));
	c->no_key = ps_value_get_bool(kept, "no_key", false);
	if (refused && ret_warnings)
		(void)warn(*ret_warnings, "The endpoint that was kept is not allowed any more and is not used.");
	return 0;
}
