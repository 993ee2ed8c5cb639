/* `packetscope filters protect`: the networks that no rule may cut without force. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/filters.h"
#include "cli/table.h"
#include "cli/verb.h"

static int print_protected(const struct filters *f, struct ps_fetch_reply *reply)
{
	_cleanup_(ps_table_free) struct ps_table *t = ps_table_new();
	_buf_ out = PS_BUF_INIT;
	_value_ list = NULL;
	int r;

	if (f->s->json)
		return ps_cli_print(&reply->body, PS_EXIT_OK);
	r = ps_filters_parsed(reply, &list);
	if (r)
		return r;
	if (!ps_value_count(list)) {
		(void)puts("No protected networks; `packetscope filters protect add 192.0.2.0/24` makes one.");
		return PS_EXIT_OK;
	}
	ps_table_column(t, "NETWORK", false);
	ps_table_column(t, "FROM", false);
	for (size_t i = 0; i < ps_value_count(list); i++) {
		ps_table_row(t);
		ps_table_cell(t, PS_STYLE_PLAIN, ps_value_get_string(ps_value_at(list, i), "cidr", ""));
		ps_table_cell(t, PS_STYLE_DIM, ps_value_get_string(ps_value_at(list, i), "origin", ""));
	}
	if (ps_table_render(t, f->colour, &out) < 0)
		out.error = -ENOMEM;
	return ps_cli_print(&out, PS_EXIT_OK);
}

/* The networks that the API was given, without those of `rest`, as the array that PUT takes. */
static int kept_protected(const struct filters *f, int n, char **rest, struct ps_value *list)
{
	_reply_ reply = {0};
	_value_ now = NULL;
	int r = ps_filters_call(f, "GET", "/api/protected", NULL, &reply);

	if (r == PS_EXIT_OK)
		r = ps_filters_parsed(&reply, &now);
	for (size_t i = 0; r == PS_EXIT_OK && i < ps_value_count(now); i++) {
		const struct ps_value *row = ps_value_at(now, i);
		const char *cidr = ps_value_get_string(row, "cidr", "");
		bool named = false;

		for (int k = 0; k < n; k++)
			named = named || strcmp(rest[k], cidr) == 0;
		if (strcmp(ps_value_get_string(row, "origin", ""), "api") == 0 && !named &&
			ps_value_append(list, ps_value_string(cidr)) < 0)
			r = PS_EXIT_FAILED;
	}
	return r;
}

int ps_filters_protect(const struct filters *f, int n, char **words)
{
	const char *what = n > 0 ? words[0] : "list";
	bool set = strcmp(what, "set") == 0, add = strcmp(what, "add") == 0, rm = strcmp(what, "rm") == 0;
	_value_ list = ps_value_list();
	_reply_ reply = {0};
	int r = PS_EXIT_OK;

	if (strcmp(what, "list") == 0 && n <= 1) {
		r = ps_filters_call(f, "GET", "/api/protected", NULL, &reply);
		return r ? r : print_protected(f, &reply);
	}
	if ((!set && !add && !rm) || (n < 2 && !set))
		return ps_cli_usage("filters", "protect takes list, add CIDR…, rm CIDR… or set CIDR…");
	if (!set)
		r = kept_protected(f, n - 1, words + 1, list);
	for (int i = 1; r == PS_EXIT_OK && !rm && i < n; i++)
		if (ps_value_append(list, ps_value_string(words[i])) < 0)
			r = PS_EXIT_FAILED;
	if (r == PS_EXIT_OK)
		r = ps_filters_call(f, "PUT", "/api/protected", list, &reply);
	if (r)
		return r;
	ps_fetch_reply_free(&reply);
	reply = (struct ps_fetch_reply){0};
	r = ps_filters_call(f, "GET", "/api/protected", NULL, &reply);
	return r ? r : print_protected(f, &reply);
}
