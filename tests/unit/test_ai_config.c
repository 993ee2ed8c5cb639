/* The AI worker's configuration: what merges, to whom a key belongs, what is shown and what is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "ai-worker/config.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"

#define KEY "sk-planted-0123456789"
#define OTHER "sk-another-987654321"

static struct ps_value *json(const char *text)
{
	struct ps_value *v = NULL;

	assert_int_equal(ps_json_parse(text, strlen(text), &v, NULL), 0);
	return v;
}

/* Returns the number of warnings, or -errno. */
static int merge(struct ps_ai_config *c, const char *text, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *body = json(text), *warnings = NULL;
	int r = ps_ai_config_merge(c, body, &warnings, err);

	return r < 0 ? r : (int)ps_value_count(warnings);
}

static const char *key_of(const struct ps_ai_config *c)
{
	return ps_ai_config_key(c) ? ps_ai_config_key(c)->text : "-";
}

static void post_merges(void **state)
{
	_cleanup_(ps_ai_config_free) struct ps_ai_config c;
	_cleanup_(ps_value_free) struct ps_value *shown = NULL;
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;

	(void)state;
	ps_ai_config_init(&c, "", false);
	assert_false(ps_ai_config_ready(&c, NULL));
	assert_int_equal(
		merge(&c,
			"{\"openai_endpoint\": \"https://api.openai.com/v1/chat/completions\", \"api_key\": \"" KEY
			"\", \"model\": \"gpt-4\", \"temperature\": 0.7, \"timeout\": 120, \"debug\": true}",
			NULL),
		0);
	assert_true(ps_ai_config_ready(&c, NULL));
	assert_int_equal(merge(&c, "{\"debug\": false, \"timeout\": 30}", NULL), 0);
	assert_int_equal(merge(&c, "{}", NULL), 0);
	shown = ps_ai_config_show(&c);
	assert_string_equal(
		ps_value_get_string(shown, "openai_endpoint", ""), "https://api.openai.com/v1/chat/completions");
	assert_string_equal(ps_value_get_string(shown, "model", ""), "gpt-4");
	assert_true(ps_value_as_real(ps_value_get(shown, "temperature"), 0) == 0.7);
	assert_int_equal(ps_value_get_int(shown, "timeout", 0), 30);
	assert_false(ps_value_get_bool(shown, "debug", true));
	assert_true(ps_value_get_bool(shown, "has_api_key", false));
	assert_null(ps_value_get(shown, "api_key"));
	ps_json_write(&text, shown);
	assert_null(strstr(ps_buf_str(&text), KEY));
	assert_int_equal(ps_ai_config_merge(&c, shown, NULL, NULL), 0); /* what GET gives may be sent back */
	assert_string_equal(key_of(&c), KEY);
}

static void wrong_values(void **state)
{
	static const struct {
		const char *body, *field;
	} cases[] = {
		{"[]", ""},
		{"{\"openai_endpoint\": 5}", "openai_endpoint"},
		{"{\"openai_endpoint\": \"ftp://x\"}", "openai_endpoint"},
		{"{\"openai_endpoint\": \"http://169.254.169.254/\"}", "openai_endpoint"},
		{"{\"api_key\": \"" KEY " x\"}", "api_key"},
		{"{\"api_key\": \"" KEY "\\r\\nHost: evil\"}", "api_key"},
		{"{\"api_key\": {\"" KEY "\": 1}}", "api_key"},
		{"{\"model\": \"a\\nb\"}", "model"},
		{"{\"temperature\": 2.1}", "temperature"},
		{"{\"temperature\": \"0.5\"}", "temperature"},
		{"{\"timeout\": 0}", "timeout"},
		{"{\"timeout\": 601}", "timeout"},
		{"{\"debug\": 1}", "debug"},
		{"{\"auto_enforce_all\": true}", "auto_enforce_all"},
		{"{\"api_key\": \"" KEY "\", \"timeout\": -1}", "timeout"},
	};
	_cleanup_(ps_ai_config_free) struct ps_ai_config c;

	(void)state;
	ps_ai_config_init(&c, "", false);
	for (size_t i = 0; i < PS_ARRAY_SIZE(cases); i++) {
		struct ps_error err = {0};

		assert_true(merge(&c, cases[i].body, &err) < 0);
		assert_string_equal(err.field, cases[i].field);
		assert_null(strstr(err.message, KEY));
		assert_null(c.given.secret.text);
		assert_int_equal(c.set, 0);
	}
	/* Only the operator decides that. */
	assert_int_equal(merge(&c, "{\"auto_enforce\": true}", NULL), 0);
	assert_false(c.auto_enforce);
}

static void a_key_belongs_to_its_endpoint(void **state)
{
	_cleanup_(ps_ai_config_free) struct ps_ai_config c;

	(void)state;
	ps_ai_config_init(&c, "", false);
	assert_int_equal(
		merge(&c, "{\"openai_endpoint\": \"https://a.example/v1\", \"api_key\": \"" KEY "\"}", NULL), 0);
	assert_int_equal(merge(&c, "{\"openai_endpoint\": \"https://a.example/v2\"}", NULL), 0);
	assert_string_equal(key_of(&c), KEY);
	assert_int_equal(merge(&c, "{\"openai_endpoint\": \"http://a.example:443/v2\"}", NULL), 1);
	assert_string_equal(key_of(&c), "-");
	assert_int_equal(merge(&c, "{\"openai_endpoint\": \"https://a.example/v1\"}", NULL), 0);
	assert_string_equal(key_of(&c), "-"); /* it is gone, not asleep */
	assert_int_equal(merge(&c, "{\"api_key\": \"" KEY "\"}", NULL), 0);
	assert_int_equal(
		merge(&c, "{\"openai_endpoint\": \"https://b.example/\", \"api_key\": \"" OTHER "\"}", NULL), 0);
	assert_string_equal(key_of(&c), OTHER);
	assert_int_equal(merge(&c, "{\"openai_endpoint\": \"\"}", NULL), 1);
	assert_int_equal(merge(&c, "{\"openai_endpoint\": \"https://b.example/\"}", NULL), 0);
	assert_string_equal(key_of(&c), "-");
}

