/* See rule.h, ps_rule_merge: the fields of a rule as they are given, one by one. What may stand beside what is in
 * rule_merge.c. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
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

static int no_memory(struct ps_error *err)
{
	return ps_error_set(err, -ENOMEM, 507, "no_memory", "", "no memory for another rule");
}

static int read_word(const char *field, const struct ps_value *v, const struct ps_rule_word *words, uint8_t *ret_value,
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

/* Why the text is no network, and what would be. */
static int bad_net(const char *field, const struct ps_value *v, int reason, struct ps_error *err)
{
	const char *s = ps_value_as_string(v, "");
	size_t len = ps_value_string_len(v);
	const char *slash = memchr(s, '/', len);
	struct ps_addr addr;
	char text[SHOWN];

	if (reason == -ERANGE) {
		bool v6 = memchr(s, ':', len);

		return bad(err, field, "%s is %s; an %s prefix has 0 to %d bits", field, shown(v, text),
			v6 ? "IPv6" : "IPv4", v6 ? 128 : 32);
	}
	if (slash && !ps_addr_parse(s, (size_t)(slash - s), &addr))
		return bad(err, field,
			"%s is %s; behind the slash stands the number of bits, as in 10.0.0.0/8, not a mask", field,
			shown(v, text));
	if (memchr(s, '%', len))
		return bad(err, field, "%s is %s; leave out the zone behind the %%", field, shown(v, text));
	if (memchr(s, ',', len) || memchr(s, ' ', len))
		return bad(err, field, "%s is %s; a rule takes one address or network: make a rule for each", field,
			shown(v, text));
	return bad(err, field,
		"%s is %s, which is no address; write it like 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32, or \"any\"",
		field, shown(v, text));
}

static bool is_mapped(const struct ps_net *n)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return n->addr.family == PS_FAMILY_IPV6 && n->len >= 96 && !memcmp(n->addr.word, mapped, sizeof(mapped));
}

static int read_net(const char *field, const struct ps_value *v, struct ps_net *ret_net, struct ps_error *err)
{
	const char *s = ps_value_as_string(v, NULL);
	char text[SHOWN], net[PS_NET_TEXT];
	struct ps_net n;
	int r;

	if (!s)
		return bad(err, field,
			"%s is %s; it must be an address or network in quotes, such as \"192.0.2.1\" or "
			"\"10.0.0.0/8\", or \"any\"",
			field, shown(v, text));
	if (is_any(v)) {
		*ret_net = (struct ps_net){0};
		return 0;
	}
	r = ps_net_parse(s, ps_value_string_len(v), &n);
	if (r)
		return bad_net(field, v, r, err);
	if (is_mapped(&n)) {
		struct ps_net v4 = {.addr = {.family = PS_FAMILY_IPV4, .word = {n.addr.word[3]}}, .len = n.len - 96};

		return bad(err, field, "%s is %s, an IPv4 address in IPv6 clothes that no packet carries; write %s",
			field, shown(v, text), ps_net_format(&v4, net));
	}
	if (!ps_net_is_masked(&n)) {
		ps_net_mask(&n);
		return bad(err, field,
			"%s is %s, which has bits beyond its prefix; write %s, or leave the prefix out for the one "
			"address",
			field, shown(v, text), ps_net_format(&n, net));
	}
	*ret_net = n;
	return 0;
}

static int read_ports(const char *field, const struct ps_value *v, struct ps_ports *ports, struct ps_error *err)
{
	const char *s = ps_value_as_string(v, NULL);
	struct ps_ports p = {0};
	char text[SHOWN];
	int64_t port;
	int r;

	if (s) {
		r = ps_ports_parse(s, ps_value_string_len(v), field, &p, err);
		if (r)
			return r;
	} else if (ps_value_is_integer(v, &port) && port >= 0 && port <= UINT16_MAX) {
		p = ps_ports_one((uint16_t)port);
	} else {
		return bad(err, field,
			"%s is %s; it must be a whole number from 1 to 65535, 0 for any, or text like \"8000-8100\" or "
			"\"22,80,443\"",
			field, shown(v, text));
	}
	ps_ports_clear(ports);
	*ports = p;
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

/* A whole number within limits, or null for none. */
static int read_limit(const char *field, const struct ps_value *v, uint32_t max, const char *what, uint32_t *ret_value,
	struct ps_error *err)
{
	char text[SHOWN];
	int64_t i = 0;

	if (ps_value_kind(v) != PS_VALUE_NULL && (!ps_value_is_integer(v, &i) || i < 1 || i > max))
		return bad(err, field, "%s is %s; it must be %s from 1 to %u, or null for none", field, shown(v, text),
			what, max);
	*ret_value = (uint32_t)i;
	return 0;
}

static int read_comment(const char *field, const struct ps_value *v, struct ps_rule *rule, struct ps_error *err)
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
	return ps_rule_set_comment(rule, s) ? no_memory(err) : 0;
}

