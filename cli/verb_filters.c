/* `packetscope filters`: the rules, over /api/filters. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/api.h"
#include "cli/assign.h"
#include "common/base/file.h"
#include "cli/human.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "common/limits.h"

struct action {
	const char *name;
	int min, max; /* operands; max -1 = any number */
	int (*run)(const struct ps_settings *s, struct ps_fetch *client, int n, char **operands);
};

/* "dst_port=23 icmp_type=8": what a rule tests beyond its protocol and what it does. */
static void add_match(struct ps_table *t, const struct ps_value *rule)
{
	static const char *const shown_apart[] = {"id", "rule_type", "protocol", "direction", "action", "enabled",
		"priority", "comment", "source", "packets", "bytes", "first_hit", "last_hit", "warnings", "mode"};
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	int64_t number;

	for (size_t i = 0; i < ps_value_count(rule); i++) {
		const char *key = ps_value_key_at(rule, i);
		const struct ps_value *v = ps_value_at(rule, i);
		const char *word = ps_value_as_string(v, NULL);
		bool icmp = strcmp(key, "icmp_type") == 0 || strcmp(key, "icmp_code") == 0;
		bool skip = false;

		for (size_t k = 0; k < PS_ARRAY_SIZE(shown_apart); k++)
			skip = skip || strcmp(key, shown_apart[k]) == 0;
		if (skip || (word && (strcmp(word, "any") == 0 || !*word)))
			continue;
		if (!word && (!ps_value_is_integer(v, &number) || number == (icmp ? 255 : 0)))
			continue;
		ps_buf_adds(&text, text.len ? " " : "");
		if (word)
			ps_buf_addf(&text, "%s=%s", key, word);
		else
			ps_buf_addf(&text, "%s=%" PRId64, key, number);
	}
	ps_table_cell(t, PS_STYLE_PLAIN, text.len ? ps_buf_str(&text) : "everything");
}

static void add_rule(struct ps_table *t, const struct ps_value *rule)
{
	bool enabled = ps_value_get_bool(rule, "enabled", false);
	const char *action = ps_value_get_string(rule, "action", "");
	enum ps_style bite = strcmp(action, "drop") == 0 ? PS_STYLE_BAD : PS_STYLE_GOOD;
	char number[PS_HUMAN_TEXT], bytes[PS_HUMAN_TEXT];

	ps_table_row(t);
	ps_table_cellf(t, PS_STYLE_PLAIN, "%" PRId64, ps_value_get_int(rule, "id", -1));
	ps_table_cell(t, enabled ? PS_STYLE_GOOD : PS_STYLE_DIM, enabled ? "on" : "off");
	ps_table_cell(t, enabled ? bite : PS_STYLE_DIM, action);
	ps_table_cell(t, PS_STYLE_PLAIN, ps_value_get_string(rule, "direction", ""));
	ps_table_cellf(t, PS_STYLE_PLAIN, "%" PRId64, ps_value_get_int(rule, "priority", 0));
	if (ps_value_kind(ps_value_get(rule, "protocol")) == PS_VALUE_STRING)
		ps_table_cell(t, PS_STYLE_PLAIN, ps_value_get_string(rule, "protocol", ""));
	else
		ps_table_cellf(t, PS_STYLE_PLAIN, "%" PRId64, ps_value_get_int(rule, "protocol", 0));
	add_match(t, rule);
	ps_table_cell(t, PS_STYLE_PLAIN, ps_human_count(ps_value_get_uint(rule, "packets", 0), number));
	ps_table_cell(t, PS_STYLE_PLAIN, ps_human_bytes(ps_value_get_uint(rule, "bytes", 0), bytes));
	ps_table_cell(t, PS_STYLE_PLAIN, ps_value_get_string(rule, "comment", ""));
}

