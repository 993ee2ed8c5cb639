/*
 * Any bytes as a block list. What is taken must be sorted, without duplicates, each entry a network that says what it
 * is; written as rules' list it must be read again as the same. A refusal must name a line or a limit.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/model/rule_list.h"

static void check(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	_cleanup_(ps_rule_list_clear) struct ps_rule_list list = {0}, again = {0};
	_cleanup_(ps_rules_clear) struct ps_rules rules = {0};
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	struct ps_error err = {0};
	struct ps_rule like;

	if (ps_rule_list_parse((const char *)data, len, &list, &err)) {
		check(err.status == 400 && err.message[0]);
		return 0;
	}
	for (size_t i = 0; i < list.n; i++) {
		check(list.net[i].len > 0 && ps_net_is_masked(&list.net[i]));
		check(!i || ps_net_compare(&list.net[i - 1], &list.net[i]) < 0);
	}
	ps_rule_defaults(&like);
	like.enabled = true;
	check(!ps_rule_list_rules(&list, &like, &rules, NULL));
	check(ps_rule_list_write(rules.rule, rules.n, 0, &out) == list.n);
	check(!ps_rule_list_parse((const char *)out.data, out.len, &again, NULL));
	check(again.n == list.n && again.duplicates == 0);
	for (size_t i = 0; i < list.n; i++)
		check(ps_net_equal(&list.net[i], &again.net[i]));
	return 0;
}
