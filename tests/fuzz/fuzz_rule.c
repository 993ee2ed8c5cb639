/*
 * Any bytes as JSON, and whatever is JSON as a rule. A document that is taken must survive being written and read
 * again; a rule that is taken must come back from its own answer, and a refusal must give its reason.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "common/model/rule.h"

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void written_and_read(const struct ps_value *v)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	_cleanup_(ps_value_free) struct ps_value *again = NULL;

	ps_json_write(&out, v);
	check(!out.error && !ps_json_parse((const char *)out.data, out.len, &again, NULL));
	check(ps_value_equal(v, again));
}

static void rule(const struct ps_value *body)
{
	_cleanup_(ps_value_free) struct ps_value *shown = NULL;
	_cleanup_(ps_value_free) struct ps_value *warnings = NULL;
	struct ps_rule_entry entry[PS_RULE_ENTRIES_MAX];
	struct ps_rule base, r, again;
	struct ps_error err = {0};
	unsigned n;

	ps_rule_defaults(&base);
	if (ps_rule_merge(&base, body, &r, &err)) {
		check(err.status == 400 && err.message[0]);
		return;
	}
	shown = ps_rule_to_value(&r);
	check(!ps_rule_merge(&base, shown, &again, NULL));
	check(ps_rule_same_match(&r, &again) && !strcmp(r.comment, again.comment));
	n = ps_rule_compile(&r, entry);
	check(n >= 1 && n <= PS_RULE_ENTRIES_MAX);
	/* a rule matches the packet that is its own key, unless a wildcard leaves that packet incomplete */
	if (r.direction != (PS_DIR_INGRESS | PS_DIR_EGRESS) && r.protocol == 6)
		check(ps_rule_matches(&r, &entry[0].key, NULL));
	warnings = ps_rule_warnings(&r);
	check(warnings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	_cleanup_(ps_value_free) struct ps_value *v = NULL;
	struct ps_error err = {0};

	if (ps_json_parse((const char *)data, len, &v, &err)) {
		check(err.message[0]);
		return 0;
	}
	written_and_read(v);
	rule(v);
	return 0;
}
