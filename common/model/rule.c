/* See rule.h: defaults, printing, comparing, matching, compiling. Reading a rule is in rule_merge.c. */
#include "common/model/rule.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/model/rule_fields.h"
#include "common/model/schema.h"

#define FLAG_SYN 0x02
#define FLAG_ACK 0x10

const struct ps_rule_field ps_rule_fields[PS_RULE_N_FIELDS] = {
#define PS_RULE(name, kind, applies, doc) {#name, PS_RF_##kind, PS_APPLIES_##applies, offsetof(struct ps_rule, name)},
#include "common/model/rule.def"
};

/* --- Words ----------------------------------------------------------------------------------- */

const struct ps_rule_word ps_rule_type_words[] = {
	{"basic", PS_RULE_BASIC},
	{"tcp", PS_RULE_TCP},
	{"udp", PS_RULE_UDP},
	{"icmp", PS_RULE_ICMP},
	{NULL, 0},
};

const struct ps_rule_word ps_rule_action_words[] = {
	{"drop", PS_RULE_ACTION_DROP},
	{"allow", PS_RULE_ACTION_ALLOW},
	{NULL, 0},
};

const struct ps_rule_word ps_rule_direction_words[] = {
	{"ingress", PS_DIR_INGRESS},
	{"egress", PS_DIR_EGRESS},
	{"both", PS_DIR_INGRESS | PS_DIR_EGRESS},
	{NULL, 0},
};

const struct ps_rule_word ps_rule_source_words[] = {
	{"user", PS_SOURCE_USER},
	{"ai", PS_SOURCE_AI},
	{"detector", PS_SOURCE_DETECTOR},
	{"import", PS_SOURCE_IMPORT},
	{NULL, 0},
};

static const char *word_of(const struct ps_rule_word *words, unsigned value)
{
	for (; words->word; words++)
		if (words->value == value)
			return words->word;
	return NULL;
}

/* --- Defaults and printing ------------------------------------------------------------------- */

void ps_rule_defaults(struct ps_rule *ret_rule)
{
	*ret_rule = (struct ps_rule){
		.id = -1,
		.rule_type = PS_RULE_BASIC,
		.protocol = PS_RULE_ANY,
		.icmp_type = PS_RULE_ANY,
		.icmp_code = PS_RULE_ANY,
		.inner_protocol = PS_RULE_ANY,
		.direction = PS_DIR_INGRESS,
		.action = PS_RULE_ACTION_DROP,
		.priority = 1000,
		.source = PS_SOURCE_USER,
	};
}

static struct ps_value *proto_value(int16_t proto)
{
	char buf[8];

	return ps_value_string(proto == PS_RULE_ANY ? "any" : ps_proto_name((uint8_t)proto, buf));
}

static struct ps_value *addr_value(const struct ps_addr *a)
{
	char text[PS_ADDR_TEXT];

	return ps_value_string(a->family ? ps_addr_format(a, text) : "any");
}

static struct ps_value *field_value(const struct ps_rule_field *f, const struct ps_rule *rule)
{
	const void *at = (const uint8_t *)rule + f->offset;

	switch (f->kind) {
	case PS_RF_ID:
		return rule->id < 0 ? ps_value_null() : ps_value_int(rule->id);
	case PS_RF_TYPE:
		return ps_value_string(word_of(ps_rule_type_words, rule->rule_type));
	case PS_RF_PROTO:
	case PS_RF_INNER_PROTO:
		return proto_value(*(const int16_t *)at);
	case PS_RF_ADDR:
		return addr_value(at);
	case PS_RF_PORT:
		return ps_value_int(*(const uint16_t *)at);
	case PS_RF_FLAGS:
		return ps_value_int(*(const uint8_t *)at);
	case PS_RF_ICMP:
		return ps_value_int(*(const int16_t *)at == PS_RULE_ANY ? PS_RULE_ICMP_ANY : *(const int16_t *)at);
	case PS_RF_DIRECTION:
		return ps_value_string(word_of(ps_rule_direction_words, rule->direction));
	case PS_RF_ACTION:
		return ps_value_string(word_of(ps_rule_action_words, rule->action));
	case PS_RF_BOOL:
		return ps_value_bool(*(const bool *)at);
	case PS_RF_PRIORITY:
		return ps_value_int(rule->priority);
	case PS_RF_TEXT:
		return ps_value_string(rule->comment);
	case PS_RF_SOURCE:
		return ps_value_string(word_of(ps_rule_source_words, rule->source));
	}
	return NULL;
}