static int print_rules(const struct ps_value *const *rules, size_t n)
{
	static const struct {
		const char *title;
		bool right;
	} columns[] = {{"ID", true}, {"STATE", false}, {"ACTION", false}, {"DIRECTION", false}, {"PRIORITY", true},
		{"PROTOCOL", false}, {"MATCH", false}, {"PACKETS", true}, {"BYTES", true}, {"COMMENT", false}};
	static const char *const spare[] = {"BYTES", "PRIORITY", "PROTOCOL", NULL}; /* in a narrow terminal */
	_cleanup_(ps_table_free) struct ps_table *t = ps_table_new();
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	for (size_t i = 0; i < PS_ARRAY_SIZE(columns); i++)
		ps_table_column(t, columns[i].title, columns[i].right);
	for (size_t i = 0; i < n; i++)
		add_rule(t, rules[i]);
	(void)ps_table_fit(t, ps_cli_width(), spare);
	if (ps_table_render(t, ps_cli_colour(), &out) < 0)
		out.error = -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct ps_value *warnings = ps_value_get(rules[i], "warnings");

		for (size_t k = 0; k < ps_value_count(warnings); k++) {
			ps_style_add(&out, PS_STYLE_WARN, ps_cli_colour(), "warning: ");
			ps_style_add(&out, PS_STYLE_PLAIN, false, ps_value_as_string(ps_value_at(warnings, k), ""));
			ps_buf_addc(&out, '\n');
		}
	}
	return ps_cli_print(&out, PS_EXIT_OK);
}

/* A call whose answer is one rule (or nothing, for DELETE). */
static int one_rule(
	const struct ps_settings *s, struct ps_fetch *client, const char *method, const char *path, const char *body)
{
	_cleanup_(ps_fetch_reply_free) struct ps_fetch_reply reply = {0};
	_cleanup_(ps_value_free) struct ps_value *rule = NULL;
	const struct ps_value *rules[1];
	struct ps_error err = {0};

	if (ps_api_call(client, method, path, body, &reply, &err) < 0)
		return ps_cli_fail(&err);
	if (s->json || reply.body.len == 0)
		return ps_cli_print(&reply.body, PS_EXIT_OK);
	if (ps_json_parse((const char *)reply.body.data, reply.body.len, &rule, &err) < 0)
		return ps_cli_fail(&err);
	rules[0] = rule;
	return print_rules(rules, 1);
}

static int filters_list(const struct ps_settings *s, struct ps_fetch *client, int n, char **operands)
{
	_cleanup_(ps_fetch_reply_free) struct ps_fetch_reply reply = {0};
	_cleanup_(ps_value_free) struct ps_value *list = NULL;
	_cleanup_free_ const struct ps_value **rules = NULL;
	struct ps_error err = {0};
	size_t count;

	(void)n, (void)operands;
	if (ps_api_call(client, "GET", "/api/filters", NULL, &reply, &err) < 0)
		return ps_cli_fail(&err);
	if (s->json)
		return ps_cli_print(&reply.body, PS_EXIT_OK);
	if (ps_json_parse((const char *)reply.body.data, reply.body.len, &list, &err) < 0)
		return ps_cli_fail(&err);
	count = ps_value_count(list);
	if (count == 0) {
		(void)fputs("No rules; `packetscope filters add rule_type=tcp dst_port=23 enabled=true` makes one.\n",
			stdout);
		return PS_EXIT_OK;
	}
	rules = calloc(count, sizeof(*rules));
	if (!rules)
		return PS_EXIT_FAILED;
	for (size_t i = 0; i < count; i++)
		rules[i] = ps_value_at(list, i);
	return print_rules(rules, count);
}

/* "/api/filters/7/enable"; an id is a number, so that "7/../8" reaches nothing. */
static int rule_path(const char *id, const char *verb, char *path, size_t size)
{
	if (!*id || strspn(id, "0123456789") != strlen(id) || strlen(id) > 10)
		return ps_cli_usage("filters", "\"%s\" is no rule's number; `packetscope filters list` shows them", id);
	(void)snprintf(path, size, "/api/filters/%s%s", id, verb);
	return 0;
}

static int on_each(
	const struct ps_settings *s, struct ps_fetch *client, const char *method, const char *verb, int n, char **ids)
{
	int worst = PS_EXIT_OK;

	for (int i = 0; i < n; i++) {
		char path[64];
		int r = rule_path(ids[i], verb, path, sizeof(path));

		if (r == 0)
			r = one_rule(s, client, method, path, NULL);
		if (r > worst)
			worst = r;
	}
	return worst;
}

static int filters_get(const struct ps_settings *s, struct ps_fetch *client, int n, char **operands)
{
	return on_each(s, client, "GET", "", n, operands);
}

static int filters_rm(const struct ps_settings *s, struct ps_fetch *client, int n, char **operands)
{
	return on_each(s, client, "DELETE", "", n, operands);
}