static void the_operators_key(void **state)
{
	_cleanup_(ps_ai_config_free) struct ps_ai_config c;
	_cleanup_(ps_secret_free) struct ps_secret key = {0};

	(void)state;
	ps_ai_config_init(&c, "", false);
	assert_int_equal(ps_secret_set(&key, KEY, strlen(KEY)), 0);
	assert_int_equal(ps_ai_config_operator(&c, "https://a.example/v1", "tiny", &key, NULL), 0);
	assert_string_equal(key_of(&c), KEY);
	assert_true(ps_ai_config_ready(&c, NULL));
	assert_string_equal(c.model, "tiny");
	assert_int_equal(merge(&c, "{\"openai_endpoint\": \"https://evil.example/\"}", NULL), 1);
	assert_string_equal(key_of(&c), "-");
	assert_int_equal(merge(&c, "{\"openai_endpoint\": \"https://a.example/\"}", NULL), 0);
	assert_string_equal(key_of(&c), KEY);
	assert_int_equal(merge(&c, "{\"api_key\": \"\"}", NULL), 0);
	assert_string_equal(key_of(&c), "-");
	assert_int_equal(merge(&c, "{\"api_key\": \"" OTHER "\"}", NULL), 0);
	assert_string_equal(key_of(&c), OTHER);

	/* What cannot be used is not used in part. */
	ps_ai_config_free(&c);
	ps_ai_config_init(&c, "", false);
	assert_int_equal(ps_ai_config_operator(&c, "http://169.254.169.254/", "tiny", &key, NULL), -EPERM);
	assert_null(c.own.secret.text);
	assert_string_equal(c.model, PS_AI_MODEL);

	/* Without an endpoint it is for none: the API cannot send it anywhere. */
	ps_ai_config_free(&c);
	ps_ai_config_init(&c, "", false);
	assert_int_equal(ps_ai_config_operator(&c, NULL, NULL, &key, NULL), 0);
	assert_int_equal(merge(&c, "{\"openai_endpoint\": \"https://evil.example/\"}", NULL), 1);
	assert_string_equal(key_of(&c), "-");
}

static void kept_and_restored(void **state)
{
	_cleanup_(ps_ai_config_free) struct ps_ai_config c, d;
	_cleanup_(ps_secret_free) struct ps_secret key = {0};
	_cleanup_(ps_value_free) struct ps_value *kept = NULL, *warnings = NULL;

	(void)state;
	assert_int_equal(ps_secret_set(&key, OTHER, strlen(OTHER)), 0);
	ps_ai_config_init(&c, "", false);
	assert_int_equal(ps_ai_config_operator(&c, "https://operator.example", NULL, &key, NULL), 0);
	assert_int_equal(merge(&c, "{\"openai_endpoint\": \"https://a.example\", \"api_key\": \"" KEY "\"}", NULL), 0);
	kept = ps_ai_config_keep(&c);
	assert_null(ps_value_get(kept, "model")); /* never set: stays the operator's or the default */

	ps_ai_config_init(&d, "", false);
	assert_int_equal(ps_ai_config_restore(&d, kept, NULL, NULL), 0);
	assert_string_equal(key_of(&d), KEY);
	assert_string_equal(d.endpoint.origin, "https://a.example:443");
	ps_ai_config_free(&d);

	/* The list has become stricter meanwhile. */
	ps_ai_config_init(&d, "b.example", false);
	assert_int_equal(ps_ai_config_restore(&d, kept, &warnings, NULL), 0);
	assert_int_equal(ps_value_count(warnings), 1);
	assert_string_equal(d.endpoint_text, "");
	assert_string_equal(key_of(&d), "-");
}

static void own_endpoints_need_no_key(void **state)
{
	_cleanup_(ps_ai_config_free) struct ps_ai_config c;
	const char *why = NULL;

	(void)state;
	ps_ai_config_init(&c, "", false);
	assert_int_equal(merge(&c, "{\"openai_endpoint\": \"http://localhost:11434\"}", NULL), 0);
	assert_true(ps_ai_config_ready(&c, &why));
	assert_null(why);
	assert_int_equal(merge(&c, "{\"openai_endpoint\": \"https://api.openai.com\"}", NULL), 0);
	assert_false(ps_ai_config_ready(&c, &why));
	assert_non_null(strstr(why, "key"));
	assert_int_equal(merge(&c, "{\"openai_endpoint\": \"http://localhost:11434\", \"model\": \"\"}", NULL), 0);
	assert_false(ps_ai_config_ready(&c, &why));
	assert_non_null(strstr(why, "model"));
	assert_int_equal(
		merge(&c, "{\"model\": null, \"temperature\": null, \"timeout\": null, \"debug\": null}", NULL), 0);
	assert_string_equal(c.model, PS_AI_MODEL);
	assert_int_equal(c.timeout, PS_AI_TIMEOUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(post_merges),
		cmocka_unit_test(wrong_values),
		cmocka_unit_test(a_key_belongs_to_its_endpoint),
		cmocka_unit_test(the_operators_key),
		cmocka_unit_test(kept_and_restored),
		cmocka_unit_test(own_endpoints_need_no_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
