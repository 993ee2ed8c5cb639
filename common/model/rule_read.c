/* See rule.h, ps_rule_merge: the fields of a rule as they are given, one by one. What may stand beside what is in
 * rule_merge.c. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/limits.h"
#include "common/model/rule_fields.h"
#include "common/model/schema.h"
#include "common/model/utf8.h"

#define bad(err, field, ...) ps_error_set(err, -EINVAL, 400, "bad_value", field, __VA_ARGS__)

/* A value as a message shows it: short, and never more than it is. */
#define SHOWN 48
static const char *shown(const struct ps_value *v, char buf[static SHOWN])
{
	const char *s = ps_value_as_string(v, NULL);
	size_t n = ps_value_string_len(v), cut;
	int64_t i;

	if (s) {
		cut = ps_utf8_valid(s, n) ? ps_utf8_cut(s, n, 32) : 0;
		(void)snprintf(buf, SHOWN, "\"%.*s%s\"", (int)cut, s, cut < n ? "\xe2\x80\xa6" : "");
	} else if (ps_value_is_integer(v, &i)) {
		(void)snprintf(buf, SHOWN, "%lld", (long long)i);
	} else if (ps_value_kind(v) == PS_VALUE_REAL) {
		(void)snprintf(buf, SHOWN, "%.10g", ps_value_as_real(v, 0));
	} else if (ps_value_kind(v) == PS_VALUE_BOOL) {
		(void)snprintf(buf, SHOWN, "%s", ps_value_as_bool(v, false) ? "true" : "false");
	} else {
		(void)snprintf(buf, SHOWN, "%s", ps_value_kind_name(ps_value_kind(v)));
	}
	return buf;
}

/* --- One field ------------------------------------------------------------------------------- */

static int read_word(const char *field, const struct ps_value *v, const struct ps_rule_word *words, unsigned *ret_value,
	struct ps_error *err)
{
	const char *s = ps_value_as_string(v, "");
	char list[80] = "", text[SHOWN];

	for (const struct ps_rule_word *w = words; w->word; w++) {
		size_t used = strlen(list);

		if (strlen(w->word) == ps_value_string_len(v) && !strcmp(w->word, s)) {
			*ret_value = w->value;
			return 0;
		}
		(void)snprintf(list + used, sizeof(list) - used, "%s%s",
			!used       ? ""
			: w[1].word ? ", "
				    : " or ",
			w->word);
	}
	return bad(err, field, "%s is %s; it must be %s", field, shown(v, text), list);
}

static bool is_any(const struct ps_value *v)
{
	const char *s = ps_value_as_string(v, "-");

	return !ps_value_string_len(v) ? s[0] == '\0' : ps_value_string_len(v) == 3 && !strcmp(s, "any");
}

static int read_proto(const char *field, const struct ps_value *v, int16_t *ret_proto, struct ps_error *err)
{
	uint8_t proto;
	char text[SHOWN];
	int64_t i;

	if (is_any(v)) {
		*ret_proto = PS_RULE_ANY;
		return 0;
	}
	if (ps_value_is_integer(v, &i) && i >= 0 && i <= UINT8_MAX) {
		*ret_proto = (int16_t)i;
		return 0;
	}
	if (ps_value_kind(v) == PS_VALUE_STRING &&
		!ps_proto_parse(ps_value_as_string(v, ""), ps_value_string_len(v), &proto)) {
		*ret_proto = proto;
		return 0;
	}
	return bad(err, field, "%s is %s; it must be any, tcp, udp, icmp, icmpv6 or a number from 0 to 255", field,
		shown(v, text));
}

/* "10.0.0.1/32" and "2001:db8::1/128" are exact addresses in another spelling. Returns the length without the prefix.
 */
static size_t without_host_prefix(const char *s, size_t len)
{
	const char *slash = memchr(s, '/', len);
	bool v6 = memchr(s, ':', len);

	if (slash && !strcmp(slash, v6 ? "/128" : "/32"))
		return (size_t)(slash - s);
	return len;
}

