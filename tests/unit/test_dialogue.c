/* The dialogue with an LLM: what is sent, and what becomes of every way an endpoint can answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "ai-worker/dialogue.h"
#include "ai-worker/limits.h"
#include "ai-worker/reply.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/codec/json.h"

#define S PS_NSEC
#define GOOD \
	"{\"choices\": [{\"message\": {\"content\": \"said\"}, \"finish_reason\": \"stop\"}], " \
	"\"usage\": {\"total_tokens\": 250}}"

static struct ps_dialogue *begin(const struct ps_llm_habits *habits)
{
	_cleanup_(ps_value_free) struct ps_value *schema = ps_reply_schema(true);
	struct ps_dialogue_settings settings = {.model = "gpt-4",
		.system = "role",
		.user = "data",
		.schema = schema,
		.temperature = 0.5,
		.answer_tokens = 99};
	struct ps_dialogue *d = NULL;

	if (habits)
		settings.habits = *habits;
	assert_int_equal(ps_dialogue_new(&settings, &d), 0);
	return d;
}

static struct ps_value *request(struct ps_dialogue *d)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	struct ps_value *v = NULL;

	ps_dialogue_request(d, &text);
	assert_int_equal(ps_json_parse((const char *)text.data, text.len, &v, NULL), 0);
	return v;
}

static const char *mode_of(struct ps_dialogue *d)
{
	static char mode[32];
	_cleanup_(ps_value_free) struct ps_value *v = request(d);

	(void)snprintf(
		mode, sizeof(mode), "%s", ps_value_get_string(ps_value_get(v, "response_format"), "type", "none"));
	return mode;
}

/* What an answer leads to; body NULL = an outcome without one. */
static enum ps_dialogue_step take(struct ps_dialogue *d, enum ps_http_outcome outcome, int status, const char *body,
	const char *retry_after, uint64_t *ret_wait, struct ps_error *err)
{
	struct ps_http_answer a = {.outcome = outcome, .status = status};
	enum ps_dialogue_step step;

	(void)snprintf(a.content_type, sizeof(a.content_type), "text/html");
	(void)snprintf(a.retry_after, sizeof(a.retry_after), "%s", retry_after ? retry_after : "");
	(void)snprintf(a.location, sizeof(a.location), "https://elsewhere.example/");
	(void)snprintf(a.detail, sizeof(a.detail), "some detail");
	ps_buf_adds(&a.body, body ? body : "");
	*err = (struct ps_error){0};
	*ret_wait = 0;
	step = ps_dialogue_take(d, &a, 60 * S, 1700000000ull * S, ret_wait, err);
	ps_buf_free(&a.body);
	return step;
}

static void what_is_sent(void **state)
{
	struct ps_dialogue *d = begin(NULL);
	_cleanup_(ps_value_free) struct ps_value *v = request(d);
	const struct ps_value *messages = ps_value_get(v, "messages"), *format = ps_value_get(v, "response_format");

	(void)state;
	assert_string_equal(ps_value_get_string(v, "model", ""), "gpt-4");
	assert_int_equal(ps_value_get_int(v, "max_tokens", 0), 99);
	assert_true(ps_value_as_real(ps_value_get(v, "temperature"), 0) == 0.5);
	assert_int_equal(ps_value_count(messages), 2);
	assert_string_equal(ps_value_get_string(ps_value_at(messages, 0), "role", ""), "system");
	assert_string_equal(ps_value_get_string(ps_value_at(messages, 1), "content", ""), "data");
	assert_string_equal(ps_value_get_string(format, "type", ""), "json_schema");
	assert_true(ps_value_get_bool(ps_value_get(format, "json_schema"), "strict", false));
	ps_dialogue_free(&d);
	assert_null(d);
}

static void a_good_answer(void **state)
{
	struct ps_dialogue *d = begin(NULL);
	struct ps_error err;
	uint64_t wait;
	size_t len;

	(void)state;
	assert_int_equal(take(d, PS_HTTP_ANSWERED, 200, GOOD, NULL, &wait, &err), PS_DIALOGUE_READ);
	assert_string_equal(ps_dialogue_text(d, &len), "said");
	assert_int_equal(len, 4);
	assert_int_equal(ps_dialogue_tokens(d), 250);
	assert_false(ps_dialogue_was_cut(d));
	ps_dialogue_free(&d);
}

