/*
 * Any bytes as JSON, and whatever is JSON as a rule. A document that is taken must survive being written and read
 * again; a rule that is taken must come back from its own answer, and a refusal must give its reason.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "common/model/rule_compile.h"

#define NOW 1700000000000000000ull

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
	_cleanup_(ps_value_free) struct ps_value *stored = NULL;
	_cleanup_(ps_rule_clear) struct ps_rule r = {0}, again = {0}, loaded = {0};
	struct ps_rule_entry entry[PS_RULE_ENTRIES_MAX];
	struct ps_rule_request request;
	struct ps_error err = {0};
	struct ps_rule base;
	int n;

	ps_rule_defaults(&base);
	if (ps_rule_merge(&base, body, NOW, &r, &request, &err)) {
		check(err.status == 400 && err.message[0]);
		return;
	}
	shown = ps_rule_to_value(&r, NOW);
	check(!ps_rule_merge(&base, shown, NOW, &again, NULL, NULL));
	again.expires_at = r.expires_at; /* ttl is told in whole seconds */
	check(ps_rule_equal(&r, &again));
	r.id = 7;
	stored = ps_rule_to_stored(&r);
	check(!ps_rule_from_stored(stored, &loaded, NULL));
	check(ps_rule_equal(&r, &loaded) && loaded.id == 7);
	n = ps_rule_compile(&r, entry, NULL);
	/* a rule matches the packet that is its own key, unless a wildcard leaves that packet incomplete */
	if (n > 0 && r.direction != (PS_DIR_INGRESS | PS_DIR_EGRESS) && r.protocol == 6)
		check(ps_rule_matches(&r, &entry[0].key, NULL));
	warnings = ps_rule_warnings(&r, NOW);
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