static int read_addr(const char *field, const struct ps_value *v, struct ps_addr *ret_addr, struct ps_error *err)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	const char *s = ps_value_as_string(v, NULL);
	size_t len = ps_value_string_len(v);
	struct ps_addr a;
	char text[SHOWN];

	if (!s)
		return bad(err, field, "%s is %s; it must be an address in quotes, such as \"192.0.2.1\", or \"any\"",
			field, shown(v, text));
	if (is_any(v)) {
		*ret_addr = (struct ps_addr){0};
		return 0;
	}
	if (ps_addr_parse(s, without_host_prefix(s, len), &a)) {
		if (memchr(s, '/', len)) {
			return bad(err, field,
				"%s is %s; this version takes an exact address, not a prefix: give one address a rule, "
				"or \"any\"",
				field, shown(v, text));
		}
		if (memchr(s, '%', len))
			return bad(err, field, "%s is %s; leave out the zone behind the %%", field, shown(v, text));
		return bad(err, field,
			"%s is %s, which is no address; write it like 192.0.2.1 or 2001:db8::1, or \"any\"", field,
			shown(v, text));
	}
	if (a.family == PS_FAMILY_IPV6 && !memcmp(a.word, mapped, sizeof(mapped)))
		return bad(err, field, "%s is %s, an IPv4 address in IPv6 clothes that no packet carries; write %s",
			field, shown(v, text), strrchr(s, ':') + 1);
	*ret_addr = a;
	return 0;
}

/* A decimal number from 0 to 65535 in text. */
static bool port_text(const char *s, size_t len, int64_t *ret_port)
{
	int64_t port = 0;

	if (!len || len > 5)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		port = port * 10 + (s[i] - '0');
	}
	*ret_port = port;
	return true;
}

static int read_port(const char *field, const struct ps_value *v, uint16_t *ret_port, struct ps_error *err)
{
	const char *s = ps_value_as_string(v, NULL);
	size_t len = ps_value_string_len(v);
	int64_t port = -1;
	char text[SHOWN];

	if (is_any(v)) {
		*ret_port = 0;
		return 0;
	}
	if (s && len && strspn(s, "0123456789-, ") == len && strpbrk(s, "-,") && s[0] != '-') {
		return bad(err, field,
			"%s is %s; this version takes a single port: make a rule for each port, or give 0 for any",
			field, shown(v, text));
	}
	if (s ? !port_text(s, len, &port) : !ps_value_is_integer(v, &port))
		port = -1;
	if (port < 0 || port > UINT16_MAX)
		return bad(err, field, "%s is %s; it must be a whole number from 1 to 65535, or 0 for any", field,
			shown(v, text));
	*ret_port = (uint16_t)port;
	return 0;
}

static const struct ps_rule_word flag_words[] = {
	{"FIN", 1},
	{"SYN", 2},
	{"RST", 4},
	{"PSH", 8},
	{"ACK", 16},
	{"URG", 32},
	{"ECE", 64},
	{"CWR", 128},
	{NULL, 0},
};

/* "SYN|ACK", "SYN+ACK", "syn | ack"; "" is none. */
static bool flag_text(const char *s, uint8_t *ret_flags)
{
	uint8_t flags = 0;

	s += strspn(s, " ");
	if (!*s) {
		*ret_flags = 0;
		return true;
	}
	for (;;) {
		const struct ps_rule_word *w = flag_words;

		while (w->word && strncasecmp(s, w->word, 3) != 0)
			w++;
		if (!w->word)
			return false;
		flags |= (uint8_t)w->value;
		s += 3;
		s += strspn(s, " ");
		if (!*s)
			break;
		if (*s != '|' && *s != '+')
			return false;
		s++;
		s += strspn(s, " ");
	}
	*ret_flags = flags;
	return true;
}

