/* `packetscope filters`: the rules, over /api/filters and /api/protected. What it shows is in rule_view.c. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api.h"
#include "cli/filters.h"
#include "cli/limits.h"
#include "cli/rule_view.h"
#include "cli/verb.h"

/* --- Showing --------------------------------------------------------------------------------- */

static int print_table(const struct filters *f, const struct ps_value *const *rules, size_t n)
{
	_buf_ out = PS_BUF_INIT;

	ps_rule_view_table(rules, n, ps_cli_width(), f->colour, &out);
	return ps_cli_print(&out, PS_EXIT_OK);
}

/* A rule as an answer has it, with what it hits if that is told. */
static int print_answer(const struct filters *f, struct ps_fetch_reply *reply)
{
	_value_ rule = NULL;
	_buf_ out = PS_BUF_INIT;
	const struct ps_value *rules[1];
	int r;

	if (f->s->json || !reply->body.len)
		return ps_cli_print(&reply->body, PS_EXIT_OK);
	r = ps_filters_parsed(reply, &rule);
	if (r)
		return r;
	rules[0] = rule;
	ps_rule_view_table(rules, 1, ps_cli_width(), f->colour, &out);
	ps_rule_view_impact(ps_value_get(rule, "impact"), f->colour, &out);
	return ps_cli_print(&out, PS_EXIT_OK);
}

static int filters_list(const struct filters *f, int n, char **words)
{
	_reply_ reply = {0};
	_value_ list = NULL;
	_cleanup_free_ const struct ps_value **rules = NULL;
	size_t count;
	int r = ps_filters_call(f, "GET", "/api/filters", NULL, &reply);

	(void)n, (void)words;
	if (r)
		return r;
	if (f->s->json)
		return ps_cli_print(&reply.body, PS_EXIT_OK);
	r = ps_filters_parsed(&reply, &list);
	if (r)
		return r;
	count = ps_value_count(list);
	if (count == 0) {
		(void)puts("No rules; `packetscope filters add --rule-type tcp --dst-port 23 --enabled` makes one.");
		return PS_EXIT_OK;
	}
	rules = calloc(count, sizeof(*rules));
	if (!rules)
		return PS_EXIT_FAILED;
	for (size_t i = 0; i < count; i++)
		rules[i] = ps_value_at(list, i);
	return print_table(f, rules, count);
}

static int filters_show(const struct filters *f, int n, char **words)
{
	int ids = ps_filters_leading_ids(n, words, 1, "show"), worst = PS_EXIT_OK;

	if (ids < n)
		return ids < 0 ? PS_EXIT_USAGE : ps_cli_usage("filters", "\"%s\" says nothing here", words[ids]);
	for (int i = 0; i < ids; i++) {
		_reply_ reply = {0};
		_value_ rule = NULL;
		_buf_ out = PS_BUF_INIT;
		char path[64];
		int r;

		(void)snprintf(path, sizeof(path), "/api/filters/%s", words[i]);
		r = ps_filters_call(f, "GET", path, NULL, &reply);
		if (r == PS_EXIT_OK && f->s->json) {
			r = ps_cli_print(&reply.body, PS_EXIT_OK);
		} else if (r == PS_EXIT_OK) {
			r = ps_filters_parsed(&reply, &rule);
			if (i)
				ps_buf_addc(&out, '\n');
			ps_rule_view_one(rule, f->colour, &out);
			r = r ? r : ps_cli_print(&out, PS_EXIT_OK);
		}
		worst = PS_MAX(worst, r);
	}
	return worst;
}

/* --- Changing -------------------------------------------------------------------------------- */

/* Sends one rule; its answer is shown, and the person asked if it is for now only. */
static int send_rule(const struct filters *f, const char *method, const char *path, const struct ps_value *body)
{
	_reply_ reply = {0};
	_value_ rule = NULL;
	char id[16] = "";
	int r = ps_filters_call(f, method, path, body, &reply);

	if (r == PS_EXIT_OK)
		r = print_answer(f, &reply);
	if (r == PS_EXIT_OK)
		r = ps_filters_parsed(&reply, &rule);
	if (r)
		return r;
	(void)snprintf(id, sizeof(id), "%" PRId64, ps_value_get_int(rule, "id", 0));
	return ps_filters_settle(f, id, ps_value_get_int(body, "confirm_within", 0));
}