static void steps_down_and_remembers(void **state)
{
	struct ps_dialogue *d = begin(NULL);
	struct ps_llm_habits learned;
	struct ps_error err;
	uint64_t wait;

	(void)state;
	assert_int_equal(take(d, PS_HTTP_ANSWERED, 400,
				 "{\"error\": {\"message\": \"Unsupported parameter: use max_completion_tokens\"}}",
				 NULL, &wait, &err),
		PS_DIALOGUE_SEND);
	assert_int_equal(wait, 0);
	assert_int_equal(take(d, PS_HTTP_ANSWERED, 400,
				 "{\"error\": {\"message\": \"temperature does not support 0.5\"}}", NULL, &wait, &err),
		PS_DIALOGUE_SEND);
	assert_string_equal(mode_of(d), "json_schema");
	assert_int_equal(take(d, PS_HTTP_ANSWERED, 400, "{\"error\": \"response_format\"}", NULL, &wait, &err),
		PS_DIALOGUE_SEND);
	assert_string_equal(mode_of(d), "json_object");
	assert_int_equal(take(d, PS_HTTP_ANSWERED, 422, "no", NULL, &wait, &err), PS_DIALOGUE_SEND);
	assert_string_equal(mode_of(d), "none");
	learned = *ps_dialogue_habits(d);
	assert_int_equal(
		take(d, PS_HTTP_ANSWERED, 400, "{\"detail\": \"still no\"}", NULL, &wait, &err), PS_DIALOGUE_FAILED);
	assert_non_null(strstr(err.message, "still no"));
	ps_dialogue_free(&d);

	d = begin(&learned);
	{
		_cleanup_(ps_value_free) struct ps_value *v = request(d);

		assert_null(ps_value_get(v, "response_format"));
		assert_null(ps_value_get(v, "temperature"));
		assert_null(ps_value_get(v, "max_tokens"));
		assert_int_equal(ps_value_get_int(v, "max_completion_tokens", 0), 99);
	}
	ps_dialogue_free(&d);
}

static void waits_and_gives_up(void **state)
{
	struct ps_dialogue *d = begin(NULL);
	struct ps_error err;
	uint64_t wait;

	(void)state;
	assert_int_equal(take(d, PS_HTTP_ANSWERED, 500, "", NULL, &wait, &err), PS_DIALOGUE_SEND);
	assert_int_equal(wait, PS_AI_BACKOFF_NS);
	assert_int_equal(take(d, PS_HTTP_CUT, 200, NULL, NULL, &wait, &err), PS_DIALOGUE_SEND);
	assert_int_equal(wait, 2 * PS_AI_BACKOFF_NS);
	assert_int_equal(take(d, PS_HTTP_ANSWERED, 503, "", NULL, &wait, &err), PS_DIALOGUE_FAILED);
	assert_non_null(strstr(err.message, "503"));
	ps_dialogue_free(&d);

	d = begin(NULL);
	assert_int_equal(take(d, PS_HTTP_ANSWERED, 429, "", "7", &wait, &err), PS_DIALOGUE_SEND);
	assert_int_equal(wait, 7 * S);
	assert_int_equal(
		take(d, PS_HTTP_ANSWERED, 429, "", "Tue, 14 Nov 2023 22:13:33 GMT", &wait, &err), PS_DIALOGUE_SEND);
	assert_int_equal(wait, 13 * S);
	ps_dialogue_free(&d);

	d = begin(NULL);
	assert_int_equal(take(d, PS_HTTP_ANSWERED, 429, "", "3600", &wait, &err), PS_DIALOGUE_FAILED);
	assert_int_equal(err.status, 429);
	assert_non_null(strstr(err.message, "3600 s"));
	ps_dialogue_free(&d);

	/* After an answer the count begins anew. */
	d = begin(NULL);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(take(d, PS_HTTP_ANSWERED, 500, "", NULL, &wait, &err), PS_DIALOGUE_SEND);
		assert_int_equal(take(d, PS_HTTP_ANSWERED, 200, GOOD, NULL, &wait, &err), PS_DIALOGUE_READ);
	}
	ps_dialogue_free(&d);
}

