/*
 * Lists of addresses as public block lists come: text, one address, network (CIDR) or range ("first-last") a line, IPv4
 * and IPv6 mixed; "#" and ";" begin a comment, also behind an address; blank lines, blanks around and CR before LF are
 * fine. To rules, and from rules back to text.
 */
#ifndef PS_RULE_LIST_H
#define PS_RULE_LIST_H

#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/model/net.h"
#include "common/model/rule.h"

struct ps_rule_list {
	struct ps_net *net; /* sorted by ps_net_compare, none twice */
	size_t n;
	size_t duplicates; /* lines, or parts of ranges, that were there already */
};

/*
 * Reads a list. A range becomes the networks that make it up. An address and a network around it are two entries.
 * -EINVAL fills err: field "line 17", what stands there and what should; -E2BIG (400): more than PS_RULES_MAX entries;
 * -ENOMEM. *ret_list is the caller's to clear.
 */
int ps_rule_list_parse(const char *text, size_t len, struct ps_rule_list *ret_list, struct ps_error *err);

void ps_rule_list_clear(struct ps_rule_list *list); /* fits _cleanup_ */

/*
 * Does the text look like such a list rather than JSON? True unless its first character that is not blank is [ or {.
 */
bool ps_rule_list_is_text(const char *text, size_t len);

/*
 * One rule for each entry: like `like`, with the network as source where packets come in and as destination where they
 * go out. With direction both, that is two rules. The rules have no id yet. -E2BIG (400): more than PS_RULES_MAX;
 * -ENOMEM. *ret_rules is the caller's to clear.
 */
int ps_rule_list_rules(
	const struct ps_rule_list *list, const struct ps_rule *like, struct ps_rules *ret_rules, struct ps_error *err);

/*
 * The one network that the rule drops as a whole, as a line of a list says it; NULL when a line can't say what it does,
 * see ps_rule_list_write. Lives as long as the rule.
 */
const struct ps_net *ps_rule_list_net(const struct ps_rule *rule, uint64_t now);

/*
 * The networks that the rules drop as a whole, sorted, none twice, one a line behind a comment that says how many. Left
 * out, since a line can't say it: rules that are disabled, expired, shadow, rate-limited or allow, and those that test
 * anything beside one address. Returns how many lines; memory that ran out is in out->error.
 */
size_t ps_rule_list_write(const struct ps_rule *rules, size_t n, uint64_t now, struct ps_buf *out);

#endif
