/* See rule.h: defaults, ownership, printing, comparing. Reading a rule is in rule_merge.c, matching in rule_match.c. */
#include "common/model/rule.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/model/rule_fields.h"
#include "common/model/schema.h"

const struct ps_rule_field ps_rule_fields[PS_RULE_N_FIELDS] = {
#define PS_RULE(name, kind, applies, member, doc) \
	{#name, PS_RF_##kind, PS_APPLIES_##applies, offsetof(struct ps_rule, member)},
#include "common/model/rule.def"
};

/* --- Words ----------------------------------------------------------------------------------- */

static const struct ps_rule_word type_words[] = {
	{"basic", PS_RULE_BASIC},
	{"tcp", PS_RULE_TCP},
	{"udp", PS_RULE_UDP},
	{"icmp", PS_RULE_ICMP},
	{NULL, 0},
};

static const struct ps_rule_word action_words[] = {
	{"drop", PS_RULE_ACTION_DROP},
	{"allow", PS_RULE_ACTION_ALLOW},
	{NULL, 0},
};

static const struct ps_rule_word mode_words[] = {
	{"enforce", PS_MODE_ENFORCE},
	{"shadow", PS_MODE_SHADOW},
	{NULL, 0},
};

static const struct ps_rule_word direction_words[] = {
	{"ingress", PS_DIR_INGRESS},
	{"egress", PS_DIR_EGRESS},
	{"both", PS_DIR_INGRESS | PS_DIR_EGRESS},
	{NULL, 0},
};

static const struct ps_rule_word source_words[] = {
	{"user", PS_SOURCE_USER},
	{"ai", PS_SOURCE_AI},
	{"detector", PS_SOURCE_DETECTOR},
	{"import", PS_SOURCE_IMPORT},
	{NULL, 0},
};

const struct ps_rule_word *ps_rule_words(enum ps_rule_kind kind)
{
	switch (kind) {
	case PS_RF_TYPE:
		return type_words;
	case PS_RF_ACTION:
		return action_words;
	case PS_RF_MODE:
		return mode_words;
	case PS_RF_DIRECTION:
		return direction_words;
	case PS_RF_SOURCE:
		return source_words;
	default:
		return NULL;
	}
}

static const char *word_of(const struct ps_rule_word *words, uint8_t value)
{
	for (; words->word; words++)
		if (words->value == value)
			return words->word;
	return NULL;
}

/* --- Defaults and ownership ------------------------------------------------------------------ */

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

void ps_rule_clear(struct ps_rule *rule)
{
	ps_ports_clear(&rule->src_port);
	ps_ports_clear(&rule->dst_port);
	ps_ports_clear(&rule->inner_src_port);
	ps_ports_clear(&rule->inner_dst_port);
	free(rule->comment);
	*rule = (struct ps_rule){0};
}

int ps_rule_copy(const struct ps_rule *from, struct ps_rule *ret_rule)
{
	_cleanup_(ps_rule_clear) struct ps_rule r = *from;

	r.comment = NULL;
	r.src_port = r.dst_port = r.inner_src_port = r.inner_dst_port = (struct ps_ports){0};
	if (ps_rule_set_comment(&r, from->comment) || ps_ports_copy(&from->src_port, &r.src_port) ||
		ps_ports_copy(&from->dst_port, &r.dst_port) ||
		ps_ports_copy(&from->inner_src_port, &r.inner_src_port) ||
		ps_ports_copy(&from->inner_dst_port, &r.inner_dst_port))
		return -ENOMEM;
	*ret_rule = r;
	r = (struct ps_rule){0};
	return 0;
}

int ps_rules_alloc(size_t n, struct ps_rules *ret_rules)
{
	struct ps_rule *rule = calloc(n + 1, sizeof(*rule));

	if (!rule)
		return -ENOMEM;
	*ret_rules = (struct ps_rules){.rule = rule, .n = n};
	return 0;
}

void ps_rules_clear(struct ps_rules *rules)
{
	for (size_t i = 0; i < rules->n; i++)
		ps_rule_clear(&rules->rule[i]);
	free(rules->rule);
	*rules = (struct ps_rules){0};
}

const char *ps_rule_comment(const struct ps_rule *rule)
{
	return rule->comment ? rule->comment : "";
}

int ps_rule_set_comment(struct ps_rule *rule, const char *text)
{
	char *copy = NULL;

	if (text && *text) {
		copy = strdup(text);
		if (!copy)
			return -ENOMEM;
	}
	free(rule->comment);
	rule->comment = copy;
	return 0;
}

bool ps_rule_expired(const struct ps_rule *rule, uint64_t now)
{
	return rule->expires_at && rule->expires_at <= now;
}

/* --- Printing -------------------------------------------------------------------------------- */

static struct ps_value *proto_value(int16_t proto)
{
	char buf[8];

	return ps_value_string(proto == PS_RULE_ANY ? "any" : ps_proto_name((uint8_t)proto, buf));
}

static struct ps_value *ports_value(const struct ps_ports *p)
{
	const struct ps_port_range *r = ps_ports_ranges(p);
	char text[PS_PORTS_TEXT];

	if (p->n == 0 || (p->n == 1 && r->lo == r->hi))
		return ps_value_int(p->n ? r->lo : 0);
	return ps_value_string(ps_ports_format(p, text));
}

static struct ps_value *time_value(uint64_t wall_ns)
{
	char text[PS_RFC3339_SIZE];

	return wall_ns ? ps_value_string(ps_rfc3339(wall_ns, text)) : ps_value_null();
}

static struct ps_value *ttl_value(uint64_t expires_at, uint64_t now)
{
	if (!expires_at)
		return ps_value_null();
	return ps_value_uint(expires_at > now ? (expires_at - now + PS_NSEC - 1) / PS_NSEC : 0);
}

static struct ps_value *field_value(const struct ps_rule_field *f, const struct ps_rule *rule, uint64_t now)
{
	const void *at = (const uint8_t *)rule + f->offset;
	char net[PS_NET_TEXT];

	switch (f->kind) {
	case PS_RF_ID:
		return rule->id < 0 ? ps_value_null() : ps_value_int(rule->id);
	case PS_RF_TYPE:
	case PS_RF_DIRECTION:
	case PS_RF_ACTION:
	case PS_RF_MODE:
	case PS_RF_SOURCE:
		return ps_value_string(word_of(ps_rule_words(f->kind), *(const uint8_t *)at));
	case PS_RF_PROTO:
	case PS_RF_INNER_PROTO:
		return proto_value(*(const int16_t *)at);
	case PS_RF_NET:
		return ps_value_string(ps_net_format(at, net));
	case PS_RF_PORTS:
		return ports_value(at);
	case PS_RF_FLAGS:
		return ps_value_int(*(const uint8_t *)at);
	case PS_RF_ICMP:
		return ps_value_int(*(const int16_t *)at == PS_RULE_ANY ? PS_RULE_ICMP_ANY : *(const int16_t *)at);
	case PS_RF_RATE:
		return rule->rate_limit ? ps_value_int(rule->rate_limit) : ps_value_null();
	case PS_RF_BOOL:
		return ps_value_bool(*(const bool *)at);
	case PS_RF_PRIORITY:
		return ps_value_int(rule->priority);
	case PS_RF_TTL:
		return ttl_value(rule->expires_at, now);
	case PS_RF_EXPIRED:
		return ps_value_bool(ps_rule_expired(rule, now));
	case PS_RF_TIME:
	case PS_RF_CONFIRM:
		return time_value(*(const uint64_t *)at);
	case PS_RF_TEXT:
		return ps_value_string(ps_rule_comment(rule));
	case PS_RF_GENERATION:
		return ps_value_int(rule->generation);
	}
	return NULL;
}

struct ps_value *ps_rule_to_value(const struct ps_rule *rule, uint64_t now)
{
	_cleanup_(ps_value_free) struct ps_value *map = ps_value_map();

	for (size_t i = 0; i < PS_RULE_N_FIELDS; i++)
		if (ps_value_set(map, ps_rule_fields[i].name, field_value(&ps_rule_fields[i], rule, now)))
			return NULL;
	return PS_TAKE(map);
}

/* Is the field what ps_rule_defaults gives, or nothing that a file keeps? */
static bool left_out(const struct ps_rule_field *f, const struct ps_rule *rule, const struct ps_rule *defaults)
{
	const uint8_t *at = (const uint8_t *)rule + f->offset, *other = (const uint8_t *)defaults + f->offset;

	switch (f->kind) {
	case PS_RF_TTL:
	case PS_RF_EXPIRED:
		return true;
	case PS_RF_ID:
		return false;
	case PS_RF_NET:
		return !((const struct ps_net *)(const void *)at)->addr.family;
	case PS_RF_PORTS:
		return !((const struct ps_ports *)(const void *)at)->n;
	case PS_RF_PROTO:
	case PS_RF_INNER_PROTO:
	case PS_RF_ICMP:
		return !memcmp(at, other, sizeof(int16_t));
	case PS_RF_PRIORITY:
	case PS_RF_RATE:
	case PS_RF_GENERATION:
		return !memcmp(at, other, sizeof(uint32_t));
	case PS_RF_TIME:
	case PS_RF_CONFIRM:
		return !memcmp(at, other, sizeof(uint64_t));
	case PS_RF_TEXT:
		return !rule->comment;
	case PS_RF_TYPE:
	case PS_RF_DIRECTION:
	case PS_RF_ACTION:
	case PS_RF_MODE:
	case PS_RF_SOURCE:
	case PS_RF_FLAGS:
	case PS_RF_BOOL:
		return *at == *other;
	}
	return false;
}

struct ps_value *ps_rule_to_stored(const struct ps_rule *rule)
{
	_cleanup_(ps_value_free) struct ps_value *map = ps_value_map();
	struct ps_rule defaults;

	ps_rule_defaults(&defaults);
	for (size_t i = 0; i < PS_RULE_N_FIELDS; i++) {
		const struct ps_rule_field *f = &ps_rule_fields[i];

		/* Said always: what a missing one would follow differs from the default. */
		if (left_out(f, rule, &defaults) && f->kind != PS_RF_PROTO && f->kind != PS_RF_FLAGS)
			continue;
		if (f->kind == PS_RF_FLAGS && !rule->tcp_flags_mask)
			continue;
		if (ps_value_set(map, f->name, field_value(f, rule, 0)))
			return NULL;
	}
	return PS_TAKE(map);
}

/* --- Comparing ------------------------------------------------------------------------------- */

bool ps_rule_same_match(const struct ps_rule *a, const struct ps_rule *b)
{
	return a->protocol == b->protocol && ps_net_equal(&a->src_ip, &b->src_ip) &&
	       ps_net_equal(&a->dst_ip, &b->dst_ip) && ps_ports_equal(&a->src_port, &b->src_port) &&
	       ps_ports_equal(&a->dst_port, &b->dst_port) && a->tcp_flags == b->tcp_flags &&
	       a->tcp_flags_mask == b->tcp_flags_mask && a->icmp_type == b->icmp_type && a->icmp_code == b->icmp_code &&
	       ps_net_equal(&a->inner_src_ip, &b->inner_src_ip) && ps_net_equal(&a->inner_dst_ip, &b->inner_dst_ip) &&
	       a->inner_protocol == b->inner_protocol && ps_ports_equal(&a->inner_src_port, &b->inner_src_port) &&
	       ps_ports_equal(&a->inner_dst_port, &b->inner_dst_port) && a->direction == b->direction &&
	       a->action == b->action;
}

bool ps_rule_equal(const struct ps_rule *a, const struct ps_rule *b)
{
	return ps_rule_same_match(a, b) && a->rule_type == b->rule_type && a->mode == b->mode &&
	       a->rate_limit == b->rate_limit && a->enabled == b->enabled && a->priority == b->priority &&
	       a->expires_at == b->expires_at && a->source == b->source &&
	       !strcmp(ps_rule_comment(a), ps_rule_comment(b));
}

int ps_rule_compare(const struct ps_rule *a, const struct ps_rule *b)
{
	return (a->priority > b->priority) - (a->priority < b->priority) ?: (a->id > b->id) - (a->id < b->id);
}
