#include "ai-worker/reply.h"

#include <errno.h>
#include <string.h>

#include "ai-worker/limits.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "common/model/utf8.h"

#define bad(err, field, ...) ps_error_set(err, -EINVAL, 502, "bad_answer", field, __VA_ARGS__)

/* --- the form ------------------------------------------------------------------------------------ */

/* A member of a filter, in the answer's schema. OpenAI's strict schemas know no optional members: every one is asked
 * for, and has a value that means "not tested". */
static const struct {
	const char *name;
	const char *type;  /* of JSON */
	const char *words; /* of an enum, by commas; NULL = any */
	const char *doc;
} members[] = {
	{"rule_type", "string", "basic,tcp,udp,icmp", NULL},
	{"src_ip", "string", NULL, "address, CIDR network, or any"},
	{"dst_ip", "string", NULL, "address, CIDR network, or any"},
	{"src_port", "string", NULL, "0 for any, or 443, 8000-8100, 22,80"},
	{"dst_port", "string", NULL, "0 for any, or 443, 8000-8100, 22,80"},
	{"tcp_flags", "string", NULL, "empty for any, or SYN, SYN|ACK"},
	{"icmp_type", "integer", NULL, "255 for any"},
	{"icmp_code", "integer", NULL, "255 for any"},
	{"direction", "string", "ingress,egress,both", NULL},
	{"action", "string", "drop,allow", NULL},
	{"ttl", "integer", NULL, "seconds"},
	{"comment", "string", NULL, "what the rule is for"},
	{"reason", "string", NULL, "why, with numbers"},
	{"connections", "strings", NULL, "ids of connections that it matches"},
	{"findings", "strings", NULL, "ids of findings that it answers"},
};

static struct ps_value *words_of(const char *words)
{
	_cleanup_(ps_value_free) struct ps_value *list = ps_value_list();
	int r = 0;

	while (*words) {
		size_t len = strcspn(words, ",");

		r |= ps_value_append(list, ps_value_string_n(words, len));
		words += len + (words[len] == ',');
	}
	return r ? NULL : PS_TAKE(list);
}

static struct ps_value *property(const char *type, const char *words, const char *doc)
{
	_cleanup_(ps_value_free) struct ps_value *v = ps_value_map();
	bool list = strcmp(type, "strings") == 0;
	int r = ps_value_set(v, "type", ps_value_string(list ? "array" : type));

	if (list)
		r |= ps_value_set(v, "items", property("string", NULL, NULL));
	if (words)
		r |= ps_value_set(v, "enum", words_of(words));
	if (doc)
		r |= ps_value_set(v, "description", ps_value_string(doc));
	return r ? NULL : PS_TAKE(v);
}

/* An object all of whose members are there and that has no others. Takes `properties`. */
static struct ps_value *object(struct ps_value *properties)
{
	_cleanup_(ps_value_free) struct ps_value *v = ps_value_map(), *required = ps_value_list();
	int r = ps_value_set(v, "type", ps_value_string("object"));

	for (size_t i = 0; i < ps_value_count(properties); i++)
		r |= ps_value_append(required, ps_value_string(ps_value_key_at(properties, i)));
	r |= ps_value_set(v, "properties", properties);
	r |= ps_value_set(v, "required", PS_TAKE(required));
	r |= ps_value_set(v, "additionalProperties", ps_value_bool(false));
	return r ? NULL : PS_TAKE(v);
}

struct ps_value *ps_reply_schema(bool with_filters)
{
	_cleanup_(ps_value_free) struct ps_value *top = ps_value_map(), *filter = ps_value_map();
	struct ps_value *filters = ps_value_map();
	int r = with_filters ? 0 : ps_value_set(top, "summary", property("string", NULL, "one sentence"));

	r |= ps_value_set(top, "analysis", property("string", NULL, "what the data shows, in a few paragraphs"));
	r |= ps_value_set(top, "suggestions", property("strings", NULL, "what to look at or to do"));
	for (size_t i = 0; i < PS_ARRAY_SIZE(members); i++)
		r |= ps_value_set(filter, members[i].name, property(members[i].type, members[i].words, members[i].doc));
	r |= ps_value_set(filters, "type", ps_value_string("array"));
	r |= ps_value_set(filters, "items", object(PS_TAKE(filter)));
	if (with_filters)
		r |= ps_value_set(top, "filters", PS_TAKE(filters));
	ps_value_free(&filters);
	return r ? NULL : object(PS_TAKE(top));
}

/* --- finding it ---------------------------------------------------------------------------------- */

static int try_parse(const char *text, size_t len, struct ps_value **ret)
{
	struct ps_value *v = NULL;
	int r = ps_json_parse(text, len, &v, NULL);

	if (r == 0 && ps_value_kind(v) != PS_VALUE_MAP) {
		ps_value_free(&v);
		r = -EINVAL;
	}
	if (r == 0)
		*ret = v;
	return r;
}