static void reasons(void **state)
{
	static const struct {
		enum ps_http_outcome outcome;
		int status;
		const char *body, *word;
	} cases[] = {
		{PS_HTTP_NO_HOST, 0, NULL, "name resolution"},
		{PS_HTTP_NO_CONNECT, 0, NULL, "Nothing answers"},
		{PS_HTTP_NOT_ALLOWED, 0, NULL, "allow-endpoints"},
		{PS_HTTP_NO_TRUST, 0, NULL, "certificate"},
		{PS_HTTP_TIMED_OUT, 0, NULL, "raise timeout"},
		{PS_HTTP_TOO_LARGE, 200, NULL, "larger than"},
		{PS_HTTP_FAILED, 0, NULL, "some detail"},
		{PS_HTTP_ANSWERED, 401, "{\"error\": {\"message\": \"Incorrect API key\"}}", "api_key"},
		{PS_HTTP_ANSWERED, 403, "{\"error\": {\"message\": \"no\"}}", "API key"},
		{PS_HTTP_ANSWERED, 404, "{\"error\": {\"message\": \"The model x does not exist\"}}", "model x"},
		{PS_HTTP_ANSWERED, 301, "", "https://elsewhere.example/"},
		{PS_HTTP_ANSWERED, 402, "plain words", "plain words"},
		{PS_HTTP_ANSWERED, 200, "<html>", "text/html"},
		{PS_HTTP_ANSWERED, 200, "", "no JSON"},
		{PS_HTTP_ANSWERED, 200, "{}", "choices"},
		{PS_HTTP_ANSWERED, 200, "{\"choices\": []}", "choices"},
		{PS_HTTP_ANSWERED, 200, "{\"choices\": [{\"message\": {\"content\": null}}]}", "choices"},
		{PS_HTTP_ANSWERED, 200, "{\"choices\": [{\"message\": {\"refusal\": \"I will not\"}}]}", "I will not"},
		{PS_HTTP_ANSWERED, 200,
			"{\"choices\": [{\"message\": {\"content\": \"\"}, \"finish_reason\": \"content_filter\"}]}",
			"content filter"},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(cases); i++) {
		struct ps_dialogue *d = begin(NULL);
		struct ps_error err;
		uint64_t wait;

		assert_int_equal(take(d, cases[i].outcome, cases[i].status, cases[i].body, NULL, &wait, &err),
			PS_DIALOGUE_FAILED);
		if (!strstr(err.message, cases[i].word))
			fail_msg("%zu: %s", i, err.message);
		ps_dialogue_free(&d);
	}
}

static void one_repair(void **state)
{
	struct ps_dialogue *d = begin(NULL);
	_cleanup_(ps_value_free) struct ps_value *v = NULL;
	const struct ps_value *messages;
	struct ps_error err;
	uint64_t wait;

	(void)state;
	assert_int_equal(take(d, PS_HTTP_ANSWERED, 200, GOOD, NULL, &wait, &err), PS_DIALOGUE_READ);
	assert_int_equal(ps_dialogue_repair(d, "it has no JSON"), 0);
	v = request(d);
	messages = ps_value_get(v, "messages");
	assert_int_equal(ps_value_count(messages), 4);
	assert_string_equal(ps_value_get_string(ps_value_at(messages, 2), "content", ""), "said");
	assert_non_null(strstr(ps_value_get_string(ps_value_at(messages, 3), "content", ""), "it has no JSON"));
	/* The schema did not help this time; the next question has it again. */
	assert_string_equal(mode_of(d), "json_object");
	assert_int_equal(ps_dialogue_habits(d)->mode, PS_LLM_SCHEMA);
	assert_int_equal(take(d, PS_HTTP_ANSWERED, 200, GOOD, NULL, &wait, &err), PS_DIALOGUE_READ);
	assert_int_equal(ps_dialogue_tokens(d), 500);
	assert_int_equal(ps_dialogue_repair(d, "still"), -ELOOP);
	ps_dialogue_free(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sent),
		cmocka_unit_test(a_good_answer),
		cmocka_unit_test(steps_down_and_remembers),
		cmocka_unit_test(waits_and_gives_up),
		cmocka_unit_test(reasons),
		cmocka_unit_test(one_repair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
