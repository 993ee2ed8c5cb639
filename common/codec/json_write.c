/* See json.h: writing, a stream into a buffer. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/codec/json.h"
#include "common/model/utf8.h"

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

/* --- Records --------------------------------------------------------------------------------- */

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
