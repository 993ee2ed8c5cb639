#include "cli/filters.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/api.h"
#include "cli/assign.h"
#include "cli/confirm.h"
#include "cli/rule_view.h"
#include "cli/verb.h"
#include "common/base/file.h"
#include "common/codec/json.h"
#include "common/limits.h"

/* --- Calls ----------------------------------------------------------------------------------- */

/* Says why the gateway refused, whose connections are in danger, and what to do. */
static int refused(const struct ps_fetch_reply *reply)
{
	_value_ problem = NULL;
	_buf_ text = PS_BUF_INIT;
	struct ps_error err = {0};
	int code;

	ps_api_problem(reply->status, (const char *)reply->body.data, reply->body.len, &err);
	code = ps_cli_fail(&err);
	if (!ps_json_parse((const char *)reply->body.data, reply->body.len, &problem, NULL))
		ps_rule_view_guard(ps_value_get(problem, "guard"), isatty(STDERR_FILENO) && !getenv("NO_COLOR"), &text);
	ps_buf_adds(&text, ps_rule_view_remedy(err.code));
	(void)fwrite(text.data, 1, text.len, stderr);
	return code;
}

int ps_filters_send(const struct filters *f, const char *method, const char *path, const char *type, const void *body,
	size_t len, struct ps_fetch_reply *ret_reply)
{
	_reply_ reply = {0};
	struct ps_error err = {0};

	if (ps_fetch_send(f->client, method, path, type, body, len, &reply, &err) < 0)
		return ps_cli_fail(&err);
	if (reply.status >= 400)
		return refused(&reply);
	*ret_reply = reply;
	reply = (struct ps_fetch_reply){0};
	return PS_EXIT_OK;
}

int ps_filters_call(const struct filters *f, const char *method, const char *path, const struct ps_value *body,
	struct ps_fetch_reply *ret_reply)
{
	_buf_ json = PS_BUF_INIT;

	if (!body)
		return ps_filters_send(f, method, path, "application/json", NULL, 0, ret_reply);
	ps_json_write(&json, body);
	if (!ps_buf_str(&json))
		return PS_EXIT_FAILED;
	return ps_filters_send(f, method, path, "application/json", json.data, json.len, ret_reply);
}

int ps_filters_parsed(const struct ps_fetch_reply *reply, struct ps_value **ret_value)
{
	struct ps_error err = {0};

	if (!reply->body.len)
		*ret_value = ps_value_null();
	else if (ps_json_parse((const char *)reply->body.data, reply->body.len, ret_value, &err) < 0)
		return ps_cli_fail(&err);
	return PS_EXIT_OK;
}

/* --- Confirming ------------------------------------------------------------------------------ */

void ps_filters_confirm_path(const char *id, char *path, size_t size)
{
	(void)snprintf(path, size, "/api/filters/%s%sconfirm", id, *id ? "/" : "");
}

int ps_filters_settle(const struct filters *f, const char *id, int64_t seconds)
{
	_reply_ reply = {0};
	char path[64];
	int r;

	if (seconds <= 0)
		return PS_EXIT_OK;
	ps_filters_confirm_path(id, path, sizeof(path));
	if (f->s->json || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		(void)fprintf(stderr,
			"In force for %" PRId64 " s; then undone, unless confirmed: packetscope filters confirm%s%s\n",
			seconds, *id ? " " : "", id);
		return PS_EXIT_OK;
	}
	switch ((enum ps_confirm_answer)ps_confirm_wait(STDIN_FILENO, STDOUT_FILENO, (uint64_t)seconds)) {
	case PS_CONFIRM_KEEP:
		r = ps_filters_send(f, "POST", path, "application/json", NULL, 0, &reply);
		if (r == PS_EXIT_OK)
			(void)puts("Confirmed.");
		return r;
	case PS_CONFIRM_LEFT:
		(void)printf("Not confirmed: it is undone by itself. Until then `packetscope filters confirm%s%s` "
			     "keeps it.\n",
			*id ? " " : "", id);
		return PS_EXIT_FAILED;
	case PS_CONFIRM_LATE:
		break;
	}
	(void)puts("Not confirmed in time: undone.");
	return PS_EXIT_FAILED;
}

/* --- Words ----------------------------------------------------------------------------------- */

bool ps_filters_is_id(const char *word)
{
	return *word && strspn(word, "0123456789") == strlen(word) && strlen(word) <= 10;
}

int ps_filters_leading_ids(int n, char **words, int min, const char *what)
{
	int ids = 0;

	while (ids < n && ps_filters_is_id(words[ids]))
		ids++;
	if (ids < n && !strchr(words[ids], '=')) {
		(void)ps_cli_usage(
			"filters", "\"%s\" is no rule's number; `packetscope filters list` shows them", words[ids]);
		return -1;
	}
	if (ids < min) {
		(void)ps_cli_usage("filters", "%s needs the number of a rule", what);
		return -1;
	}
	return ids;
}

int ps_filters_query(int n, char **words, const char *const *known, struct ps_buf *query, int64_t *ret_confirm)
{
	_value_ body = NULL;
	struct ps_error err = {0};

	if (ps_assign_all(n, words, &body, &err) < 0)
		return ps_cli_fail(&err), PS_EXIT_USAGE;
	*ret_confirm = ps_value_get_int(body, "confirm_within", 0);
	for (size_t i = 0; known[i]; i++)
		if (ps_assign_query(body, known[i], query) < 0)
			return PS_EXIT_FAILED;
	if (ps_value_count(body) > 0)
		return ps_cli_usage("filters", "%s says nothing here", ps_value_key_at(body, 0));
	return PS_EXIT_OK;
}

int ps_filters_read_text(const char *file, struct ps_buf *text)
{
	struct ps_error err = {0};
	int r = strcmp(file, "-") == 0 ? ps_file_read_fd(STDIN_FILENO, PS_HTTP_BODY_RULES, text)
				       : ps_file_read(file, PS_HTTP_BODY_RULES, text);

	if (r == -E2BIG || r == -EFBIG)
		(void)ps_error_set(&err, r, 400, "bad_value", "file", "%s has more than %d MB; take it in parts", file,
			PS_HTTP_BODY_RULES >> 20);
	else if (r < 0)
		(void)ps_error_set(&err, r, 400, "bad_value", "file", "cannot read %s: %s", file, strerror(-r));
	if (r < 0 || !ps_buf_str(text))
		return ps_cli_fail(&err), PS_EXIT_USAGE;
	return PS_EXIT_OK;
}

int ps_filters_take_body(const struct filters *f, int n, char **words, struct ps_value **ret_body)
{
	bool dash = n == 1 && strcmp(words[0], "-") == 0;
	const char *file = dash ? "-" : *f->s->file ? f->s->file : n == 0 && !isatty(STDIN_FILENO) ? "-" : NULL;
	_buf_ text = PS_BUF_INIT;
	struct ps_error err = {0};
	int r;

	if (file && n > 0 && !dash)
		return ps_cli_usage("filters", "take the rule either from --file or from words");
	if (!file && n == 0)
		return ps_cli_usage("filters",
			"say what the rule is: --rule-type tcp --dst-port 23 --enabled (or rule_type=tcp …)");
	if (!file)
		return ps_assign_all(n, words, ret_body, &err) < 0 ? (ps_cli_fail(&err), PS_EXIT_USAGE) : PS_EXIT_OK;
	r = ps_filters_read_text(file, &text);
	if (r)
		return r;
	if (ps_json_parse((const char *)text.data, text.len, ret_body, &err) < 0)
		return ps_cli_fail(&err), PS_EXIT_USAGE;
	return PS_EXIT_OK;
}