struct ps_value *ps_rule_to_value(const struct ps_rule *rule)
{
	_cleanup_(ps_value_free) struct ps_value *map = ps_value_map();

	for (size_t i = 0; i < PS_RULE_N_FIELDS; i++)
		if (ps_value_set(map, ps_rule_fields[i].name, field_value(&ps_rule_fields[i], rule)))
			return NULL;
	return PS_TAKE(map);
}

/* --- Comparing and matching ------------------------------------------------------------------ */

bool ps_rule_same_match(const struct ps_rule *a, const struct ps_rule *b)
{
	return a->protocol == b->protocol && ps_addr_equal(&a->src_ip, &b->src_ip) &&
	       ps_addr_equal(&a->dst_ip, &b->dst_ip) && a->src_port == b->src_port && a->dst_port == b->dst_port &&
	       a->tcp_flags == b->tcp_flags && a->tcp_flags_mask == b->tcp_flags_mask && a->icmp_type == b->icmp_type &&
	       a->icmp_code == b->icmp_code && ps_addr_equal(&a->inner_src_ip, &b->inner_src_ip) &&
	       ps_addr_equal(&a->inner_dst_ip, &b->inner_dst_ip) && a->inner_protocol == b->inner_protocol &&
	       a->inner_src_port == b->inner_src_port && a->inner_dst_port == b->inner_dst_port &&
	       a->direction == b->direction && a->action == b->action;
}

bool ps_rule_tests_quoted(const struct ps_rule *rule)
{
	return rule->inner_src_ip.family || rule->inner_dst_ip.family || rule->inner_protocol != PS_RULE_ANY ||
	       rule->inner_src_port || rule->inner_dst_port;
}

/* ICMP belongs to one family each: the other's number over the wrong header is no ICMP. */
static uint8_t protocol_family(int16_t protocol)
{
	if (protocol == IPPROTO_ICMP)
		return PS_FAMILY_IPV4;
	return protocol == IPPROTO_ICMPV6 ? PS_FAMILY_IPV6 : PS_FAMILY_NONE;
}

static bool addr_matches(const struct ps_addr *want, uint8_t family, const __u32 word[4])
{
	if (!want->family)
		return true;
	return want->family == family && !memcmp(want->word, word, sizeof(want->word));
}

static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP;
}

static bool ports_match(uint16_t src, uint16_t dst, uint8_t proto, __u16 sport, __u16 dport)
{
	if (!src && !dst)
		return true;
	return has_ports(proto) && (!src || htons(src) == sport) && (!dst || htons(dst) == dport);
}

static bool icmp_matches(const struct ps_rule *rule, const struct ps_rule_key *key)
{
	bool icmp = protocol_family(key->proto) && protocol_family(key->proto) == key->family;
	uint16_t type = ntohs(key->sport);

	if (rule->icmp_type == PS_RULE_ANY && key->proto == IPPROTO_ICMPV6 && icmp && type >= PS_ND_FIRST &&
		type <= PS_ND_LAST)
		return false; /* neighbour discovery: only who names it gets it */
	if (rule->icmp_type == PS_RULE_ANY && rule->icmp_code == PS_RULE_ANY)
		return true;
	return icmp && (rule->icmp_type == PS_RULE_ANY || rule->icmp_type == type) &&
	       (rule->icmp_code == PS_RULE_ANY || rule->icmp_code == ntohs(key->dport));
}

