/*
 * A filter rule: parsing, validation, printing, matching. Pure: no clock, no file, no log; `now` is wall clock
 * nanoseconds since 1970 and an argument.
 *
 * A rule tests networks, ports, protocols, TCP flags under a mask, ICMP type and code, and the packet quoted in an ICMP
 * error; the first match by (priority, id) decides. The table rule.def drives parse and print.
 *
 * A rule owns its comment and long lists of ports. Plain assignment moves it; ps_rule_copy makes another,
 * _cleanup_(ps_rule_clear) ends one. Zeroed is fine for ps_rule_clear. A plain rule takes 216 bytes, so that a full set
 * (PS_RULES_MAX) stays below 30 MB.
 */
#ifndef PS_RULE_H
#define PS_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/abi.h"
#include "common/base/error.h"
#include "common/model/net.h"
#include "common/model/ports.h"
#include "common/model/value.h"

enum ps_rule_type {
	PS_RULE_BASIC,
	PS_RULE_TCP,
	PS_RULE_UDP,
	PS_RULE_ICMP,
};

enum ps_rule_source {
	PS_SOURCE_USER,
	PS_SOURCE_AI,
	PS_SOURCE_DETECTOR,
	PS_SOURCE_IMPORT,
};

enum ps_rule_mode {
	PS_MODE_ENFORCE,
	PS_MODE_SHADOW, /* counts and reports where it would have been first, decides nothing */
};

enum ps_rule_action {
	PS_RULE_ACTION_DROP = 1,
	PS_RULE_ACTION_ALLOW = 2,
};

#define PS_RULE_ANY (-1) /* protocol, icmp_type, icmp_code, inner_protocol: no test */

struct ps_rule {
	int32_t id;       /* -1: not given yet */
	int32_t priority; /* lower first */
	struct ps_net src_ip, dst_ip;
	struct ps_net inner_src_ip, inner_dst_ip;
	struct ps_ports src_port, dst_port;
	struct ps_ports inner_src_port, inner_dst_port;
	char *comment;       /* NULL = "", at most PS_RULE_COMMENT_MAX bytes */
	uint64_t expires_at; /* wall clock ns, whole microseconds; 0 = never */
	uint64_t confirm_by; /* wall clock ns, undone then unless confirmed; 0 = in force for good */
	uint32_t rate_limit; /* packets a second and source address; 0 = none */
	uint32_t generation; /* of the set in which it last changed; 0 = not known */
	int16_t protocol;    /* IP protocol number or PS_RULE_ANY */
	int16_t inner_protocol;
	int16_t icmp_type, icmp_code;
	uint8_t tcp_flags, tcp_flags_mask; /* mask 0 = no test */
	uint8_t direction;                 /* bits of enum ps_direction; 3 = both */
	uint8_t action;                    /* PS_RULE_ACTION_* */
	uint8_t rule_type;                 /* enum ps_rule_type */
	uint8_t mode;                      /* enum ps_rule_mode */
	uint8_t source;                    /* enum ps_rule_source */
	bool enabled;
};

_Static_assert(sizeof(struct ps_rule) <= 256, "131,072 rules must fit in 32 MB");

/* The defaults: basic, matches everything, drop, ingress, disabled, priority 1000. Owns nothing. */
void ps_rule_defaults(struct ps_rule *ret_rule);

void ps_rule_clear(struct ps_rule *rule);                               /* leaves zeroes; fits _cleanup_ */
int ps_rule_copy(const struct ps_rule *from, struct ps_rule *ret_rule); /* -ENOMEM; *ret_rule is overwritten */

/* Many of them, owned; the order is the owner's. Zeroed is empty. */
struct ps_rules {
	struct ps_rule *rule;
	size_t n;
};

int ps_rules_alloc(size_t n, struct ps_rules *ret_rules); /* n zeroed ones; -ENOMEM */
void ps_rules_clear(struct ps_rules *rules);              /* and the memory; fits _cleanup_ */

const char *ps_rule_comment(const struct ps_rule *rule);         /* "" for none */
int ps_rule_set_comment(struct ps_rule *rule, const char *text); /* "" and NULL: none; -ENOMEM */
bool ps_rule_expired(const struct ps_rule *rule, uint64_t now);  /* its time is up */

/* --- Reading and printing ------------------------------------------------------------------------ */

/* What a body says about the change rather than about the rule. */
struct ps_rule_request {
	uint32_t confirm_within; /* seconds; 0 = not given */
	bool force;
};

