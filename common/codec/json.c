/* See json.h. */
#include "common/codec/json.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/limits.h"
#include "common/model/utf8.h"

/* --- Reading
 * ------------------------------------------------------------------------------------------------------------ */

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
	return ps_error_set(s->err, -EINVAL, 400, "bad_json", "", "not JSON at byte %zu: %s", at, what);
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
		if (ps_value_count(map) != n)
			return ps_error_set(err, -EINVAL, 400, "bad_json", item->string,
				"the member \"%.60s\" appears twice in one object; leave one of them out",
				item->string);
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

/* --- Writing
 * ------------------------------------------------------------------------------------------------------------ */

static void write_uint(struct ps_buf *out, uint64_t v)
{
	char text[20];
	size_t at = sizeof(text);

	do {
		text[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	ps_buf_add(out, text + at, sizeof(text) - at);
}

static void write_int(struct ps_buf *out, int64_t v)
{
	if (v < 0)
		ps_buf_addc(out, '-');
	write_uint(out, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

/* The shortest of three precisions that reads back as the same number. */
static void write_real(struct ps_buf *out, double d)
{
	char text[40];

	if (!isfinite(d)) {
		ps_buf_adds(out, "null");
		return;
	}
	for (int precision = 15; precision <= 17; precision++) {
		(void)snprintf(text, sizeof(text), "%.*g", precision, d);
		if (strtod(text, NULL) == d)
			break;
	}
	ps_buf_adds(out, text);
}

static void write_escape(struct ps_buf *out, unsigned char c)
{
	static const char names[32] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};

	if (c == '"' || c == '\\') {
		ps_buf_addc(out, '\\');
		ps_buf_addc(out, (char)c);
	} else if (c < 32 && names[c]) {
		ps_buf_addc(out, '\\');
		ps_buf_addc(out, names[c]);
	} else {
		ps_buf_addf(out, "\\u%04x", c);
	}
}

void ps_json_string(struct ps_buf *out, const char *s, size_t len)
{
	size_t from = 0, at = 0;

	ps_buf_addc(out, '"');
	while (at < len) {
		unsigned char c = (unsigned char)s[at];
		size_t n = ps_utf8_char(s + at, len - at);

		if (n && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
			at += n;
			continue;
		}
		ps_buf_add(out, s + from, at - from);
		if (n)
			write_escape(out, c);
		else
			ps_buf_adds(out, "\xef\xbf\xbd"); /* U+FFFD */
		from = ++at;
	}
	ps_buf_add(out, s + from, at - from);
	ps_buf_addc(out, '"');
}

/* indent < 0: compact. */
static void write_value(struct ps_buf *out, const struct ps_value *v, int indent);

static void new_line(struct ps_buf *out, int indent)
{
	if (indent < 0)
		return;
	ps_buf_addc(out, '\n');
	for (int i = 0; i < indent; i++)
		ps_buf_adds(out, "  ");
}

static void write_children(struct ps_buf *out, const struct ps_value *v, int indent)
{
	bool map = ps_value_kind(v) == PS_VALUE_MAP;
	int inner = indent < 0 ? indent : indent + 1;
	size_t n = ps_value_count(v);

	ps_buf_addc(out, map ? '{' : '[');
	for (size_t i = 0; i < n; i++) {
		if (i)
			ps_buf_addc(out, ',');
		new_line(out, inner);
		if (map) {
			const char *key = ps_value_key_at(v, i);

			ps_json_string(out, key, strlen(key));
			ps_buf_adds(out, indent < 0 ? ":" : ": ");
		}
		write_value(out, ps_value_at(v, i), inner);
	}
	if (n)
		new_line(out, indent);
	ps_buf_addc(out, map ? '}' : ']');
}

static void write_value(struct ps_buf *out, const struct ps_value *v, int indent)
{
	switch (ps_value_kind(v)) {
	case PS_VALUE_NULL:
		ps_buf_adds(out, "null");
		break;
	case PS_VALUE_BOOL:
		ps_buf_adds(out, ps_value_as_bool(v, false) ? "true" : "false");
		break;
	case PS_VALUE_INT:
		write_int(out, ps_value_as_int(v, 0));
		break;
	case PS_VALUE_UINT:
		write_uint(out, ps_value_as_uint(v, 0));
		break;
	case PS_VALUE_REAL:
		write_real(out, ps_value_as_real(v, 0));
		break;
	case PS_VALUE_STRING:
		ps_json_string(out, ps_value_as_string(v, ""), ps_value_string_len(v));
		break;
	case PS_VALUE_LIST:
	case PS_VALUE_MAP:
		write_children(out, v, indent);
		break;
	}
}

void ps_json_write(struct ps_buf *out, const struct ps_value *v)
{
	write_value(out, v, -1);
}

void ps_json_write_pretty(struct ps_buf *out, const struct ps_value *v)
{
	write_value(out, v, 0);
	ps_buf_addc(out, '\n');
}

/* --- Records
 * ------------------------------------------------------------------------------------------------------------ */

static void write_quoted(struct ps_buf *out, const char *plain)
{
	ps_buf_addc(out, '"');
	ps_buf_adds(out, plain);
	ps_buf_addc(out, '"');
}

static void write_or_null(struct ps_buf *out, const char *plain)
{
	if (plain)
		write_quoted(out, plain);
	else
		ps_buf_adds(out, "null");
}

static void write_time(struct ps_buf *out, uint64_t wall_ns)
{
	char text[PS_RFC3339_SIZE];

	write_or_null(out, wall_ns ? ps_rfc3339(wall_ns, text) : NULL);
}

/* Seconds, to the nanosecond: a division in decimal has no rounding to explain. */
static void write_span(struct ps_buf *out, uint64_t ns)
{
	uint64_t fraction = ns % PS_NSEC;
	char text[10];
	int at = 9;

	write_uint(out, ns / PS_NSEC);
	if (!fraction)
		return;
	for (int i = 8; i >= 0; i--, fraction /= 10)
		text[i] = (char)('0' + fraction % 10);
	while (text[at - 1] == '0')
		at--;
	ps_buf_addc(out, '.');
	ps_buf_add(out, text, (size_t)at);
}

static void write_addr(struct ps_buf *out, const struct ps_addr *a)
{
	char text[PS_ADDR_TEXT];

	write_or_null(out, a->family ? ps_addr_format(a, text) : NULL);
}

static void write_id(struct ps_buf *out, uint64_t id)
{
	char text[17];

	(void)snprintf(text, sizeof(text), "%016llx", (unsigned long long)id);
	write_or_null(out, id ? text : NULL);
}

static void write_field(struct ps_buf *out, const struct ps_field *f, const void *at)
{
	char proto[8];

	switch (f->kind) {
	case PS_KIND_U8:
		write_uint(out, *(const uint8_t *)at);
		break;
	case PS_KIND_U16:
		write_uint(out, *(const uint16_t *)at);
		break;
	case PS_KIND_U32:
		write_uint(out, *(const uint32_t *)at);
		break;
	case PS_KIND_U64:
		write_uint(out, *(const uint64_t *)at);
		break;
	case PS_KIND_ID:
		write_id(out, *(const uint64_t *)at);
		break;
	case PS_KIND_PROTO:
		write_or_null(out, *(const uint8_t *)at ? ps_proto_name(*(const uint8_t *)at, proto) : NULL);
		break;
	case PS_KIND_ADDR:
		write_addr(out, at);
		break;
	case PS_KIND_NAME:
		ps_json_string(out, at, strnlen(at, PS_NAME_SIZE));
		break;
	case PS_KIND_TEXT:
		if (*(const char *)at)
			ps_json_string(out, at, strnlen(at, PS_TEXT_SIZE));
		else
			ps_buf_adds(out, "null");
		break;
	case PS_KIND_BOOL:
		ps_buf_adds(out, *(const bool *)at ? "true" : "false");
		break;
	case PS_KIND_TIME:
		write_time(out, *(const uint64_t *)at);
		break;
	case PS_KIND_SPAN:
		write_span(out, *(const uint64_t *)at);
		break;
	case PS_KIND_RATIO:
		write_real(out, *(const double *)at);
		break;
	case PS_KIND_RULE:
		if (*(const int32_t *)at < 0)
			ps_buf_adds(out, "null");
		else
			write_uint(out, (uint64_t) * (const int32_t *)at);
		break;
	case PS_KIND_VIEW:
	case PS_KIND_STATE:
	case PS_KIND_END:
	case PS_KIND_VERDICT:
	case PS_KIND_DIRECTION:
		write_or_null(out, ps_enum_name(f->kind, *(const uint8_t *)at));
		break;
	}
}

void ps_json_record(struct ps_buf *out, const struct ps_schema *schema, const void *record)
{
	for (size_t i = 0; i < schema->n_fields; i++) {
		const struct ps_field *f = &schema->fields[i];

		if (i)
			ps_buf_addc(out, ',');
		write_quoted(out, f->name);
		ps_buf_addc(out, ':');
		write_field(out, f, (const uint8_t *)record + f->offset);
	}
}
