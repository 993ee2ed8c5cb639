/* What a model said: found in its text, held against the form, cut to size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ai-worker/limits.h"
#include "ai-worker/reply.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "common/model/utf8.h"

#define BODY "{\"analysis\": \"calm\", \"suggestions\": [\"rest\"], \"filters\": []}"

static int read_text(const char *text, bool with_filters, struct ps_value **ret, struct ps_error *err)
{
	*ret = NULL;
	return ps_reply_read(text, strlen(text), with_filters, ret, err);
}

static void wherever_it_stands(void **state)
{
	static const char *const texts[] = {BODY, "  " BODY "\n", "```json\n" BODY "\n```", "```\n" BODY "\n```\nDone.",
		"Here you are:\n```json\n" BODY "\n```\nI hope that helps.", "Sure! " BODY " Anything else?",
		"```python\nprint(1)\n```\nand\n```json\n" BODY "\n```", "```json\n" BODY};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(texts); i++) {
		_cleanup_(ps_value_free) struct ps_value *v = NULL;

		if (read_text(texts[i], true, &v, NULL) < 0)
			fail_msg("%s", texts[i]);
		assert_string_equal(ps_value_get_string(v, "analysis", ""), "calm");
		assert_int_equal(ps_value_count(ps_value_get(v, "suggestions")), 1);
		assert_int_equal(ps_value_kind(ps_value_get(v, "filters")), PS_VALUE_LIST);
	}
}

static void what_does_not_do(void **state)
{
	static const struct {
		const char *text, *word;
	} cases[] = {
		{"", "empty"},
		{"I cannot help with that.", "no JSON"},
		{"{\"analysis\": \"cut of", "no JSON"},
		{"[1, 2]", "no JSON"},
		{"{}", "analysis"},
		{"{\"analysis\": 5, \"suggestions\": [], \"filters\": []}", "analysis"},
		{"{\"analysis\": \"x\", \"suggestions\": \"y\", \"filters\": []}", "suggestions"},
		{"{\"analysis\": \"x\", \"suggestions\": [1], \"filters\": []}", "suggestion 1"},
		{"{\"analysis\": \"x\", \"suggestions\": []}", "filters"},
		{"{\"analysis\": \"x\", \"suggestions\": [], \"filters\": {}}", "filters"},
		{"{\"analysis\": \"x\", \"analysis\": \"y\", \"suggestions\": [], \"filters\": []}", "no JSON"},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(cases); i++) {
		struct ps_value *v = NULL;
		struct ps_error err = {0};

		assert_int_equal(read_text(cases[i].text, true, &v, &err), -EINVAL);
		assert_null(v);
		if (!strstr(err.message, cases[i].word))
			fail_msg("%s: %s", cases[i].text, err.message);
	}
}

static void an_analysis_alone(void **state)
{
	_cleanup_(ps_value_free) struct ps_value *v = NULL;

	(void)state;
	assert_int_equal(read_text("{\"summary\": \"s\", \"analysis\": \"a\", \"suggestions\": [], \"filters\": [{}]}",
				 false, &v, NULL),
		0);
	assert_string_equal(ps_value_get_string(v, "summary", ""), "s");
	assert_null(ps_value_get(v, "filters"));
}

static void cut_to_size(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	_cleanup_(ps_value_free) struct ps_value *v = NULL;

	(void)state;
	ps_buf_adds(&text, "{\"analysis\": \"");
	for (int i = 0; i < 20000; i++)
		ps_buf_adds(&text, "\xe2\x82\xac");
	ps_buf_adds(&text, "\", \"suggestions\": [");
	for (int i = 0; i < 100; i++)
		ps_buf_addf(&text, "%s\"%0600d\"", i ? "," : "", i);
	ps_buf_adds(&text, "], \"filters\": []}");
	assert_int_equal(ps_reply_read((const char *)text.data, text.len, true, &v, NULL), 0);
	assert_true(ps_value_string_len(ps_value_get(v, "analysis")) <= PS_AI_TEXT_MAX);
	assert_true(ps_utf8_valid(
		ps_value_get_string(v, "analysis", ""), ps_value_string_len(ps_value_get(v, "analysis"))));
	assert_int_equal(ps_value_count(ps_value_get(v, "suggestions")), PS_AI_SUGGESTIONS_MAX);
	assert_int_equal(ps_value_string_len(ps_value_at(ps_value_get(v, "suggestions"), 0)), PS_AI_SUGGESTION_MAX);
}

static void clean_text(void **state)
{
	static const struct {
		const char *text, *clean;
	} cases[] = {
		{"plain", "plain"},
		{"a\033[31mred\007", "a [31mred "},
		{"two\nlines\r", "two\nlines "},
		{"\xc2\x9b"
		 "1mC1",
			" 1mC1"},
		{"bad \xff utf8", "bad ? utf8"},
		{"\xc3\xbc", "\xc3\xbc"},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(cases); i++) {
		_cleanup_(ps_value_free) struct ps_value *v = ps_reply_clean(cases[i].text, strlen(cases[i].text), 100);

		assert_string_equal(ps_value_as_string(v, "-"), cases[i].clean);
	}
}

/* Every object of a strict schema requires all its members and takes no others. */
static void check_strict(const struct ps_value *v)
{
	if (strcmp(ps_value_get_string(v, "type", ""), "object") == 0) {
		assert_false(ps_value_get_bool(v, "additionalProperties", true));
		assert_int_equal(
			ps_value_count(ps_value_get(v, "required")), ps_value_count(ps_value_get(v, "properties")));
	}
	for (size_t i = 0; i < ps_value_count(v); i++) {
		if (ps_value_kind(ps_value_at(v, i)) == PS_VALUE_MAP)
			check_strict(ps_value_at(v, i));
	}
}

static void the_schema_is_strict(void **state)
{
	_cleanup_(ps_value_free) struct ps_value *with = ps_reply_schema(true), *without = ps_reply_schema(false);

	(void)state;
	check_strict(with);
	check_strict(without);
	assert_non_null(ps_value_get(ps_value_get(with, "properties"), "filters"));
	assert_null(ps_value_get(ps_value_get(without, "properties"), "filters"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wherever_it_stands),
		cmocka_unit_test(what_does_not_do),
		cmocka_unit_test(an_analysis_alone),
		cmocka_unit_test(cut_to_size),
		cmocka_unit_test(clean_text),
		cmocka_unit_test(the_schema_is_strict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