static int filters_add(const struct filters *f, int n, char **words)
{
	_value_ body = NULL;
	int r = ps_filters_take_body(f, n, words, &body);

	if (r)
		return r;
	if (ps_value_kind(body) != PS_VALUE_LIST)
		return send_rule(f, "POST", "/api/filters", body);
	for (size_t i = 0; i < ps_value_count(body); i++) {
		r = send_rule(f, "POST", "/api/filters", ps_value_at(body, i));
		if (r) {
			(void)fprintf(stderr,
				"packetscope: rule %zu of %zu was refused; those before it were added. "
				"`packetscope filters import` takes all or none.\n",
				i + 1, ps_value_count(body));
			return r;
		}
	}
	return PS_EXIT_OK;
}

static int filters_set(const struct filters *f, int n, char **words)
{
	int ids = ps_filters_leading_ids(n, words, 1, "set");
	_value_ body = NULL;
	char path[64];
	int r;

	if (ids < 0)
		return PS_EXIT_USAGE;
	if (ids > 1)
		return ps_cli_usage("filters", "set changes one rule at a time");
	r = ps_filters_take_body(f, n - 1, words + 1, &body);
	if (r)
		return r;
	(void)snprintf(path, sizeof(path), "/api/filters/%s", words[0]);
	return send_rule(f, "PATCH", path, body);
}

static const char *const change_query[] = {"confirm_within", "force", NULL};

/* The same call for each number; confirm_within and force go into the query. */
static int on_each(const struct filters *f, const char *what, const char *method, const char *verb, int n, char **words)
{
	int ids = ps_filters_leading_ids(n, words, 1, what), worst = PS_EXIT_OK;
	bool all = strcmp(method, "DELETE") == 0; /* a deletion is a change of the set: it has no rule to name */
	_buf_ query = PS_BUF_INIT;
	int64_t confirm = 0;
	int r;

	if (ids < 0)
		return PS_EXIT_USAGE;
	r = ps_filters_query(n - ids, words + ids, change_query, &query, &confirm);
	if (r)
		return r;
	for (int i = 0; i < ids; i++) {
		_reply_ reply = {0};
		_buf_ path = PS_BUF_INIT;

		ps_buf_addf(&path, "/api/filters/%s%s", words[i], verb);
		if (query.len)
			ps_buf_adds(&path, ps_buf_str(&query));
		r = ps_buf_str(&path) ? ps_filters_call(f, method, ps_buf_str(&path), NULL, &reply) : PS_EXIT_FAILED;
		if (r == PS_EXIT_OK)
			r = print_answer(f, &reply);
		if (r == PS_EXIT_OK)
			r = ps_filters_settle(f, all ? "" : words[i], confirm);
		worst = PS_MAX(worst, r);
	}
	return worst;
}

static int filters_rm(const struct filters *f, int n, char **words)
{
	return on_each(f, "rm", "DELETE", "", n, words);
}

static int filters_enable(const struct filters *f, int n, char **words)
{
	return on_each(f, "enable", "POST", "/enable", n, words);
}

static int filters_disable(const struct filters *f, int n, char **words)
{
	return on_each(f, "disable", "POST", "/disable", n, words);
}

static int filters_promote(const struct filters *f, int n, char **words)
{
	return on_each(f, "promote", "POST", "/promote", n, words);
}

static int filters_confirm(const struct filters *f, int n, char **words)
{
	int ids = ps_filters_leading_ids(n, words, 0, "confirm"), worst = PS_EXIT_OK;

	if (ids < n)
		return ids < 0 ? PS_EXIT_USAGE : ps_cli_usage("filters", "\"%s\" says nothing here", words[ids]);
	for (int i = 0; i < PS_MAX(ids, 1); i++) {
		_reply_ reply = {0};
		char path[64];
		int r;

		ps_filters_confirm_path(ids ? words[i] : "", path, sizeof(path));
		r = ps_filters_call(f, "POST", path, NULL, &reply);
		if (r == PS_EXIT_OK && f->s->json)
			r = ps_cli_print(&reply.body, PS_EXIT_OK);
		else if (r == PS_EXIT_OK)
			(void)puts("Confirmed.");
		worst = PS_MAX(worst, r);
	}
	return worst;
}

