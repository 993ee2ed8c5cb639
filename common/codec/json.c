/* See json.h: reading. The only file that includes cJSON. */
#include "common/codec/json.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/limits.h"
#include "common/model/utf8.h"

/*
 * The look ahead: one pass without memory over the tokens, for all that must be known before cJSON allocates (depth,
 * number of values) and all in which cJSON is more generous than RFC 8259 (bytes that are not UTF-8, control characters
 * and \u0000 in strings, numbers like 01 and 1.). The order of tokens is left to cJSON.
 */
struct scan {
	const char *text;
	size_t len, at;
	size_t depth, nodes;
	struct ps_error *err;
};

static int bad(const struct scan *s, size_t at, const char *what)
{
	return ps_error_set(s->err, -EINVAL, 400, "bad_json", "", "not JSON near byte %zu: %s", at, what);
}

static int scan_escape(struct scan *s)
{
	size_t left = s->len - s->at;

	if (left >= 6 && !memcmp(s->text + s->at, "\\u0000", 6))
		return bad(s, s->at, "a string may not contain the character U+0000");
	s->at += left > 1 ? 2 : 1;
	return 0;
}

static int scan_string(struct scan *s)
{
	size_t start = s->at++;

	while (s->at < s->len) {
		unsigned char c = (unsigned char)s->text[s->at];
		size_t n;
		int ret;

		if (c == '"') {
			s->at++;
			return 0;
		}
		if (c == '\\') {
			ret = scan_escape(s);
			if (ret)
				return ret;
			continue;
		}
		if (c < 0x20)
			return bad(s, s->at, "a control character in a string; write it as an escape such as \\n");
		n = ps_utf8_char(s->text + s->at, s->len - s->at);
		if (!n)
			return bad(s, s->at, "a byte that is not UTF-8; save the text as UTF-8");
		s->at += n;
	}
	return bad(s, start, "a string that is not closed");
}

static size_t digits(const struct scan *s, size_t at)
{
	size_t n = 0;

	while (at + n < s->len && s->text[at + n] >= '0' && s->text[at + n] <= '9')
		n++;
	return n;
}

static bool next_is(const struct scan *s, size_t at, char c)
{
	return at < s->len && s->text[at] == c;
}

static int scan_number(struct scan *s)
{
	size_t at = s->at, n;

	if (next_is(s, at, '-'))
		at++;
	n = digits(s, at);
	if (!n || (n > 1 && s->text[at] == '0'))
		return bad(s, s->at, "a number begins with a digit, and with 0 only if nothing but a fraction follows");
	at += n;
	if (next_is(s, at, '.')) {
		n = digits(s, at + 1);
		if (!n)
			return bad(s, s->at, "a digit must follow the point of a number");
		at += 1 + n;
	}
	if (next_is(s, at, 'e') || next_is(s, at, 'E')) {
		at++;
		if (next_is(s, at, '+') || next_is(s, at, '-'))
			at++;
		n = digits(s, at);
		if (!n)
			return bad(s, s->at, "a digit must follow the exponent sign of a number");
		at += n;
	}
	s->at = at;
	return 0;
}

static int scan_token(struct scan *s)
{
	char c = s->text[s->at];

	switch (c) {
	case '"':
		return scan_string(s);
	case '[':
	case '{':
		if (++s->depth > PS_VALUE_DEPTH_MAX)
			return bad(s, s->at, "nested too deeply");
		s->at++;
		return 0;
	case ']':
	case '}':
		if (!s->depth)
			return bad(s, s->at, "a bracket that was never opened");
		s->depth--;
		s->at++;
		return 0;
	case ',':
		if (++s->nodes > PS_VALUE_NODES_MAX)
			return bad(s, s->at, "too many values");
		s->at++;
		return 0;
	default:
		if (c == '-' || (c >= '0' && c <= '9'))
			return scan_number(s);
		if (!c)
			return bad(s, s->at, "a NUL byte");
		s->at++;
		return 0;
	}
}

static int scan(const char *text, size_t len, struct ps_error *err)
{
	struct scan s = {.text = text, .len = len, .err = err};

	while (s.at < len) {
		int ret = scan_token(&s);

		if (ret)
			return ret;
	}
	return 0;
}