static bool quoted_matches(const struct ps_rule *rule, const struct ps_rule_inner *inner)
{
	if (!ps_rule_tests_quoted(rule))
		return true;
	if (!inner || !inner->family)
		return false;
	return addr_matches(&rule->inner_src_ip, inner->family, inner->saddr) &&
	       addr_matches(&rule->inner_dst_ip, inner->family, inner->daddr) &&
	       (rule->inner_protocol == PS_RULE_ANY || rule->inner_protocol == inner->proto) &&
	       ports_match(rule->inner_src_port, rule->inner_dst_port, inner->proto, inner->sport, inner->dport);
}

bool ps_rule_matches(const struct ps_rule *rule, const struct ps_rule_key *key, const struct ps_rule_inner *inner)
{
	uint8_t family = protocol_family(rule->protocol);

	if (!(rule->direction & key->direction))
		return false;
	if (rule->protocol != PS_RULE_ANY && rule->protocol != key->proto)
		return false;
	if (family && family != key->family)
		return false;
	if (!addr_matches(&rule->src_ip, key->family, key->saddr) ||
		!addr_matches(&rule->dst_ip, key->family, key->daddr))
		return false;
	if (!ports_match(rule->src_port, rule->dst_port, key->proto, key->sport, key->dport))
		return false;
	if (rule->tcp_flags_mask &&
		(key->proto != IPPROTO_TCP || (key->tcp_flags & rule->tcp_flags_mask) != rule->tcp_flags))
		return false;
	return icmp_matches(rule, key) && quoted_matches(rule, inner);
}

/* --- Compiling ------------------------------------------------------------------------------- */

static void set_addr(const struct ps_addr *a, __u32 word[4], __u32 mask[4], __u8 *family, __u8 *family_mask)
{
	size_t bytes = a->family == PS_FAMILY_IPV4 ? sizeof(a->word[0]) : sizeof(a->word);

	if (!a->family)
		return;
	memcpy(word, a->word, bytes);
	memset(mask, 0xff, bytes);
	*family = a->family;
	*family_mask = 0xff;
}

static void set_u16(uint16_t value, __u16 *to, __u16 *mask)
{
	*to = htons(value);
	*mask = 0xffff;
}

static void compile_quoted(const struct ps_rule *rule, struct ps_rule_entry *e)
{
	struct ps_rule_inner *key = &e->inner, *mask = &e->tuple.inner_mask;

	set_addr(&rule->inner_src_ip, key->saddr, mask->saddr, &key->family, &mask->family);
	set_addr(&rule->inner_dst_ip, key->daddr, mask->daddr, &key->family, &mask->family);
	if (rule->inner_protocol != PS_RULE_ANY) {
		key->proto = (uint8_t)rule->inner_protocol;
		mask->proto = 0xff;
	}
	/* quoted ports are only ever filled for TCP and UDP, so they need no test of the protocol */
	if (rule->inner_src_port)
		set_u16(rule->inner_src_port, &key->sport, &mask->sport);
	if (rule->inner_dst_port)
		set_u16(rule->inner_dst_port, &key->dport, &mask->dport);
}

static void compile_for(const struct ps_rule *rule, int16_t protocol, struct ps_rule_entry *e)
{
	struct ps_rule_key *key = &e->key, *mask = &e->tuple.mask;
	uint8_t family = protocol_family(protocol);

	*e = (struct ps_rule_entry){0};
	set_addr(&rule->src_ip, key->saddr, mask->saddr, &key->family, &mask->family);
	set_addr(&rule->dst_ip, key->daddr, mask->daddr, &key->family, &mask->family);
	if (protocol != PS_RULE_ANY) {
		key->proto = (uint8_t)protocol;
		mask->proto = 0xff;
	}
	if (family) {
		key->family = family;
		mask->family = 0xff;
	}
	if (rule->src_port)
		set_u16(rule->src_port, &key->sport, &mask->sport);
	if (rule->dst_port)
		set_u16(rule->dst_port, &key->dport, &mask->dport);
	if (rule->icmp_type != PS_RULE_ANY) {
		set_u16((uint16_t)rule->icmp_type, &key->sport, &mask->sport);
		e->tuple.flags |= PS_TUPLE_NAMES_ICMP;
	}
	if (rule->icmp_code != PS_RULE_ANY)
		set_u16((uint16_t)rule->icmp_code, &key->dport, &mask->dport);
	if (rule->tcp_flags_mask) {
		key->tcp_flags = rule->tcp_flags;
		mask->tcp_flags = rule->tcp_flags_mask;
		e->tuple.flags |= PS_TUPLE_TCP_FLAGS;
	}
	if (rule->direction != (PS_DIR_INGRESS | PS_DIR_EGRESS)) {
		key->direction = rule->direction;
		mask->direction = 0xff;
	}
	if (ps_rule_tests_quoted(rule)) {
		e->tuple.flags |= PS_TUPLE_QUOTED;
		compile_quoted(rule, e);
	}
}

