#include "common/codec/json_scan.h"

#include <errno.h>
#include <string.h>

static int broken(const struct ps_json_scan *s, struct ps_error *err, const char *expected)
{
	return ps_error_set(err, -EINVAL, 400, "bad_json", "", "not JSON: %s expected at byte %zu", expected, s->at);
}

static void skip_blank(struct ps_json_scan *s)
{
	while (s->at < s->len && memchr(" \t\r\n", s->text[s->at], 4))
		s->at++;
}

static bool take(struct ps_json_scan *s, char c)
{
	skip_blank(s);
	if (s->at >= s->len || s->text[s->at] != c)
		return false;
	s->at++;
	return true;
}

/* From behind the opening quote to behind the closing one. */
static bool skip_string(struct ps_json_scan *s)
{
	for (; s->at < s->len; s->at++) {
		if (s->text[s->at] == '\\')
			s->at++;
		else if (s->text[s->at] == '"')
			return s->at++, true;
	}
	return false;
}

/* To the comma or bracket behind a value: brackets within are counted, not matched. */
static bool skip_value(struct ps_json_scan *s)
{
	size_t depth = 0, start = s->at;

	while (s->at < s->len) {
		char c = s->text[s->at];

		if (c == '"') {
			s->at++;
			if (!skip_string(s))
				return false;
			continue;
		}
		if (!depth && (c == ',' || c == ']' || c == '}'))
			break;
		depth += c == '[' || c == '{';
		depth -= c == ']' || c == '}';
		s->at++;
	}
	return !depth && s->at > start;
}

int ps_json_scan_begin(const char *text, size_t len, char open, struct ps_json_scan *ret_scan, struct ps_error *err)
{
	struct ps_json_scan s = {.text = text, .len = len, .close = open == '[' ? ']' : '}'};

	if (!take(&s, open))
		return broken(&s, err, open == '[' ? "an array" : "an object");
	*ret_scan = s;
	return 0;
}

int ps_json_scan_next(struct ps_json_scan *s, const char **ret_key, size_t *ret_key_len, const char **ret_piece,
	size_t *ret_len, struct ps_error *err)
{
	const char *key = NULL;
	size_t key_len = 0, start;

	if (take(s, s->close)) {
		skip_blank(s);
		return s->at == s->len ? 0 : broken(s, err, "the end");
	}
	if (s->begun && !take(s, ','))
		return broken(s, err, "a comma");
	s->begun = true;
	if (s->close == '}') {
		if (!take(s, '"'))
			return broken(s, err, "a name");
		key = s->text + s->at;
		if (!skip_string(s))
			return broken(s, err, "the end of a string");
		key_len = (size_t)(s->text + s->at - 1 - key);
		if (!take(s, ':'))
			return broken(s, err, "a colon");
	}
	skip_blank(s);
	start = s->at;
	if (!skip_value(s))
		return broken(s, err, "a value");
	s->count++;
	if (ret_key) {
		*ret_key = key;
		*ret_key_len = key_len;
	}
	*ret_piece = s->text + start;
	*ret_len = s->at - start;
	return 1;
}