static int read_flags(const char *field, const struct ps_value *v, uint8_t *ret_flags, struct ps_error *err)
{
	const char *s = ps_value_as_string(v, NULL);
	char text[SHOWN];
	int64_t i;

	if (s && strlen(s) == ps_value_string_len(v) && flag_text(s, ret_flags))
		return 0;
	if (!ps_value_is_integer(v, &i) || i < 0 || i > UINT8_MAX) {
		return bad(err, field,
			"%s is %s; it must be a number from 0 to 255, or names of FIN SYN RST PSH ACK URG ECE CWR "
			"joined by |",
			field, shown(v, text));
	}
	*ret_flags = (uint8_t)i;
	return 0;
}

static int read_icmp(const char *field, const struct ps_value *v, int16_t *ret_number, struct ps_error *err)
{
	char text[SHOWN];
	int64_t i;

	if (!ps_value_is_integer(v, &i) || i < 0 || i > UINT8_MAX)
		return bad(err, field, "%s is %s; it must be a number from 0 to 254, or 255 for any", field,
			shown(v, text));
	*ret_number = (int16_t)(i == PS_RULE_ICMP_ANY ? PS_RULE_ANY : i);
	return 0;
}

static int read_bool(const char *field, const struct ps_value *v, bool *ret_b, struct ps_error *err)
{
	char text[SHOWN];

	if (ps_value_kind(v) != PS_VALUE_BOOL)
		return bad(err, field, "%s is %s; it must be true or false, without quotes", field, shown(v, text));
	*ret_b = ps_value_as_bool(v, false);
	return 0;
}

static int read_priority(const char *field, const struct ps_value *v, int32_t *ret_priority, struct ps_error *err)
{
	char text[SHOWN];
	int64_t i;

	if (!ps_value_is_integer(v, &i) || i < 0 || i > PS_RULE_PRIORITY_MAX)
		return bad(err, field, "%s is %s; it must be a whole number from 0 (first) to %d (last)", field,
			shown(v, text), PS_RULE_PRIORITY_MAX);
	*ret_priority = (int32_t)i;
	return 0;
}

static int read_comment(const char *field, const struct ps_value *v, char *to, struct ps_error *err)
{
	const char *s = ps_value_as_string(v, NULL);
	size_t len = ps_value_string_len(v);
	char text[SHOWN];

	if (!s)
		return bad(err, field, "%s is %s; it must be text in quotes", field, shown(v, text));
	if (len > PS_RULE_COMMENT_MAX)
		return bad(err, field, "%s has %zu bytes; at most %d are kept, shorten it", field, len,
			PS_RULE_COMMENT_MAX);
	if (strlen(s) != len || !ps_utf8_valid(s, len))
		return bad(err, field, "%s must be UTF-8 text without NUL characters", field);
	memset(to, 0, sizeof(((struct ps_rule *)0)->comment));
	memcpy(to, s, len);
	return 0;
}

/* The number is given by whoever keeps the rules; here it may only be repeated. */
static int read_id(const char *field, const struct ps_value *v, int32_t current, struct ps_error *err)
{
	char text[SHOWN];
	int64_t i;

	if (current < 0)
		return 0;
	if (!ps_value_is_integer(v, &i) || i != current)
		return bad(err, field, "%s is %s, but the rule's number is %d and cannot be changed; leave it out",
			field, shown(v, text), current);
	return 0;
}

