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
	PS_RF_NET,
	PS_RF_PORTS,
	PS_RF_FLAGS,
	PS_RF_ICMP,
	PS_RF_INNER_PROTO,
	PS_RF_DIRECTION,
	PS_RF_ACTION,
	PS_RF_MODE,
	PS_RF_RATE,
	PS_RF_BOOL,
	PS_RF_PRIORITY,
	PS_RF_TTL,
	PS_RF_TIME,
	PS_RF_EXPIRED,
	PS_RF_TEXT,
	PS_RF_SOURCE,
	PS_RF_CONFIRM,
	PS_RF_GENERATION,
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
#define PS_RULE(name, kind, applies, member, doc) PS_RULE_FIELD_##name,
#include "common/model/rule.def"
	PS_RULE_N_FIELDS
};

extern const struct ps_rule_field ps_rule_fields[PS_RULE_N_FIELDS];

/* A word and what it stands for; a table ends with a NULL word. */
struct ps_rule_word {
	const char *word;
	uint8_t value;
};

/* The words of a field that takes one of a few: NULL for the other kinds. */
const struct ps_rule_word *ps_rule_words(enum ps_rule_kind kind);

/* In JSON: any ICMP type or code. */
#define PS_RULE_ICMP_ANY 255

/* Neighbour discovery (RFC 4861): ICMPv6 types that only a rule which names the type can match. */
#define PS_ND_FIRST 133
#define PS_ND_LAST 137

/* ICMP (IPv4), ICMPv6: each belongs to one family, PS_FAMILY_NONE for every other protocol. */
uint8_t ps_rule_protocol_family(int16_t protocol);

/* How a body is read, and where to. */
struct ps_rule_reader {
	struct ps_rule *rule;            /* written; what it owns is replaced */
	uint64_t now;                    /* ttl counts from here */
	bool stored;                     /* id, generation and confirm_by count, ttl does not */
	struct ps_rule_request *request; /* NULL: there is none to be made here */
	bool given[PS_RULE_N_FIELDS];
};

/* Reads what `body` gives, and marks which fields that were. -EINVAL and -ENOMEM fill err. */
int ps_rule_read_fields(const struct ps_value *body, struct ps_rule_reader *reader, struct ps_error *err);

#endif