/* Between ``` (with or without a word behind) and the next ```; every block is tried. */
static int parse_fenced(const char *text, size_t len, struct ps_value **ret)
{
	const char *at = text, *end = text + len;

	while ((at = memmem(at, (size_t)(end - at), "```", 3))) {
		const char *body = memchr(at, '\n', (size_t)(end - at));
		const char *close = body ? memmem(body, (size_t)(end - body), "```", 3) : NULL;

		if (!body)
			return -EINVAL;
		if (try_parse(body, (size_t)((close ? close : end) - body), ret) == 0)
			return 0;
		if (!close)
			return -EINVAL;
		at = close + 3;
	}
	return -EINVAL;
}

static int find_object(const char *text, size_t len, struct ps_value **ret)
{
	const char *open, *close;
	int r = try_parse(text, len, ret);

	if (r < 0)
		r = parse_fenced(text, len, ret);
	if (r == 0)
		return 0;
	open = memchr(text, '{', len);
	close = memrchr(text, '}', len);
	return open && close > open ? try_parse(open, (size_t)(close - open) + 1, ret) : -EINVAL;
}

/* --- holding it against the form ----------------------------------------------------------------- */

struct ps_value *ps_reply_clean(const char *text, size_t len, size_t max)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	for (size_t i = 0, n; i < len && out.len < max; i += n) {
		unsigned char c = (unsigned char)text[i];

		n = ps_utf8_char(text + i, len - i);
		if (n > 1 && out.len + n > max)
			break;
		if (n == 0) {
			n = 1;
			ps_buf_addc(&out, '?');
		} else if (c == '\n') {
			ps_buf_addc(&out, '\n');
		} else if (c < ' ' || c == 0x7f || (c == 0xc2 && (unsigned char)text[i + 1] < 0xa0)) {
			ps_buf_addc(&out, ' ');
		} else {
			ps_buf_add(&out, text + i, n);
		}
	}
	return out.error ? NULL : ps_value_string_n((const char *)out.data, out.len);
}

static int take_text(
	const struct ps_value *from, const char *name, size_t max, struct ps_value *to, struct ps_error *err)
{
	const struct ps_value *v = ps_value_get(from, name);

	if (ps_value_kind(v) != PS_VALUE_STRING)
		return bad(err, name, "\"%s\" must be a text, but it is %s", name,
			v ? ps_value_kind_name(ps_value_kind(v)) : "missing");
	return ps_value_set(to, name, ps_reply_clean(ps_value_as_string(v, ""), ps_value_string_len(v), max));
}

static int take_suggestions(const struct ps_value *from, struct ps_value *to, struct ps_error *err)
{
	const struct ps_value *list = ps_value_get(from, "suggestions");
	_cleanup_(ps_value_free) struct ps_value *out = ps_value_list();
	size_t n = PS_MIN(ps_value_count(list), (size_t)PS_AI_SUGGESTIONS_MAX);
	int r = 0;

	if (list && ps_value_kind(list) != PS_VALUE_LIST)
		return bad(err, "suggestions", "\"suggestions\" must be a list of texts, but it is %s",
			ps_value_kind_name(ps_value_kind(list)));
	for (size_t i = 0; i < n; i++) {
		const struct ps_value *v = ps_value_at(list, i);

		if (ps_value_kind(v) != PS_VALUE_STRING)
			return bad(err, "suggestions", "suggestion %zu must be a text, but it is %s", i + 1,
				ps_value_kind_name(ps_value_kind(v)));
		r |= ps_value_append(
			out, ps_reply_clean(ps_value_as_string(v, ""), ps_value_string_len(v), PS_AI_SUGGESTION_MAX));
	}
	return r ? -ENOMEM : ps_value_set(to, "suggestions", PS_TAKE(out));
}

static int take_filters(const struct ps_value *from, struct ps_value *to, struct ps_error *err)
{
	const struct ps_value *list = ps_value_get(from, "filters");

	if (ps_value_kind(list) != PS_VALUE_LIST)
		return bad(err, "filters", "\"filters\" must be a list of objects, but it is %s",
			list ? ps_value_kind_name(ps_value_kind(list)) : "missing");
	return ps_value_set(to, "filters", ps_value_copy(list));
}

int ps_reply_read(const char *text, size_t len, bool with_filters, struct ps_value **ret_answer, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *found = NULL, *answer = ps_value_map();
	int r = find_object(text, len, &found);

	if (r < 0)
		return bad(err, "", len ? "it has no JSON object that can be parsed" : "it is empty");
	if (!with_filters && ps_value_get(found, "summary"))
		r = take_text(found, "summary", PS_AI_SUGGESTION_MAX, answer, err);
	if (r == 0)
		r = take_text(found, "analysis", PS_AI_TEXT_MAX, answer, err);
	if (r == 0)
		r = take_suggestions(found, answer, err);
	if (r == 0 && with_filters)
		r = take_filters(found, answer, err);
	if (r == 0)
		*ret_answer = PS_TAKE(answer);
	return r;
}