static int from_cjson(const cJSON *c, struct ps_value **ret_value, struct ps_error *err);

static int no_memory(struct ps_error *err)
{
	return ps_error_set(err, -ENOMEM, 503, "no_memory", "", "not enough memory to read this document");
}

static int from_array(const cJSON *c, struct ps_value **ret_value, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *list = ps_value_list();

	for (const cJSON *item = c->child; item; item = item->next) {
		struct ps_value *child = NULL;
		int ret = from_cjson(item, &child, err);

		if (ret)
			return ret;
		if (ps_value_append(list, child))
			return no_memory(err);
	}
	*ret_value = PS_TAKE(list);
	return *ret_value ? 0 : no_memory(err);
}

static int from_object(const cJSON *c, struct ps_value **ret_value, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *map = ps_value_map();
	size_t n = 0;

	for (const cJSON *item = c->child; item; item = item->next) {
		struct ps_value *child = NULL;
		int ret;

		if (++n > PS_VALUE_KEYS_MAX)
			return ps_error_set(err, -EINVAL, 400, "bad_json", "", "an object with more than %d members",
				PS_VALUE_KEYS_MAX);
		ret = from_cjson(item, &child, err);
		if (ret)
			return ret;
		if (ps_value_set(map, item->string, child))
			return no_memory(err);
		if (ps_value_count(map) != n) {
			return ps_error_set(err, -EINVAL, 400, "bad_json", item->string,
				"the member \"%.*s\" appears twice in one object; leave one of them out",
				(int)ps_utf8_cut(item->string, strlen(item->string), 60), item->string);
		}
	}
	*ret_value = PS_TAKE(map);
	return *ret_value ? 0 : no_memory(err);
}

/* cJSON has doubles only: below 2^53 a whole number is exact and becomes an integer, beyond it stays a real. */
static struct ps_value *from_number(double d)
{
	if (fabs(d) < 9007199254740992.0 && d == trunc(d))
		return ps_value_int((int64_t)d);
	return ps_value_real(d);
}

/* The depth is bounded: the text was looked through. */
static int from_cjson(const cJSON *c, struct ps_value **ret_value, struct ps_error *err)
{
	struct ps_value *v;

	if (cJSON_IsArray(c))
		return from_array(c, ret_value, err);
	if (cJSON_IsObject(c))
		return from_object(c, ret_value, err);
	if (cJSON_IsString(c))
		v = ps_value_string(c->valuestring);
	else if (cJSON_IsNumber(c)) {
		if (!isfinite(c->valuedouble))
			return ps_error_set(err, -EINVAL, 400, "bad_json", "", "a number is too large");
		v = from_number(c->valuedouble);
	} else if (cJSON_IsBool(c))
		v = ps_value_bool(cJSON_IsTrue(c));
	else
		v = ps_value_null();
	if (!v)
		return no_memory(err);
	*ret_value = v;
	return 0;
}

static void free_cjson(cJSON **c)
{
	cJSON_Delete(*c);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

int ps_json_parse(const char *text, size_t len, struct ps_value **ret_value, struct ps_error *err)
{
	_cleanup_(free_cjson) cJSON *root = NULL;
	struct scan where = {.text = text, .len = len, .err = err};
	const char *end = NULL;
	size_t used;
	int ret;

	if (len > PS_VALUE_BYTES_MAX)
		return ps_error_set(err, -EINVAL, 400, "bad_json", "",
			"the document has %zu bytes; at most %d are read", len, PS_VALUE_BYTES_MAX);
	for (used = 0; used < len && is_space(text[used]);)
		used++;
	if (used == len)
		return ps_error_set(err, -EINVAL, 400, "bad_json", "", "an empty document; JSON was expected");
	ret = scan(text, len, err);
	if (ret)
		return ret;
	root = cJSON_ParseWithLengthOpts(text, len, &end, 0);
	used = end && end >= text && end <= text + len ? (size_t)(end - text) : 0;
	if (!root)
		return bad(&where, used, "a value, comma, colon or closing bracket is missing or misplaced");
	while (used < len && is_space(text[used]))
		used++;
	if (used != len)
		return bad(&where, used, "something follows the end of the document");
	return from_cjson(root, ret_value, err);
}
