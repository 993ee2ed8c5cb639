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
	struct ps_rule_unit_pair pair;
	struct ps_rule_units units;
	struct ps_rule_request request;
	struct ps_error err = {0};
	struct ps_rule base;

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
	ps_rule_units_init(&r, &units);
	check(units.n >= 1);
	/* every range lies within the prefix that it is indexed by */
	for (uint32_t k = 0; k < units.n && k < 64; k++) {
		ps_rule_units_get(&units, k, &pair);
		check(pair.unit.sport[0] <= pair.unit.sport[1] && pair.unit.dport[0] <= pair.unit.dport[1]);
		check((pair.unit.sport[0] ^ pair.unit.sport[1]) >> (16 - pair.sport_len) == 0);
		check((pair.unit.dport[0] ^ pair.unit.dport[1]) >> (16 - pair.dport_len) == 0);
	}
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