unsigned ps_rule_compile(const struct ps_rule *rule, struct ps_rule_entry ret_entry[static PS_RULE_ENTRIES_MAX])
{
	if (rule->protocol == PS_RULE_ANY && (rule->src_port || rule->dst_port)) {
		compile_for(rule, IPPROTO_TCP, &ret_entry[0]);
		compile_for(rule, IPPROTO_UDP, &ret_entry[1]);
		return 2;
	}
	compile_for(rule, rule->protocol, &ret_entry[0]);
	return 1;
}

/* --- Warnings -------------------------------------------------------------------------------- */

static bool matches_everything(const struct ps_rule *rule)
{
	return rule->protocol == PS_RULE_ANY && !rule->src_ip.family && !rule->dst_ip.family && !rule->src_port &&
	       !rule->dst_port;
}

static bool includes(int16_t wanted, int16_t value)
{
	return wanted == PS_RULE_ANY || wanted == value;
}

/* The messages that tell a sender that its packets are too big: RFC 1191 and RFC 8201. */
static bool includes_too_big(const struct ps_rule *rule)
{
	if (rule->protocol == IPPROTO_ICMP)
		return includes(rule->icmp_type, 3) && includes(rule->icmp_code, 4);
	return rule->protocol == IPPROTO_ICMPV6 && includes(rule->icmp_type, 2) && includes(rule->icmp_code, 0);
}

static const char drops_all[] = "This rule drops every packet in its direction, yours included.";
static const char drops_too_big[] = "Dropping ICMP type 3 code 4 breaks path-MTU discovery: connections over links "
				    "with a smaller MTU may hang. An allow "
				    "rule for type 3 code 4 with a lower priority number avoids it.";
static const char drops_too_big6[] =
	"Dropping ICMPv6 type 2 (packet too big) breaks path-MTU discovery: IPv6 has no other way.";
static const char drops_discovery[] =
	"Dropping ICMPv6 types 133 to 137 (neighbour discovery) cuts the host off from IPv6.";
static const char drops_answers[] = "This also matches SYN+ACK, the answers to connections that this host opens. With "
				    "tcp_flags_mask 18 it matches only "
				    "connection requests.";

struct ps_value *ps_rule_warnings(const struct ps_rule *rule)
{
	_cleanup_(ps_value_free) struct ps_value *list = ps_value_list();
	bool drop = rule->action == PS_RULE_ACTION_DROP;
	const struct {
		bool applies;
		const char *text;
	} rows[] = {
		{matches_everything(rule), drops_all},
		{includes_too_big(rule), rule->protocol == IPPROTO_ICMP ? drops_too_big : drops_too_big6},
		{rule->protocol == IPPROTO_ICMPV6 && rule->icmp_type >= PS_ND_FIRST && rule->icmp_type <= PS_ND_LAST,
			drops_discovery},
		{(rule->tcp_flags & FLAG_SYN) && !(rule->tcp_flags_mask & FLAG_ACK), drops_answers},
	};

	if (!list)
		return NULL;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++)
		if (drop && rows[i].applies && ps_value_append(list, ps_value_string(rows[i].text)))
			return NULL;
	return PS_TAKE(list);
}