/* --- Previewing ------------------------------------------------------------------------------ */

/* Exit code 0: nothing is in danger; 1: something is. */
static int print_preview(const struct filters *f, struct ps_fetch_reply *reply)
{
	_value_ preview = NULL;
	_buf_ out = PS_BUF_INIT;
	const struct ps_value *rule;
	int r = ps_filters_parsed(reply, &preview);
	int code = ps_value_count(ps_value_get(preview, "guard")) ? PS_EXIT_FAILED : PS_EXIT_OK;

	if (r)
		return r;
	if (f->s->json)
		return ps_cli_print(&reply->body, code);
	rule = ps_value_get(preview, "rule");
	if (ps_value_kind(rule) == PS_VALUE_MAP)
		ps_rule_view_one(rule, f->colour, &out);
	ps_rule_view_impact(preview, f->colour, &out);
	return ps_cli_print(&out, code);
}

static int filters_preview(const struct filters *f, int n, char **words)
{
	bool of_id = n > 0 && ps_filters_is_id(words[0]);
	_value_ body = NULL;
	_reply_ reply = {0};
	int r = of_id && n == 1 && !*f->s->file ? PS_EXIT_OK : ps_filters_take_body(f, n - of_id, words + of_id, &body);

	if (r)
		return r;
	if (!body)
		body = ps_value_map();
	if (of_id && (ps_value_kind(body) != PS_VALUE_MAP ||
			     ps_value_set(body, "id", ps_value_int(strtoll(words[0], NULL, 10))) < 0))
		return ps_cli_usage("filters", "a number stands before one rule, not before a list");
	r = ps_filters_call(f, "POST", "/api/filters/preview", body, &reply);
	return r ? r : print_preview(f, &reply);
}

/* --- The table ------------------------------------------------------------------------------- */

static const struct action {
	const char *name;
	int min, max; /* operands; max -1 = any number */
	int (*run)(const struct filters *f, int n, char **words);
} actions[] = {
	{"list", 0, 0, filters_list},
	{"show", 1, -1, filters_show},
	{"get", 1, -1, filters_show},
	{"add", 0, -1, filters_add},
	{"set", 1, -1, filters_set},
	{"rm", 1, -1, filters_rm},
	{"enable", 1, -1, filters_enable},
	{"disable", 1, -1, filters_disable},
	{"preview", 0, -1, filters_preview},
	{"import", 0, -1, ps_filters_import},
	{"export", 0, 1, ps_filters_export},
	{"replace", 0, -1, ps_filters_replace},
	{"confirm", 0, -1, filters_confirm},
	{"promote", 1, -1, filters_promote},
	{"protect", 0, -1, ps_filters_protect},
};

int ps_verb_filters(const struct ps_settings *s, int n, char **operands)
{
	_cleanup_(ps_fetch_free) struct ps_fetch *client = NULL;
	const char *name = n > 0 ? operands[0] : "list";
	struct filters f = {.s = s, .colour = ps_cli_colour()};
	struct ps_error err = {0};
	size_t i;

	for (i = 0; i < PS_ARRAY_SIZE(actions) && strcmp(actions[i].name, name) != 0; i++)
		;
	if (i == PS_ARRAY_SIZE(actions))
		return ps_cli_usage("filters", "there is no \"%s\"", name);
	n = n > 0 ? n - 1 : 0;
	if (n < actions[i].min)
		return ps_cli_usage("filters", "%s needs the number of a rule", name);
	if (actions[i].max >= 0 && n > actions[i].max)
		return ps_cli_usage("filters", "%s takes %s", name, actions[i].max ? "one operand" : "no operands");
	if (ps_api_open(s, &client, &err) < 0)
		return ps_cli_fail(&err), PS_EXIT_USAGE;
	ps_fetch_limit(client, PS_CLI_RULES_TIMEOUT_MS, NULL);
	f.client = client;
	return actions[i].run(&f, n, operands + 1);
}
