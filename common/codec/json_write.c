/* See json.h: writing, a stream into a buffer. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/codec/json.h"
#include "common/model/utf8.h"

/* Decimal digits at the end of text; where they begin. */
static size_t format_uint(char text[static 20], uint64_t v)
{
	size_t at = 20;

	do {
		text[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	return at;
}

static void write_uint(struct ps_buf *out, uint64_t v)
{
	char text[20];
	size_t at = format_uint(text, v);

	ps_buf_add(out, text + at, sizeof(text) - at);
}

static void write_int(struct ps_buf *out, int64_t v)
{
	if (v < 0)
		ps_buf_addc(out, '-');
	write_uint(out, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

/* The shortest of three precisions that reads back as the same number; what is no number is null. Its length. */
#define REAL_ROOM 40
static size_t format_real(char text[static REAL_ROOM], double d)
{
	if (!isfinite(d)) {
		memcpy(text, "null", 5);
		return 4;
	}
	for (int precision = 15; precision <= 17; precision++) {
		(void)snprintf(text, REAL_ROOM, "%.*g", precision, d);
		if (strtod(text, NULL) == d)
			break;
	}
	return strlen(text);
}

static void write_real(struct ps_buf *out, double d)
{
	char text[REAL_ROOM];

	ps_buf_add(out, text, format_real(text, d));
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
		size_t n = c < 0x80 ? 1 : ps_utf8_char(s + at, len - at);

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

/* --- Records --------------------------------------------------------------------------------- */

/*
 * Thousands of records go into one answer, so their fields are written straight into reserved room: each PUT takes the
 * place to write to and gives the place behind.
 */
#define VALUE_ROOM 64 /* the longest are an address in quotes (48) and a text that needs no escapes (49) */

_Static_assert(PS_ADDR_TEXT + 2 < VALUE_ROOM && PS_TEXT_SIZE + 2 < VALUE_ROOM, "a value fits its room");

static char *put(char *p, const char *s, size_t n)
{
	memcpy(p, s, n);
	return p + n;
}

static char *put_null(char *p)
{
	return put(p, "null", 4);
}

static char *put_uint(char *p, uint64_t v)
{
	char text[20];
	size_t at = format_uint(text, v);

	return put(p, text + at, sizeof(text) - at);
}

static char *put_quoted(char *p, const char *s, size_t n)
{
	*p++ = '"';
	p = put(p, s, n);
	*p++ = '"';
	return p;
}

static char *put_word(char *p, const char *word)
{
	return word ? put_quoted(p, word, strlen(word)) : put_null(p);
}

static char *put_id(char *p, uint64_t id)
{
	static const char digits[] = "0123456789abcdef";
	char text[16];

	if (!id)
		return put_null(p);
	for (int i = 15; i >= 0; i--, id >>= 4)
		text[i] = digits[id & 15];
	return put_quoted(p, text, sizeof(text));
}

static char *put_addr(char *p, const struct ps_addr *a)
{
	size_t n;

	if (!a->family)
		return put_null(p);
	n = ps_addr_put(a, p + 1);
	p[0] = p[n + 1] = '"';
	return p + n + 2;
}

static char *put_time(char *p, uint64_t wall_ns)
{
	char text[PS_RFC3339_SIZE];

	return put_word(p, wall_ns ? ps_rfc3339(wall_ns, text) : NULL);
}

/* Seconds, to the nanosecond: a division in decimal has no rounding to explain. */
static char *put_span(char *p, uint64_t ns)
{
	uint64_t fraction = ns % PS_NSEC;
	char text[9];
	size_t n = sizeof(text);

	p = put_uint(p, ns / PS_NSEC);
	if (!fraction)
		return p;
	for (size_t i = sizeof(text); i-- > 0; fraction /= 10)
		text[i] = (char)('0' + fraction % 10);
	while (text[n - 1] == '0')
		n--;
	*p++ = '.';
	return put(p, text, n);
}

static char *put_real(char *p, double d)
{
	char text[REAL_ROOM];

	if (d == 0)
		return put_uint(p, 0); /* what loss is most of the time */
	return put(p, text, format_real(text, d));
}

static char *put_proto(char *p, uint8_t proto)
{
	char text[8];

	return put_word(p, proto ? ps_proto_name(proto, text) : NULL);
}

static char *put_field(char *p, const struct ps_field *f, const void *at)
{
	switch (f->kind) {
	case PS_KIND_U8:
		return put_uint(p, *(const uint8_t *)at);
	case PS_KIND_U16:
		return put_uint(p, *(const uint16_t *)at);
	case PS_KIND_U32:
		return put_uint(p, *(const uint32_t *)at);
	case PS_KIND_U64:
		return put_uint(p, *(const uint64_t *)at);
	case PS_KIND_ID:
		return put_id(p, *(const uint64_t *)at);
	case PS_KIND_PROTO:
		return put_proto(p, *(const uint8_t *)at);
	case PS_KIND_ADDR:
		return put_addr(p, at);
	case PS_KIND_BOOL:
		return *(const bool *)at ? put(p, "true", 4) : put(p, "false", 5);
	case PS_KIND_TIME:
		return put_time(p, *(const uint64_t *)at);
	case PS_KIND_SPAN:
		return put_span(p, *(const uint64_t *)at);
	case PS_KIND_RATIO:
		return put_real(p, *(const double *)at);
	case PS_KIND_RULE:
		return *(const int32_t *)at < 0 ? put_null(p) : put_uint(p, (uint64_t)(*(const int32_t *)at));
	case PS_KIND_VIEW:
	case PS_KIND_STATE:
	case PS_KIND_END:
	case PS_KIND_VERDICT:
	case PS_KIND_DIRECTION:
	case PS_KIND_MODE:
		return put_word(p, ps_enum_name(f->kind, *(const uint8_t *)at));
	case PS_KIND_NAME:
	case PS_KIND_TEXT:
		break; /* may need escapes: ps_json_record writes them */
	}
	return p;
}

static bool is_text(enum ps_kind kind)
{
	return kind == PS_KIND_NAME || kind == PS_KIND_TEXT;
}

static void write_text(struct ps_buf *out, enum ps_kind kind, const char *s)
{
	if (kind == PS_KIND_TEXT && !*s)
		ps_buf_adds(out, "null");
	else
		ps_json_string(out, s, strnlen(s, kind == PS_KIND_TEXT ? PS_TEXT_SIZE : PS_NAME_SIZE));
}

void ps_json_record(struct ps_buf *out, const struct ps_schema *schema, const void *record)
{
	for (size_t i = 0; i < schema->n_fields; i++) {
		const struct ps_field *f = &schema->fields[i];
		const void *at = (const uint8_t *)record + f->offset;
		size_t n = strlen(f->name);
		char *start = (char *)ps_buf_reserve(out, n + 4 + VALUE_ROOM), *p = start;

		if (!p)
			return;
		if (i)
			*p++ = ',';
		p = put_quoted(p, f->name, n);
		*p++ = ':';
		p = put_field(p, f, at);
		out->len += (size_t)(p - start);
		if (is_text(f->kind))
			write_text(out, f->kind, at);
	}
}