/* A number between 0 and `max` that our own files have. */
static int read_stored(
	const char *field, const struct ps_value *v, int64_t max, int64_t *ret_value, struct ps_error *err)
{
	char text[SHOWN];

	if (!ps_value_is_integer(v, ret_value) || *ret_value < 0 || *ret_value > max)
		return bad(err, field, "%s is %s; it must be a whole number from 0 to %lld", field, shown(v, text),
			(long long)max);
	return 0;
}

/* The number is given by whoever keeps the rules; a body may only repeat it. */
static int read_id(
	const char *field, const struct ps_value *v, const struct ps_rule_reader *reader, struct ps_error *err)
{
	int32_t current = reader->rule->id;
	char text[SHOWN];
	int64_t i = 0;
	int r = 0;

	if (reader->stored) {
		r = read_stored(field, v, PS_RULES_MAX - 1, &i, err);
		if (!r)
			reader->rule->id = (int32_t)i;
		return r;
	}
	if (current < 0)
		return 0;
	if (!ps_value_is_integer(v, &i) || i != current)
		return bad(err, field, "%s is %s, but the rule's number is %d and cannot be changed; leave it out",
			field, shown(v, text), current);
	return 0;
}

static int read_generation(const struct ps_value *v, struct ps_rule_reader *reader, struct ps_error *err)
{
	int64_t i = 0;
	int r = reader->stored ? read_stored("generation", v, UINT32_MAX, &i, err) : 0;

	if (!r && reader->stored)
		reader->rule->generation = (uint32_t)i;
	return r;
}

/* A time, or null for none. */
static int read_time(const char *field, const struct ps_value *v, uint64_t *ret_time, struct ps_error *err)
{
	char text[SHOWN];

	*ret_time = 0;
	if (ps_value_kind(v) == PS_VALUE_NULL)
		return 0;
	if (ps_value_kind(v) != PS_VALUE_STRING ||
		ps_rfc3339_parse(ps_value_as_string(v, ""), ps_value_string_len(v), ret_time) || !*ret_time)
		return bad(err, field, "%s is %s; it must be a time like 2026-01-02T03:04:05Z, or null for none", field,
			shown(v, text));
	*ret_time -= *ret_time % 1000;
	return 0;
}

/*
 * ttl and expires_at say the same in two ways. ttl goes before, since an answer that is posted back has both and a
 * person changes ttl; but the ttl of an expired rule, 0, can't be meant.
 */
static int read_expiry(const struct ps_value *body, struct ps_rule_reader *reader, struct ps_error *err)
{
	const struct ps_value *ttl = ps_value_get(body, "ttl"), *at = ps_value_get(body, "expires_at");
	bool expired = reader->stored || ps_value_get_bool(body, "expired", false);
	uint64_t last = reader->now + PS_RULE_TTL_MAX * PS_NSEC, time = 0;
	char text[SHOWN];
	uint32_t seconds = 0;
	int r;

	if (ttl && !(expired && at)) {
		if (reader->stored && ps_value_kind(ttl) != PS_VALUE_NULL)
			return bad(
				err, "ttl", "ttl is %s; a file gives the time itself, in expires_at", shown(ttl, text));
		r = read_limit("ttl", ttl, PS_RULE_TTL_MAX, "a whole number of seconds", &seconds, err);
		if (!r)
			reader->rule->expires_at = seconds ? (reader->now / 1000 + seconds * 1000000ull) * 1000 : 0;
		return r;
	}
	if (!at)
		return 0;
	r = read_time("expires_at", at, &time, err);
	if (r)
		return r;
	if (time && time <= reader->now && !expired)
		return bad(err, "expires_at",
			"expires_at is %s, which has passed; give a time to come, or ttl in seconds", shown(at, text));
	if (!reader->stored && time > last)
		return bad(err, "expires_at",
			"expires_at is %s, more than ten years ahead; make it null for a rule that stays",
			shown(at, text));
	reader->rule->expires_at = time;
	return 0;
}

static int read_field(
	const struct ps_rule_field *f, const struct ps_value *v, struct ps_rule_reader *reader, struct ps_error *err)
{
	void *at = (uint8_t *)reader->rule + f->offset;

	switch (f->kind) {
	case PS_RF_ID:
		return read_id(f->name, v, reader, err);
	case PS_RF_TYPE:
	case PS_RF_DIRECTION:
	case PS_RF_ACTION:
	case PS_RF_MODE:
	case PS_RF_SOURCE:
		return read_word(f->name, v, ps_rule_words(f->kind), at, err);
	case PS_RF_PROTO:
	case PS_RF_INNER_PROTO:
		return read_proto(f->name, v, at, err);
	case PS_RF_NET:
		return read_net(f->name, v, at, err);
	case PS_RF_PORTS:
		return read_ports(f->name, v, at, err);
	case PS_RF_FLAGS:
		return read_flags(f->name, v, at, err);
	case PS_RF_ICMP:
		return read_icmp(f->name, v, at, err);
	case PS_RF_RATE:
		return read_limit(f->name, v, PS_RULE_RATE_MAX, "a whole number of packets a second", at, err);
	case PS_RF_BOOL:
		return read_bool(f->name, v, at, err);
	case PS_RF_PRIORITY:
		return read_priority(f->name, v, at, err);
	case PS_RF_TEXT:
		return read_comment(f->name, v, reader->rule, err);
	case PS_RF_CONFIRM:
		return reader->stored ? read_time(f->name, v, at, err) : 0;
	case PS_RF_GENERATION:
		return read_generation(v, reader, err);
	case PS_RF_TTL:
	case PS_RF_TIME:
	case PS_RF_EXPIRED:
		break; /* together, by read_expiry */
	}
	return 0;
}

