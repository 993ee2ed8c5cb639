/*
 * GET /api/filters and its export: all rules, put together from the pages that the aggregator gives. A page is rendered
 * when the one before has been taken, so that a hundred thousand rules need the memory of some.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/codec/json.h"
#include "common/model/rule_list.h"
#include "gateway/etag.h"
#include "gateway/exchange.h"
#include "gateway/handlers.h"
#include "gateway/pager.h"
#include "gateway/route.h"

enum form {
	AS_JSON, /* as the list shows them */
	AS_SET,  /* as PUT takes them: without what only an answer has */
	AS_LIST, /* addresses, one a line, as import takes them */
};

/* Members that say how a rule is now, not what it is. */
static bool is_state(const char *name)
{
	static const char *const names[] = {
		"packets", "bytes", "first_hit", "last_hit", "expired", "confirm_by", "generation", "expires_at"};

	for (size_t i = 0; i < PS_ARRAY_SIZE(names); i++) {
		if (!strcmp(name, names[i]))
			return true;
	}
	return false;
}

static void add_set_member(struct ps_buf *out, const struct ps_value *rule)
{
	bool more = false;

	ps_buf_addc(out, '{');
	for (size_t i = 0; i < ps_value_count(rule); i++) {
		const char *name = ps_value_key_at(rule, i);

		if (is_state(name))
			continue;
		if (more)
			ps_buf_addc(out, ',');
		more = true;
		ps_json_string(out, name, strlen(name));
		ps_buf_addc(out, ':');
		ps_json_write(out, ps_value_at(rule, i));
	}
	ps_buf_addc(out, '}');
}

/* A list says no more than whom to drop: rules of which that is not all are left out, with a word to the reader. */
static void add_line(struct ps_buf *out, const struct ps_value *value)
{
	_cleanup_(ps_rule_clear) struct ps_rule rule = {0};
	uint64_t now = ps_clock_wall();
	const struct ps_net *net = NULL;
	char text[PS_NET_TEXT];
	struct ps_rule base;

	ps_rule_defaults(&base);
	if (ps_rule_merge(&base, value, now, &rule, NULL, NULL) == 0)
		net = ps_rule_list_net(&rule, now);
	if (net)
		ps_buf_addf(out, "%s\n", ps_net_format(net, text));
	else
		ps_buf_addf(out, "# rule %lld says something else than whom to drop\n",
			(long long)ps_value_get_int(value, "id", -1));
}

static int render(void *arg, struct ps_buf *out, const struct ps_reply *reply, uint64_t given)
{
	enum form form = (enum form)(uintptr_t)arg;
	const struct ps_value *rules = ps_value_get(reply->body, "rules");
	size_t n = ps_value_count(rules);

	if (ps_value_kind(rules) != PS_VALUE_LIST)
		return -EBADMSG;
	for (size_t i = 0; i < n; i++) {
		if (form == AS_LIST) {
			add_line(out, ps_value_at(rules, i));
			continue;
		}
		if (given + i)
			ps_buf_addc(out, ',');
		if (form == AS_SET) {
			ps_buf_addc(out, '\n');
			add_set_member(out, ps_value_at(rules, i));
		} else {
			ps_json_write(out, ps_value_at(rules, i));
		}
	}
	return (int)n;
}

static void begin(struct ps_exchange *x, const struct ps_reply *reply)
{
	char text[PS_ETAG_TEXT];
	int64_t generation;

	if (ps_value_is_integer(ps_value_get(reply->body, "generation"), &generation) && generation >= 0)
		ps_http_response_header(&x->resp, "ETag", "%s", ps_etag_format((uint64_t)generation, text));
	if (ps_value_kind(ps_value_get(reply->body, "next")) == PS_VALUE_NULL)
		ps_http_response_header(
			&x->resp, "X-Total-Count", "%zu", ps_value_count(ps_value_get(reply->body, "rules")));
	else if (ps_value_get(reply->body, "total"))
		ps_http_response_header(&x->resp, "X-Total-Count", "%llu",
			(unsigned long long)ps_value_get_uint(reply->body, "total", 0));
}

static const struct ps_pager_form json = {
	.type = "application/json", .head = "[", .foot = "]\n", .render = render, .begin = begin};
static const struct ps_pager_form list = {
	.type = "text/plain; charset=utf-8", .head = "", .foot = "", .render = render, .begin = begin};
static const struct ps_pager_form set = {
	.type = "application/json", .head = "[", .foot = "\n]\n", .render = render, .begin = begin};

void ps_handle_filters_list(struct ps_exchange *x)
{
	ps_pager_start(x, x->route->op, &json, (void *)(uintptr_t)AS_JSON);
}

void ps_handle_filters_export(struct ps_exchange *x)
{
	bool lines = !strcmp(ps_value_get_string(x->args, "format", "json"), "list");

	ps_value_unset(x->args, "format");
	ps_http_response_header(&x->resp, "Content-Disposition", "attachment; filename=\"packetscope-filters.%s\"",
		lines ? "txt" : "json");
	ps_pager_start(x, x->route->op, lines ? &list : &set, (void *)(uintptr_t)(lines ? AS_LIST : AS_SET));
}
