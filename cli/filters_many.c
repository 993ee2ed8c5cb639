/* `packetscope filters import`, `export` and `replace`: many rules at once. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/filters.h"
#include "cli/human.h"
#include "cli/rule_view.h"
#include "cli/verb.h"
#include "common/model/rule_list.h"

/* The file among the words, or --file, or standard input; the rest are NAME=VALUE. */
static int take_file(const struct filters *f, int *n, char ***words, const char *what, const char **ret_file)
{
	*ret_file = f->s->file;
	if (*n > 0 && !strchr((*words)[0], '=') && !**ret_file) {
		*ret_file = (*words)[0];
		(*n)--;
		(*words)++;
	} else if (!**ret_file) {
		if (isatty(STDIN_FILENO))
			return ps_cli_usage("filters", "%s needs a file; - is standard input", what);
		*ret_file = "-";
	}
	return PS_EXIT_OK;
}

int ps_filters_import(const struct filters *f, int n, char **words)
{
	static const char *const query_names[] = {"action", "direction", "priority", "comment", "enabled", "ttl",
		"mode", "confirm_within", "force", NULL};
	_buf_ text = PS_BUF_INIT, path = PS_BUF_INIT, query = PS_BUF_INIT;
	_reply_ reply = {0};
	_value_ v = NULL;
	char a[PS_HUMAN_TEXT], b[PS_HUMAN_TEXT], c[PS_HUMAN_TEXT];
	const struct ps_value *ids;
	const char *file;
	int64_t confirm = 0;
	bool list;
	int r = take_file(f, &n, &words, "import", &file);

	if (r == PS_EXIT_OK)
		r = ps_filters_query(n, words, query_names, &query, &confirm);
	if (r == PS_EXIT_OK)
		r = ps_filters_read_text(file, &text);
	if (r)
		return r;
	list = ps_rule_list_is_text((const char *)text.data, text.len);
	ps_buf_addf(&path, "/api/filters/import%s", query.len ? ps_buf_str(&query) : "");
	r = ps_filters_send(
		f, "POST", ps_buf_str(&path), list ? "text/plain" : "application/json", text.data, text.len, &reply);
	if (r == PS_EXIT_OK && f->s->json) {
		r = ps_cli_print(&reply.body, PS_EXIT_OK);
	} else if (r == PS_EXIT_OK) {
		r = ps_filters_parsed(&reply, &v);
		ids = ps_value_get(v, "ids");
		(void)printf("%s rules added", ps_human_count(ps_value_get_uint(v, "added", 0), a));
		if (ps_value_count(ids) == 2 && ps_value_get_uint(v, "added", 0) > 0)
			(void)printf(" (numbers %" PRId64 " to %" PRId64 ")", ps_value_as_int(ps_value_at(ids, 0), 0),
				ps_value_as_int(ps_value_at(ids, 1), 0));
		(void)printf(", %s were there already; %s rules now\n",
			ps_human_count(ps_value_get_uint(v, "duplicates", 0), b),
			ps_human_count(ps_value_get_uint(v, "rules", 0), c));
	}
	return r ? r : ps_filters_settle(f, "", confirm);
}

int ps_filters_replace(const struct filters *f, int n, char **words)
{
	static const char *const query_names[] = {"confirm_within", "force", "dry_run", NULL};
	_buf_ text = PS_BUF_INIT, path = PS_BUF_INIT, query = PS_BUF_INIT, out = PS_BUF_INIT;
	_reply_ reply = {0};
	_value_ v = NULL;
	char a[PS_HUMAN_TEXT];
	const char *file;
	int64_t confirm = 0;
	bool dry;
	int r = take_file(f, &n, &words, "replace", &file);

	if (r == PS_EXIT_OK)
		r = ps_filters_query(n, words, query_names, &query, &confirm);
	if (r == PS_EXIT_OK)
		r = ps_filters_read_text(file, &text);
	if (r)
		return r;
	dry = query.len && strstr(ps_buf_str(&query), "dry_run=true");
	ps_buf_addf(&path, "/api/filters%s", query.len ? ps_buf_str(&query) : "");
	r = ps_filters_send(f, "PUT", ps_buf_str(&path), "application/json", text.data, text.len, &reply);
	if (r == PS_EXIT_OK && f->s->json) {
		r = ps_cli_print(&reply.body, PS_EXIT_OK);
	} else if (r == PS_EXIT_OK) {
		r = ps_filters_parsed(&reply, &v);
		ps_buf_addf(&out, "%s rules %s", ps_human_count(ps_value_get_uint(v, "rules", 0), a),
			dry ? "would be the set; nothing was changed\n" : "are the set now");
		if (!dry)
			ps_buf_addf(&out, " (generation %" PRIu64 ")\n", ps_value_get_uint(v, "generation", 0));
		ps_rule_view_impact(ps_value_get(v, "impact"), f->colour, &out);
		ps_rule_view_warnings(ps_value_get(v, "warnings"), f->colour, &out);
		r = r ? r : ps_cli_print(&out, PS_EXIT_OK);
	}
	return r || dry ? r : ps_filters_settle(f, "", confirm);
}

int ps_filters_export(const struct filters *f, int n, char **words)
{
	const char *format = n > 0 ? words[0] : "json";
	_reply_ reply = {0};
	char path[64];
	int r;

	if (strcmp(format, "json") != 0 && strcmp(format, "list") != 0)
		return ps_cli_usage("filters", "export takes json (every rule) or list (addresses that are dropped)");
	(void)snprintf(path, sizeof(path), "/api/filters/export?format=%s", format);
	r = ps_filters_call(f, "GET", path, NULL, &reply);
	if (r)
		return r;
	if (reply.body.len && reply.body.data[reply.body.len - 1] != '\n')
		ps_buf_addc(&reply.body, '\n');
	return ps_cli_print(&reply.body, PS_EXIT_OK);
}
