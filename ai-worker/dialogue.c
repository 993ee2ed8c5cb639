#include "ai-worker/dialogue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "ai-worker/limits.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/codec/json.h"
#include "common/model/utf8.h"

struct ps_dialogue {
	char *model, *system, *user;
	struct ps_value *schema;
	double temperature;
	unsigned answer_tokens;
	struct ps_llm_habits habits;
	enum ps_llm_mode lowest; /* of this question alone: what follows an answer without the form */
	unsigned tries;          /* of the request in hand that failed for a reason that may pass */
	char *text;              /* what the model said last */
	bool cut;                /* at the limit of tokens */
	char *repair;            /* what was wrong with it; NULL = nothing yet */
	uint64_t tokens;
};

const char *ps_llm_mode_name(enum ps_llm_mode mode)
{
	static const char *const names[] = {"json_schema", "json_object", "text"};

	return names[mode];
}

int ps_dialogue_new(const struct ps_dialogue_settings *s, struct ps_dialogue **ret_dialogue)
{
	_cleanup_(ps_dialogue_free) struct ps_dialogue *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->model = strdup(s->model);
	d->system = strdup(s->system);
	d->user = strdup(s->user);
	d->schema = ps_value_copy(s->schema);
	d->temperature = s->temperature;
	d->answer_tokens = s->answer_tokens;
	d->habits = s->habits;
	if (!d->model || !d->system || !d->user || !d->schema)
		return -ENOMEM;
	*ret_dialogue = PS_TAKE(d);
	return 0;
}

void ps_dialogue_free(struct ps_dialogue **dialogue)
{
	struct ps_dialogue *d = *dialogue;

	if (!d)
		return;
	free(d->model);
	free(d->system);
	free(d->user);
	ps_value_free(&d->schema);
	free(d->text);
	free(d->repair);
	free(d);
	*dialogue = NULL;
}

/* --- asking -------------------------------------------------------------------------------------- */

static int add_message(struct ps_value *messages, const char *role, const char *text, size_t len)
{
	struct ps_value *m = ps_value_map();
	int r = ps_value_set(m, "role", ps_value_string(role));

	r |= ps_value_set(m, "content", ps_value_string_n(text, len));
	if (r) {
		ps_value_free(&m);
		return -ENOMEM;
	}
	return ps_value_append(messages, m);
}

static struct ps_value *messages_of(const struct ps_dialogue *d)
{
	_cleanup_(ps_value_free) struct ps_value *list = ps_value_list();
	int r = add_message(list, "system", d->system, strlen(d->system));

	r |= add_message(list, "user", d->user, strlen(d->user));
	if (d->repair) {
		_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;

		ps_buf_addf(&text,
			"Your answer could not be used: %s. Answer again with nothing but one JSON object of the form "
			"that was asked for.",
			d->repair);
		if (!ps_buf_str(&text))
			return NULL;
		r |= add_message(list, "assistant", d->text, ps_utf8_cut(d->text, strlen(d->text), PS_AI_REPAIR_SHOWN));
		r |= add_message(list, "user", ps_buf_str(&text), text.len);
	}
	return r ? NULL : PS_TAKE(list);
}

static enum ps_llm_mode mode_of(const struct ps_dialogue *d)
{
	return PS_MAX(d->habits.mode, d->lowest);
}

/* {"type": "json_schema", "json_schema": {"name": …, "strict": true, "schema": …}} or {"type": "json_object"} */
static struct ps_value *format_of(const struct ps_dialogue *d)
{
	_cleanup_(ps_value_free) struct ps_value *format = ps_value_map();
	struct ps_value *named;
	int r = ps_value_set(format, "type", ps_value_string(ps_llm_mode_name(mode_of(d))));

	if (mode_of(d) == PS_LLM_SCHEMA) {
		named = ps_value_map();
		r |= ps_value_set(named, "name", ps_value_string("packetscope_answer"));
		r |= ps_value_set(named, "strict", ps_value_bool(true));
		r |= ps_value_set(named, "schema", ps_value_copy(d->schema));
		r |= ps_value_set(format, "json_schema", named);
	}
	return r ? NULL : PS_TAKE(format);
}

void ps_dialogue_request(struct ps_dialogue *d, struct ps_buf *out)
{
	_cleanup_(ps_value_free) struct ps_value *v = ps_value_map();
	int r = 0;

	if (*d->model)
		r |= ps_value_set(v, "model", ps_value_string(d->model));
	r |= ps_value_set(v, "messages", messages_of(d));
	if (!d->habits.no_temperature)
		r |= ps_value_set(v, "temperature", ps_value_real(d->temperature));
	r |= ps_value_set(v, d->habits.completion_tokens ? "max_completion_tokens" : "max_tokens",
		ps_value_uint(d->answer_tokens));
	if (mode_of(d) != PS_LLM_TEXT)
		r |= ps_value_set(v, "response_format", format_of(d));
	if (r)
		out->error = -ENOMEM;
	else
		ps_json_write(out, v);
}

/* --- what comes back ----------------------------------------------------------------------------- */

