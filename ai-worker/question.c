#include "ai-worker/question.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ai-worker/limits.h"
#include "common/base/cleanup.h"
#include "common/model/utf8.h"

#define bad(err, field, ...) ps_error_set(err, -EINVAL, 400, "bad_value", field, __VA_ARGS__)

void ps_asked_free(struct ps_asked *a)
{
	free(a->custom_prompt);
	ps_value_free(&a->caller);
	*a = (struct ps_asked){0};
}

static int read_flag(const struct ps_value *args, const char *name, bool fallback, bool *ret_flag, struct ps_error *err)
{
	const struct ps_value *v = ps_value_get(args, name);

	if (v && ps_value_kind(v) != PS_VALUE_BOOL)
		return bad(err, name, "%s must be true or false, not %s", name, ps_value_kind_name(ps_value_kind(v)));
	*ret_flag = ps_value_as_bool(v, fallback);
	return 0;
}

static int read_type(const struct ps_value *args, bool with_filters, enum ps_analyze_type *ret, struct ps_error *err)
{
	const struct ps_value *v = ps_value_get(args, "analyze_type");
	const char *word = ps_value_as_string(v, "");

	*ret = with_filters ? PS_ANALYZE_SECURITY : PS_ANALYZE_BALANCED;
	if (!v || ps_value_kind(v) == PS_VALUE_NULL || (ps_value_kind(v) == PS_VALUE_STRING && !*word))
		return 0;
	for (int i = 0; i < PS_ANALYZE_TYPES; i++) {
		if (strcmp(ps_analyze_type_name((enum ps_analyze_type)i), word) == 0) {
			*ret = (enum ps_analyze_type)i;
			return 0;
		}
	}
	return bad(err, "analyze_type",
		"analyze_type is \"%.32s\"; it must be security, performance, balanced or custom", word);
}

static int read_custom(const struct ps_value *args, char **ret, struct ps_error *err)
{
	const struct ps_value *v = ps_value_get(args, "custom_prompt");
	const char *text = ps_value_kind(v) == PS_VALUE_NULL ? "" : ps_value_as_string(v, NULL);
	size_t len = ps_value_string_len(v);

	if (!text)
		return bad(err, "custom_prompt", "custom_prompt must be text in quotes, not %s",
			ps_value_kind_name(ps_value_kind(v)));
	if (len > PS_AI_CUSTOM_PROMPT_MAX)
		return bad(err, "custom_prompt", "custom_prompt has %zu bytes; at most %d are taken, shorten it", len,
			PS_AI_CUSTOM_PROMPT_MAX);
	if (strlen(text) != len || !ps_utf8_valid(text, len))
		return bad(err, "custom_prompt", "custom_prompt must be UTF-8 text without NUL characters");
	*ret = strdup(text);
	return *ret ? 0 : ps_error_set(err, -ENOMEM, 503, "no_memory", "", "out of memory");
}

static int check_names(const struct ps_value *args, struct ps_error *err)
{
	static const char *const known[] = {
		"analyze_type", "custom_prompt", "include_tcp", "include_icmp", "include_stats", "async", "caller"};

	for (size_t i = 0; i < ps_value_count(args); i++) {
		const char *name = ps_value_key_at(args, i);
		bool found = false;

		for (size_t k = 0; name && k < PS_ARRAY_SIZE(known); k++)
			found |= strcmp(known[k], name) == 0;
		if (!found)
			return ps_error_set(err, -EINVAL, 400, "unknown_field", name ? name : "",
				"there is no \"%.40s\"; there are analyze_type, custom_prompt, include_tcp, "
				"include_icmp and include_stats",
				name ? name : "");
	}
	return 0;
}

int ps_asked_read(const struct ps_value *args, bool with_filters, struct ps_asked *ret_asked, bool *ret_async,
	struct ps_error *err)
{
	_cleanup_(ps_asked_free) struct ps_asked a = {.question.with_filters = with_filters};
	const struct ps_value *caller = ps_value_get(args, "caller");
	int r = check_names(args, err);

	if (r == 0)
		r = read_type(args, with_filters, &a.question.type, err);
	if (r == 0)
		r = read_custom(args, &a.custom_prompt, err);
	if (r == 0)
		r = read_flag(args, "include_tcp", true, &a.question.include_tcp, err);
	if (r == 0)
		r = read_flag(args, "include_icmp", true, &a.question.include_icmp, err);
	if (r == 0)
		r = read_flag(args, "include_stats", true, &a.question.include_stats, err);
	if (r == 0)
		r = read_flag(args, "async", false, ret_async, err);
	if (r < 0)
		return r;
	if (a.question.type == PS_ANALYZE_CUSTOM && ps_value_string_len(ps_value_get(args, "custom_prompt")) == 0)
		return bad(
			err, "custom_prompt", "analyze_type custom needs a custom_prompt that says what to look for");
	if (ps_value_kind(caller) == PS_VALUE_MAP && !(a.caller = ps_value_copy(caller)))
		return ps_error_set(err, -ENOMEM, 503, "no_memory", "", "out of memory");
	a.question.custom_prompt = a.custom_prompt;
	*ret_asked = a;
	a.custom_prompt = NULL;
	a.caller = NULL;
	return 0;
}