/*
 * Reads the fields that `body` (a map) gives over `base`: defaults for POST, the stored rule for PUT and PATCH. Missing
 * fields stay. `id` may be given only if it equals base->id (or base->id is -1, then it is ignored). `ttl` counts from
 * now. Members of our own answers that a rule does not have (rule.def, PS_RULE_ECHO), and generation, confirm_by and
 * expired, are ignored. confirm_within and force go to *ret_request; where that is NULL they are refused.
 *
 * -EINVAL fills err with field, value and remedy: unknown field, wrong kind, out of range, field that the rule's type
 * cannot have, families that contradict each other, body that is not a map. For members that hold their default (any,
 * 0, 255, "") "not for this type" is no error, since a GET answer posted back must be accepted. -ENOMEM too fills err.
 *
 * What is derived follows what it comes from: protocol follows rule_type (and, for icmp, the addresses' family), and
 * tcp_flags_mask follows tcp_flags, unless given. A stored value that equals the derived one counts as derived.
 *
 * *ret_rule is overwritten (it may not be base) and is the caller's to clear.
 */
int ps_rule_merge(const struct ps_rule *base, const struct ps_value *body, uint64_t now, struct ps_rule *ret_rule,
	struct ps_rule_request *ret_request, struct ps_error *err);

/*
 * A rule as a file keeps it: as ps_rule_merge over the defaults, and id (which must be there, 0…PS_RULES_MAX - 1),
 * generation and confirm_by count too. A time that has passed is fine.
 */
int ps_rule_from_stored(const struct ps_value *body, struct ps_rule *ret_rule, struct ps_error *err);

/*
 * All fields as understood, in table order: addresses "any" or text, one port as a number and more as text, ICMP any =
 * 255, tcp_flags as numbers. ttl is what is left at `now`, rounded up.
 */
struct ps_value *ps_rule_to_value(const struct ps_rule *rule, uint64_t now);

/* For a file: only what differs from the defaults, without what depends on the clock. ps_rule_from_stored gives the
 * same rule back. */
struct ps_value *ps_rule_to_stored(const struct ps_rule *rule);

/* --- Comparing ----------------------------------------------------------------------------------- */

/* Same match and action (id, comment, source, enabled, mode, rate, priority and expiry aside)? */
bool ps_rule_same_match(const struct ps_rule *a, const struct ps_rule *b);
/* The same in all that can be given to it: only id, generation and confirm_by may differ. */
bool ps_rule_equal(const struct ps_rule *a, const struct ps_rule *b);
/* Order of decision: priority, then id. */
int ps_rule_compare(const struct ps_rule *a, const struct ps_rule *b);

/* Does the rule look at the packet quoted in an ICMP error? */
bool ps_rule_tests_quoted(const struct ps_rule *rule);

/*
 * The naive reference: would this rule match that packet? `key` is a whole packet as bpf/classify.h sees it, `inner`
 * the quoted packet (NULL or family 0 = none readable). Follows the kernel's reading word by word; tests compare the
 * two. Takes no part: enabled, mode, rate_limit, expiry.
 */
bool ps_rule_matches(const struct ps_rule *rule, const struct ps_rule_key *key, const struct ps_rule_inner *inner);
/* The same of a packet of which only PS_KNOWN_* was read. */
bool ps_rule_matches_known(
	const struct ps_rule *rule, const struct ps_rule_key *key, const struct ps_rule_inner *inner, unsigned known);

/*
 * Does `wide` match every packet that `narrow` matches? Errs to "no": it compares field by field, and one rule with
 * another, never with several together.
 */
bool ps_rule_covers(const struct ps_rule *wide, const struct ps_rule *narrow);

/* --- Advice -------------------------------------------------------------------------------------- */

/*
 * Sentences about what is legal but hurts, as a list of strings: dropping ICMP type 3 breaks path-MTU discovery; SYN
 * mask 2 also matches SYN+ACK; a rule that matches everything; one that ends before anyone has looked. NULL on no
 * memory.
 */
struct ps_value *ps_rule_warnings(const struct ps_rule *rule, uint64_t now);

/*
 * Of the n rules (any order; `rule` itself, by id, may be among them) the first in order of decision that stands before
 * `rule` and covers it, so that `rule` never decides anything: NULL = none. Only rules that are enabled, not expired
 * and have no rate_limit hide others, and what a shadow rule hides is only another shadow rule.
 */
const struct ps_rule *ps_rule_hidden_by(
	const struct ps_rule *rule, const struct ps_rule *rules, size_t n, uint64_t now);

/*
 * ps_rule_warnings, and what comes of the rules around it: that it is hidden by another, or hides others. Takes time in
 * proportion to n: 131,072 rules 2 ms.
 */
struct ps_value *ps_rule_warnings_among(
	const struct ps_rule *rule, const struct ps_rule *rules, size_t n, uint64_t now);

/*
 * For a whole set: the warnings of its rules, each beginning with the number of its rule ("rule 7: …"), at most `max`,
 * and then how many more there are. Which rules hide which is looked at in sets of up to PS_RULE_LINT_MAX rules.
 */
struct ps_value *ps_rules_warnings(const struct ps_rule *rules, size_t n, size_t max, uint64_t now);

#endif
