/*
 * rule.def as data, for the three files that make up a rule: rule.c prints, rule_read.c reads, rule_merge.c checks.
 */
#ifndef PS_RULE_FIELDS_H
#define PS_RULE_FIELDS_H

#include "common/model/rule.h"

enum ps_rule_kind {
	PS_RF_ID,
	PS_RF_TYPE,
	PS_RF_PROTO,
	PS_RF_ADDR,
	PS_RF_PORT,
	PS_RF_FLAGS,
	PS_RF_ICMP,
	PS_RF_INNER_PROTO,
	PS_RF_DIRECTION,
	PS_RF_ACTION,
	PS_RF_BOOL,
	PS_RF_PRIORITY,
	PS_RF_TEXT,
	PS_RF_SOURCE,
};

enum ps_rule_applies {
	PS_APPLIES_ANY,
	PS_APPLIES_PORTS, /* protocol tcp, udp or any */
	PS_APPLIES_TCP,
	PS_APPLIES_ICMP, /* icmp or icmpv6 */
};

struct ps_rule_field {
	const char *name;
	enum ps_rule_kind kind;
	enum ps_rule_applies applies;
	size_t offset; /* into struct ps_rule */
};

enum {
#define PS_RULE(name, kind, applies, doc) PS_RULE_FIELD_##name,
#include "common/model/rule.def"
	PS_RULE_N_FIELDS
};

extern const struct ps_rule_field ps_rule_fields[PS_RULE_N_FIELDS];

/* A word and what it stands for; a table ends with a NULL word. */
struct ps_rule_word {
	const char *word;
	unsigned value;
};

extern const struct ps_rule_word ps_rule_type_words[], ps_rule_action_words[], ps_rule_direction_words[],
	ps_rule_source_words[];

/* In JSON: any ICMP type or code. */
#define PS_RULE_ICMP_ANY 255

/* Neighbour discovery (RFC 4861): ICMPv6 types that only a rule which names the type can match. */
#define PS_ND_FIRST 133
#define PS_ND_LAST 137

/* Does the rule look at the packet quoted in an ICMP error? */
bool ps_rule_tests_quoted(const struct ps_rule *rule);

/* Reads what `body` gives into *rule, and marks which fields that were. -EINVAL fills err. */
int ps_rule_read_fields(
	const struct ps_value *body, struct ps_rule *rule, bool given[static PS_RULE_N_FIELDS], struct ps_error *err);

#endif