#define fail(err, status, code, ...) ((void)ps_error_set(err, -EIO, status, code, "", __VA_ARGS__), PS_DIALOGUE_FAILED)

/* What an endpoint says of its error: {"error": {"message"}}, {"error": "…"}, {"message"}, {"detail"}, or the body's
 * beginning. */
static void error_text(const struct ps_http_answer *a, char *buf, size_t size)
{
	_cleanup_(ps_value_free) struct ps_value *v = NULL;
	const struct ps_value *e;
	const char *text = NULL;
	size_t len;

	if (ps_json_parse((const char *)a->body.data, a->body.len, &v, NULL) == 0) {
		e = ps_value_get(v, "error");
		text = ps_value_as_string(e, NULL);
		if (!text)
			text = ps_value_get_string(e, "message", NULL);
		if (!text)
			text = ps_value_get_string(v, "message", NULL);
		if (!text)
			text = ps_value_get_string(v, "detail", NULL);
	} else if (a->body.len > 0 && ps_utf8_valid((const char *)a->body.data, PS_MIN(a->body.len, size / 2))) {
		(void)snprintf(buf, size, "%.*s", (int)PS_MIN(a->body.len, size / 2), (const char *)a->body.data);
	}
	if (text) {
		len = ps_utf8_valid(text, strlen(text)) ? ps_utf8_cut(text, strlen(text), size - 1) : 0;
		(void)snprintf(buf, size, "%.*s", (int)len, text);
	}
	for (char *p = buf; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
	}
}

/* Seconds or a date (RFC 9110, 10.2.3), as ns from now; 0 = none. */
static uint64_t retry_after(const char *text, uint64_t wall)
{
	struct tm tm = {0};
	uint64_t seconds;

	if (*text >= '0' && *text <= '9') {
		seconds = strtoull(text, NULL, 10);
		return PS_MIN(seconds, (uint64_t)86400 * 365) * PS_NSEC;
	}
	if (strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm)) {
		time_t at = timegm(&tm);

		if (at > 0 && (uint64_t)at * PS_NSEC > wall)
			return (uint64_t)at * PS_NSEC - wall;
	}
	return 0;
}

/* It may be better in a moment: wait as long as we are asked to, else 1 s, 2 s … */
static enum ps_dialogue_step try_again(struct ps_dialogue *d, const struct ps_http_answer *a, uint64_t left,
	uint64_t wall, const char *what, uint64_t *ret_wait, struct ps_error *err)
{
	uint64_t wait = retry_after(a->retry_after, wall);
	int status = a->status == 429 ? 429 : 502;

	if (wait > left)
		return fail(err, status, "busy", "%s and asks to wait %llu s, longer than the time-out allows", what,
			(unsigned long long)(wait / PS_NSEC));
	d->tries++;
	if (d->tries >= PS_AI_TRIES)
		return fail(err, status, "busy", "%s, %u times in a row; try again later", what, d->tries);
	*ret_wait = PS_MAX(wait, PS_AI_BACKOFF_NS << (d->tries - 1));
	if (*ret_wait > left)
		return fail(err, status, "busy", "%s, and no time is left to try again", what);
	return PS_DIALOGUE_SEND;
}

static enum ps_dialogue_step no_answer(struct ps_dialogue *d, const struct ps_http_answer *a, uint64_t left,
	uint64_t wall, uint64_t *ret_wait, struct ps_error *err)
{
	switch (a->outcome) {
	case PS_HTTP_NO_HOST:
		return fail(err, 502, "no_host",
			"The endpoint's host has no address (%s): check openai_endpoint and "
			"name resolution",
			a->detail);
	case PS_HTTP_NO_CONNECT:
		return fail(err, 502, "no_connect",
			"Nothing answers at the endpoint (%s): is it running, and is there a "
			"way to it?",
			a->detail);
	case PS_HTTP_NOT_ALLOWED:
		return fail(err, 403, "not_allowed",
			"The endpoint must not be reached: %s; if an LLM really is there, "
			"add its host to allow-endpoints in the configuration file",
			a->detail);
	case PS_HTTP_NO_TRUST:
		return fail(err, 502, "no_trust",
			"The endpoint's certificate is not trusted (%s): install its authority "
			"on this host, or name it with ca-file",
			a->detail);
	case PS_HTTP_TIMED_OUT:
		return fail(err, 504, "timed_out",
			"The endpoint did not answer in time: raise timeout (POST "
			"/api/ai/config), or ask a faster model");
	case PS_HTTP_TOO_LARGE:
		return fail(err, 502, "too_large",
			"The endpoint's answer is larger than %d bytes: it is no chat "
			"completion; check openai_endpoint",
			PS_AI_ANSWER_BYTES);
	case PS_HTTP_CUT:
		return try_again(d, a, left, wall, "The endpoint closed the connection in the middle", ret_wait, err);
	case PS_HTTP_ANSWERED:
	case PS_HTTP_FAILED:
		break;
	}
	return fail(err, 502, "failed", "The endpoint could not be asked: %s", a->detail);
}