/* --- Names that are no field of a rule ------------------------------------------------------- */

static const char *const echo[] = {
#define PS_RULE_ECHO(name) #name,
#include "common/model/rule.def"
};

/* Names that people from elsewhere write, and ours. */
static const struct {
	const char *theirs, *ours;
} aliases[] = {
	{"source_ip", "src_ip"},
	{"src", "src_ip"},
	{"src_addr", "src_ip"},
	{"saddr", "src_ip"},
	{"dest_ip", "dst_ip"},
	{"destination_ip", "dst_ip"},
	{"dst", "dst_ip"},
	{"daddr", "dst_ip"},
	{"sport", "src_port"},
	{"source_port", "src_port"},
	{"port", "dst_port"},
	{"ports", "dst_port"},
	{"dport", "dst_port"},
	{"dest_port", "dst_port"},
	{"destination_port", "dst_port"},
	{"proto", "protocol"},
	{"type", "rule_type or icmp_type"},
	{"code", "icmp_code"},
	{"flags", "tcp_flags"},
	{"mask", "tcp_flags_mask"},
	{"verdict", "action"},
	{"target", "action"},
	{"active", "enabled"},
	{"disabled", "enabled"},
	{"name", "comment"},
	{"description", "comment"},
	{"expires", "ttl or expires_at"},
	{"rate", "rate_limit"},
	{"limit", "rate_limit"},
};

static int unknown_field(const char *name, struct ps_error *err)
{
	int cut = (int)ps_utf8_cut(name, strlen(name), 60);

	for (size_t i = 0; i < PS_ARRAY_SIZE(aliases); i++)
		if (!strcasecmp(aliases[i].theirs, name))
			return ps_error_set(err, -EINVAL, 400, "unknown_field", name,
				"a rule has no field \"%.*s\"; it is called %s", cut, name, aliases[i].ours);
	for (size_t i = 0; i < PS_RULE_N_FIELDS; i++)
		if (!strcasecmp(ps_rule_fields[i].name, name))
			return ps_error_set(err, -EINVAL, 400, "unknown_field", name,
				"a rule has no field \"%.*s\"; it is written %s", cut, name, ps_rule_fields[i].name);
	return ps_error_set(err, -EINVAL, 400, "unknown_field", name,
		"a rule has no field \"%.*s\"; check the spelling, or leave it out", cut, name);
}

/* confirm_within and force. */
static int read_request(
	const char *name, const struct ps_value *v, struct ps_rule_request *request, struct ps_error *err)
{
	char text[SHOWN];

	if (!request)
		return bad(err, name,
			"%s is %s, but it speaks of one request, and this is a rule of a list; leave it out", name,
			shown(v, text));
	if (!strcmp(name, "force"))
		return read_bool(name, v, &request->force, err);
	return read_limit(name, v, PS_RULE_CONFIRM_MAX, "a whole number of seconds", &request->confirm_within, err);
}

static int other_name(const char *name, const struct ps_value *v, struct ps_rule_reader *reader, struct ps_error *err)
{
	for (size_t i = 0; i < PS_ARRAY_SIZE(echo); i++)
		if (!strcmp(name, echo[i]))
			return 0;
	if (!strcmp(name, "confirm_within") || !strcmp(name, "force"))
		return read_request(name, v, reader->request, err);
	return unknown_field(name, err);
}

int ps_rule_read_fields(const struct ps_value *body, struct ps_rule_reader *reader, struct ps_error *err)
{
	for (size_t i = 0; i < ps_value_count(body); i++) {
		const char *name = ps_value_key_at(body, i);
		const struct ps_value *v = ps_value_at(body, i);
		size_t f = 0;
		int r;

		while (f < PS_RULE_N_FIELDS && strcmp(ps_rule_fields[f].name, name) != 0)
			f++;
		if (f < PS_RULE_N_FIELDS)
			r = read_field(&ps_rule_fields[f], v, reader, err);
		else
			r = other_name(name, v, reader, err);
		if (r)
			return r;
		if (f < PS_RULE_N_FIELDS)
			reader->given[f] = true;
	}
	return read_expiry(body, reader, err);
}