static int read_field(
	const struct ps_rule_field *f, const struct ps_value *v, struct ps_rule *rule, struct ps_error *err)
{
	void *at = (uint8_t *)rule + f->offset;
	unsigned value = 0;
	int ret;

	switch (f->kind) {
	case PS_RF_ID:
		return read_id(f->name, v, rule->id, err);
	case PS_RF_TYPE:
		ret = read_word(f->name, v, ps_rule_type_words, &value, err);
		if (!ret)
			rule->rule_type = (enum ps_rule_type)value;
		return ret;
	case PS_RF_PROTO:
	case PS_RF_INNER_PROTO:
		return read_proto(f->name, v, at, err);
	case PS_RF_ADDR:
		return read_addr(f->name, v, at, err);
	case PS_RF_PORT:
		return read_port(f->name, v, at, err);
	case PS_RF_FLAGS:
		return read_flags(f->name, v, at, err);
	case PS_RF_ICMP:
		return read_icmp(f->name, v, at, err);
	case PS_RF_DIRECTION:
		ret = read_word(f->name, v, ps_rule_direction_words, &value, err);
		if (!ret)
			rule->direction = (uint8_t)value;
		return ret;
	case PS_RF_ACTION:
		ret = read_word(f->name, v, ps_rule_action_words, &value, err);
		if (!ret)
			rule->action = (uint8_t)value;
		return ret;
	case PS_RF_BOOL:
		return read_bool(f->name, v, at, err);
	case PS_RF_PRIORITY:
		return read_priority(f->name, v, &rule->priority, err);
	case PS_RF_TEXT:
		return read_comment(f->name, v, rule->comment, err);
	case PS_RF_SOURCE:
		ret = read_word(f->name, v, ps_rule_source_words, &value, err);
		if (!ret)
			rule->source = (enum ps_rule_source)value;
		return ret;
	}
	return -EINVAL;
}

/* --- Names that are no field of a rule ------------------------------------------------------- */

/* What an answer has beside the rule: may come back, and says nothing. */
static const char *const read_only[] = {"packets", "bytes", "first_hit", "last_hit", "warnings"};

static const struct {
	const char *name;
	const char *remedy;
} unsupported[] = {
	{"mode", "every enabled rule is enforced: leave mode out, or keep the rule disabled"},
	{"ttl", "a rule stays until it is deleted: leave ttl out"},
	{"expires_at", "a rule stays until it is deleted: leave expires_at out"},
	{"rate_limit", "a rule drops or allows every packet it matches: leave rate_limit out"},
	{"confirm_within", "a rule takes effect at once: leave confirm_within out"},
	{"force", "no rule is held back: leave force out"},
};

static int other_name(const char *name, const struct ps_value *v, struct ps_error *err)
{
	char text[SHOWN];

	for (size_t i = 0; i < PS_ARRAY_SIZE(read_only); i++)
		if (!strcmp(name, read_only[i]))
			return 0;
	if (!strcmp(name, "mode") && !strcmp(ps_value_as_string(v, ""), "enforce"))
		return 0; /* asks for what is done anyway */
	for (size_t i = 0; i < PS_ARRAY_SIZE(unsupported); i++) {
		if (!strcmp(name, unsupported[i].name)) {
			return ps_error_set(err, -EINVAL, 400, "unsupported", name,
				"%s is %s, but this version does not support it; %s", name, shown(v, text),
				unsupported[i].remedy);
		}
	}
	return ps_error_set(err, -EINVAL, 400, "unknown_field", name,
		"a rule has no field \"%.*s\"; check the spelling, or leave it out",
		(int)ps_utf8_cut(name, strlen(name), 60), name);
}

int ps_rule_read_fields(
	const struct ps_value *body, struct ps_rule *rule, bool given[static PS_RULE_N_FIELDS], struct ps_error *err)
{
	for (size_t i = 0; i < ps_value_count(body); i++) {
		const char *name = ps_value_key_at(body, i);
		const struct ps_value *v = ps_value_at(body, i);
		size_t f = 0;
		int ret;

		while (f < PS_RULE_N_FIELDS && strcmp(ps_rule_fields[f].name, name) != 0)
			f++;
		if (f == PS_RULE_N_FIELDS)
			ret = other_name(name, v, err);
		else
			ret = read_field(&ps_rule_fields[f], v, rule, err);
		if (ret)
			return ret;
		if (f < PS_RULE_N_FIELDS)
			given[f] = true;
	}
	return 0;
}