/* Does the endpoint refuse one of the things that we can do without? Then do without from now on. */
static bool learn(struct ps_dialogue *d, const char *said)
{
	if (!d->habits.completion_tokens && strstr(said, "max_completion_tokens")) {
		d->habits.completion_tokens = true;
		return true;
	}
	if (!d->habits.no_temperature && strcasestr(said, "temperature")) {
		d->habits.no_temperature = true;
		return true;
	}
	if (mode_of(d) == PS_LLM_TEXT)
		return false;
	d->habits.mode = mode_of(d) + 1;
	return true;
}

static enum ps_dialogue_step refused(struct ps_dialogue *d, const struct ps_http_answer *a, uint64_t left,
	uint64_t wall, uint64_t *ret_wait, struct ps_error *err)
{
	char said[160] = "", what[96];

	error_text(a, said, sizeof(said));
	if (a->status >= 300 && a->status < 400)
		return fail(err, 502, "redirect",
			"The endpoint redirects to %s; redirects are not followed: if that "
			"is right, make it openai_endpoint",
			*a->location ? a->location : "nowhere");
	if (a->status == 401 || a->status == 403)
		return fail(err, 502, "bad_key",
			"The endpoint refused the API key (%d): %s. Give the right one: POST "
			"api_key to /api/ai/config",
			a->status, said);
	if (a->status == 429 || a->status >= 500) {
		(void)snprintf(what, sizeof(what), "The endpoint answers %d%s", a->status,
			a->status == 429 ? " (too many requests, or no credit)" : "");
		return try_again(d, a, left, wall, what, ret_wait, err);
	}
	if ((a->status == 400 || a->status == 422) && learn(d, said)) {
		*ret_wait = 0;
		return PS_DIALOGUE_SEND;
	}
	if (a->status == 404)
		return fail(err, 502, "not_found",
			"The endpoint knows no such path or model (404): %s. Check "
			"openai_endpoint and model",
			said);
	return fail(err, 502, "refused", "The endpoint refused the request (%d): %s", a->status, said);
}

static enum ps_dialogue_step read_answer(struct ps_dialogue *d, const struct ps_http_answer *a, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *v = NULL;
	const struct ps_value *choice, *message;
	const char *text, *finish, *refusal;
	struct ps_error why = {0};

	if (ps_json_parse((const char *)a->body.data, a->body.len, &v, &why) < 0)
		return fail(err, 502, "bad_answer",
			"The endpoint answered %s that is no JSON; is openai_endpoint the "
			"URL of a chat completions API?",
			*a->content_type ? a->content_type : "something");
	choice = ps_value_at(ps_value_get(v, "choices"), 0);
	message = ps_value_get(choice, "message");
	text = ps_value_get_string(message, "content", NULL);
	finish = ps_value_get_string(choice, "finish_reason", "");
	refusal = ps_value_get_string(message, "refusal", NULL);
	d->tokens += ps_value_get_uint(ps_value_get(v, "usage"), "total_tokens", 0);
	if (refusal && *refusal)
		return fail(err, 502, "model_refused", "The model refused to answer: %.120s", refusal);
	if (strcmp(finish, "content_filter") == 0)
		return fail(err, 502, "model_refused", "The endpoint's content filter held the answer back");
	if (!text)
		return fail(err, 502, "bad_answer",
			"The endpoint's answer has no choices[0].message.content; is "
			"openai_endpoint the URL of a chat completions API?");
	free(d->text);
	d->text = strdup(text);
	d->cut = strcmp(finish, "length") == 0;
	d->tries = 0;
	if (!d->text)
		return fail(err, 503, "no_memory", "out of memory");
	return PS_DIALOGUE_READ;
}

enum ps_dialogue_step ps_dialogue_take(struct ps_dialogue *d, const struct ps_http_answer *answer, uint64_t left,
	uint64_t wall, uint64_t *ret_wait, struct ps_error *err)
{
	if (answer->outcome != PS_HTTP_ANSWERED)
		return no_answer(d, answer, left, wall, ret_wait, err);
	if (answer->status < 200 || answer->status > 299)
		return refused(d, answer, left, wall, ret_wait, err);
	return read_answer(d, answer, err);
}

const char *ps_dialogue_text(const struct ps_dialogue *d, size_t *ret_len)
{
	*ret_len = d->text ? strlen(d->text) : 0;
	return d->text ? d->text : "";
}

int ps_dialogue_repair(struct ps_dialogue *d, const char *reason)
{
	if (d->repair)
		return -ELOOP;
	d->repair = strdup(reason);
	/* Who does not keep to a schema may ignore it, and keep to JSON. One slip is no habit. */
	if (!d->cut)
		d->lowest = PS_LLM_JSON;
	return d->repair ? 0 : -ENOMEM;
}

bool ps_dialogue_was_cut(const struct ps_dialogue *d)
{
	return d->cut;
}

uint64_t ps_dialogue_tokens(const struct ps_dialogue *d)
{
	return d->tokens;
}

const struct ps_llm_habits *ps_dialogue_habits(const struct ps_dialogue *d)
{
	return &d->habits;
}