static int filters_enable(const struct ps_settings *s, struct ps_fetch *client, int n, char **operands)
{
	return on_each(s, client, "POST", "/enable", n, operands);
}

static int filters_disable(const struct ps_settings *s, struct ps_fetch *client, int n, char **operands)
{
	return on_each(s, client, "POST", "/disable", n, operands);
}

/* Writes `body` as JSON and sends it. */
static int send_rule(const struct ps_settings *s, struct ps_fetch *client, const char *method, const char *path,
	const struct ps_value *body)
{
	_cleanup_(ps_buf_free) struct ps_buf json = PS_BUF_INIT;

	ps_json_write(&json, body);
	return ps_buf_str(&json) ? one_rule(s, client, method, path, ps_buf_str(&json)) : PS_EXIT_FAILED;
}

/* What --file or standard input holds. */
static int read_body(const char *file, struct ps_value **ret_body, struct ps_error *err)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	int r = strcmp(file, "-") == 0 ? ps_file_read_fd(STDIN_FILENO, PS_HTTP_BODY_MAX, &text)
				       : ps_file_read(file, PS_HTTP_BODY_MAX, &text);

	if (r < 0)
		return ps_error_set(err, r, 400, "bad_value", "file", "cannot read %s: %s", file, strerror(-r));
	return ps_json_parse(ps_buf_str(&text) ? ps_buf_str(&text) : "", text.len, ret_body, err);
}

/* The body that operands or JSON describe. 0, or an exit code. */
static int take_body(const struct ps_settings *s, int n, char **words, struct ps_value **ret_body)
{
	const char *file = *s->file ? s->file : n == 0 && !isatty(STDIN_FILENO) ? "-" : NULL;
	struct ps_error err = {0};
	int r;

	if (file && n > 0)
		return ps_cli_usage("filters", "take the rule either from --file or from NAME=VALUE words");
	if (!file && n == 0)
		return ps_cli_usage(
			"filters", "say what the rule is: rule_type=tcp dst_port=23 action=drop enabled=true");
	r = file ? read_body(file, ret_body, &err) : ps_assign_all(n, words, ret_body, &err);
	return r < 0 ? (ps_cli_fail(&err), PS_EXIT_USAGE) : 0;
}

static int filters_add(const struct ps_settings *s, struct ps_fetch *client, int n, char **operands)
{
	_cleanup_(ps_value_free) struct ps_value *body = NULL;
	int r = take_body(s, n, operands, &body);

	if (r)
		return r;
	if (ps_value_kind(body) != PS_VALUE_LIST)
		return send_rule(s, client, "POST", "/api/filters", body);
	for (size_t i = 0; i < ps_value_count(body); i++) {
		r = send_rule(s, client, "POST", "/api/filters", ps_value_at(body, i));
		if (r) {
			(void)fprintf(stderr, "packetscope: rule %zu of %zu was refused; those before it were added\n",
				i + 1, ps_value_count(body));
			return r;
		}
	}
	return PS_EXIT_OK;
}

static int filters_set(const struct ps_settings *s, struct ps_fetch *client, int n, char **operands)
{
	_cleanup_(ps_value_free) struct ps_value *body = NULL;
	char path[64];
	int r = rule_path(operands[0], "", path, sizeof(path));

	if (r == 0)
		r = take_body(s, n - 1, operands + 1, &body);
	return r ? r : send_rule(s, client, "PATCH", path, body);
}

static const struct action actions[] = {
	{"list", 0, 0, filters_list},
	{"get", 1, -1, filters_get},
	{"add", 0, -1, filters_add},
	{"set", 1, -1, filters_set},
	{"enable", 1, -1, filters_enable},
	{"disable", 1, -1, filters_disable},
	{"rm", 1, -1, filters_rm},
};

int ps_verb_filters(const struct ps_settings *s, int n, char **operands)
{
	_cleanup_(ps_fetch_free) struct ps_fetch *client = NULL;
	const char *name = n > 0 ? operands[0] : "list";
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
		return ps_cli_usage("filters", "%s takes no operands", name);
	if (ps_api_open(s, &client, &err) < 0)
		return ps_cli_fail(&err), PS_EXIT_USAGE;
	return actions[i].run(s, client, n, operands + 1);
}
