/* `packetscope ai`: the AI worker, over /api/ai and /api/findings. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/api.h"
#include "cli/human.h"
#include "cli/limits.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/codec/json.h"

struct action {
	const char *name;
	int max; /* operands; -1 = any number */
	int (*run)(const struct ps_settings *s, struct ps_fetch *client, int n, char **operands);
};

/* A call, parsed. 0 or -errno with err. */
static int call(struct ps_fetch *client, const char *method, const char *path, const struct ps_value *body,
	struct ps_value **ret_value, struct ps_error *err)
{
	_cleanup_(ps_fetch_reply_free) struct ps_fetch_reply reply = {0};
	_cleanup_(ps_buf_free) struct ps_buf json = PS_BUF_INIT;
	int r;

	if (body)
		ps_json_write(&json, body);
	if (body && !ps_buf_str(&json))
		return ps_error_set(err, -ENOMEM, 500, "no_memory", "", "out of memory");
	r = ps_api_call(client, method, path, body ? ps_buf_str(&json) : NULL, &reply, err);
	if (json.data)
		explicit_bzero(json.data, json.cap); /* it may hold the key */
	if (r == 0 && reply.body.len > 0)
		r = ps_json_parse((const char *)reply.body.data, reply.body.len, ret_value, err);
	return r;
}

static int print_json(const struct ps_value *v, int code)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	ps_json_write(&out, v);
	ps_buf_addc(&out, '\n');
	return ps_cli_print(&out, code);
}

/* --- status and configuration -------------------------------------------------------------------- */

/* "name: value" a line; texts without what drives a terminal. */
static int print_map(const struct ps_value *v)
{
	_cleanup_(ps_table_free) struct ps_table *t = ps_table_new();
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	ps_table_column(t, "NAME", false);
	ps_table_column(t, "VALUE", false);
	for (size_t i = 0; i < ps_value_count(v); i++) {
		_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
		const struct ps_value *item = ps_value_at(v, i);

		if (ps_value_kind(item) == PS_VALUE_LIST || ps_value_kind(item) == PS_VALUE_NULL)
			continue;
		if (ps_value_kind(item) == PS_VALUE_STRING)
			ps_buf_adds(&text, ps_value_as_string(item, ""));
		else
			ps_json_write(&text, item);
		ps_table_row(t);
		ps_table_cell(t, PS_STYLE_PLAIN, ps_value_key_at(v, i));
		ps_table_cell(t, PS_STYLE_PLAIN, text.len ? ps_buf_str(&text) : "");
	}
	if (ps_table_render(t, ps_cli_colour(), &out) < 0)
		out.error = -ENOMEM;
	for (size_t i = 0; i < ps_value_count(ps_value_get(v, "warnings")); i++) {
		ps_style_add(&out, PS_STYLE_WARN, ps_cli_colour(), "warning: ");
		ps_style_add(&out, PS_STYLE_PLAIN, false,
			ps_value_as_string(ps_value_at(ps_value_get(v, "warnings"), i), ""));
		ps_buf_addc(&out, '\n');
	}
	return ps_cli_print(&out, PS_EXIT_OK);
}

static int ai_status(const struct ps_settings *s, struct ps_fetch *client, int n, char **operands)
{
	_cleanup_(ps_value_free) struct ps_value *v = NULL;
	struct ps_error err = {0};

	(void)n, (void)operands;
	if (call(client, "GET", "/api/ai/status", NULL, &v, &err) < 0)
		return ps_cli_fail(&err);
	return s->json ? print_json(v, PS_EXIT_OK) : print_map(v);
}

/* The first line of a file or of standard input, for a command line is no place for a key: others can read it. */
static int add_key(const char *file, struct ps_value *body, struct ps_error *err)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	int r = strcmp(file, "-") == 0 ? ps_file_read_fd(STDIN_FILENO, PS_CLI_KEY_MAX, &text)
				       : ps_file_read(file, PS_CLI_KEY_MAX, &text);
	const char *key = ps_buf_str(&text);

	if (r < 0)
		return ps_error_set(err, r, 400, "bad_value", "key-file", "cannot read %s: %s", file, strerror(-r));
	r = ps_value_set(body, "api_key", key ? ps_value_string_n(key, strcspn(key, "\r\n")) : NULL);
	if (text.data)
		explicit_bzero(text.data, text.cap);
	return r < 0 ? ps_error_set(err, r, 500, "no_memory", "", "out of memory") : 0;
}

/* NAME=VALUE; what the names mean and which values are right, the worker says. */
static int assign(struct ps_value *body, const char *word, struct ps_error *err)
{
	static const char *const texts[] = {"openai_endpoint", "model"};
	_cleanup_(ps_value_free) struct ps_value *v = NULL;
	const char *equals = strchr(word, '=');
	bool text = false;
	int r;

	if (!equals || equals == word)
		return ps_error_set(err, -EINVAL, 400, "bad_value", "",
			"\"%.64s\" must be NAME=VALUE, such as model=gpt-4 or timeout=120", word);
	for (size_t i = 0; i < PS_ARRAY_SIZE(texts); i++)
		text |= strlen(texts[i]) == (size_t)(equals - word) && strncmp(texts[i], word, strlen(texts[i])) == 0;
	/* A number or true and false as JSON has them; everything else is text. */
	if (text || ps_json_parse(equals + 1, strlen(equals + 1), &v, NULL) < 0)
		v = ps_value_string(equals + 1);
	r = ps_value_set_n(body, word, (size_t)(equals - word), PS_TAKE(v));
	return r < 0 ? ps_error_set(err, r, 500, "no_memory", "", "out of memory") : 0;
}

static int ai_config(const struct ps_settings *s, struct ps_fetch *client, int n, char **operands)
{
	_cleanup_(ps_value_free) struct ps_value *v = NULL, *body = NULL;
	bool change = n > 0 || *s->key_file;
	struct ps_error err = {0};

	for (int i = 0; i < n; i++) {
		if (strncmp(operands[i], "api_key", 7) == 0)
			return ps_cli_usage("ai",
				"others can read a command line: give the key with --key-file FILE, or "
				"--key-file - for standard input");
	}
	if (change)
		body = ps_value_map();
	for (int i = 0; i < n; i++) {
		if (assign(body, operands[i], &err) < 0)
			return ps_cli_fail(&err), PS_EXIT_USAGE;
	}
	if (*s->key_file && add_key(s->key_file, body, &err) < 0)
		return ps_cli_fail(&err), PS_EXIT_USAGE;
	if (call(client, change ? "POST" : "GET", "/api/ai/config", body, &v, &err) < 0)
		return ps_cli_fail(&err);
	return s->json ? print_json(v, PS_EXIT_OK) : print_map(v);
}

/* --- questions ----------------------------------------------------------------------------------- */

static int build_question(const struct ps_settings *s, struct ps_value **ret_body)
{
	_cleanup_(ps_value_free) struct ps_value *v = ps_value_map();
	int r = ps_value_set(v, "include_tcp", ps_value_bool(!s->no_tcp));

	r |= ps_value_set(v, "include_icmp", ps_value_bool(!s->no_icmp));
	r |= ps_value_set(v, "include_stats", ps_value_bool(!s->no_stats));
	if (*s->analyze_type)
		r |= ps_value_set(v, "analyze_type", ps_value_string(s->analyze_type));
	else if (*s->prompt)
		r |= ps_value_set(v, "analyze_type", ps_value_string("custom"));
	if (*s->prompt)
		r |= ps_value_set(v, "custom_prompt", ps_value_string(s->prompt));
	if (r == 0)
		*ret_body = PS_TAKE(v);
	return r;
}

/* One line on the terminal that is written over: what is being done. */
static void show_progress(const struct ps_value *job, bool *shown)
{
	_cleanup_(ps_buf_free) struct ps_buf line = PS_BUF_INIT;

	if (!isatty(STDERR_FILENO))
		return;
	ps_buf_addf(&line, "\r\033[K%3" PRIu64 " %% ", ps_value_get_uint(job, "progress", 0));
	ps_style_add(&line, PS_STYLE_PLAIN, false, ps_value_get_string(job, "stage", ""));
	if (!line.error)
		(void)!write(STDERR_FILENO, line.data, line.len);
	*shown = true;
}

/* Begins a job and asks for it until it is over. */
static int ask(const struct ps_settings *s, struct ps_fetch *client, const char *what, struct ps_value **ret_answer,
	struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *body = NULL, *job = NULL;
	char path[96];
	bool shown = false;
	int r;

	if (build_question(s, &body) < 0)
		return ps_error_set(err, -ENOMEM, 500, "no_memory", "", "out of memory");
	(void)snprintf(path, sizeof(path), "/api/ai/%s?async=1", what);
	r = call(client, "POST", path, body, &job, err);
	if (r == 0)
		(void)snprintf(path, sizeof(path), "/api/ai/jobs/%.40s", ps_value_get_string(job, "job", ""));
	while (r == 0) {
		const char *state = ps_value_get_string(job, "state", "");
		bool over = strcmp(state, "done") == 0 || strcmp(state, "failed") == 0;

		if (over && ps_value_get(job, "result")) {
			*ret_answer = ps_value_copy(ps_value_get(job, "result"));
			break;
		}
		show_progress(job, &shown);
		(void)usleep(PS_CLI_JOB_POLL_US);
		ps_value_free(&job);
		r = call(client, "GET", path, NULL, &job, err);
	}
	if (shown)
		(void)!write(STDERR_FILENO, "\r\033[K", 4);
	return r;
}

/* Text of others in paragraphs: what drives a terminal is taken out line by line. */
static void add_text(struct ps_buf *out, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");
		_cleanup_free_ char *line = strndup(text, n);

		if (!line) {
			out->error = -ENOMEM;
			return;
		}
		ps_style_add(out, PS_STYLE_PLAIN, false, line);
		ps_buf_addc(out, '\n');
		text += n + (text[n] == '\n');
	}
}

static void add_list(struct ps_buf *out, const char *title, const struct ps_value *list)
{
	if (ps_value_count(list) == 0)
		return;
	ps_buf_addf(out, "\n%s\n", title);
	for (size_t i = 0; i < ps_value_count(list); i++) {
		ps_buf_adds(out, "  - ");
		ps_style_add(out, PS_STYLE_PLAIN, false, ps_value_as_string(ps_value_at(list, i), ""));
		ps_buf_addc(out, '\n');
	}
}

/* "tcp src_ip=203.0.113.9 dst_port=22 drop, shadow, for 1h": what it does, then why and with what effect. */
static void add_filter(struct ps_buf *out, const struct ps_value *filter)
{
	static const char *const apart[] = {"comment", "reason", "evidence", "impact", "warnings", "source", "enabled"};
	const struct ps_value *impact = ps_value_get(filter, "impact");

	ps_buf_adds(out, " ");
	for (size_t i = 0; i < ps_value_count(filter); i++) {
		const char *name = ps_value_key_at(filter, i);
		const char *word = ps_value_as_string(ps_value_at(filter, i), NULL);
		bool skip = false;

		for (size_t k = 0; k < PS_ARRAY_SIZE(apart); k++)
			skip |= strcmp(apart[k], name) == 0;
		if (skip)
			continue;
		ps_buf_addf(out, " %s=", name);
		if (word)
			ps_style_add(out, PS_STYLE_PLAIN, false, word);
		else
			ps_json_write(out, ps_value_at(filter, i));
	}
	ps_buf_addf(out, "\n    would hit %" PRIu64 " live and %" PRIu64 " ended connections, %" PRIu64 " packets\n",
		ps_value_get_uint(impact, "live", 0), ps_value_get_uint(impact, "ended", 0),
		ps_value_get_uint(impact, "packets", 0));
	ps_buf_adds(out, "    ");
	ps_style_add(out, PS_STYLE_DIM, ps_cli_colour(), ps_value_get_string(filter, "reason", ""));
	ps_buf_addc(out, '\n');
}

static int print_answer(const struct ps_value *v)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	const struct ps_value *filters = ps_value_get(v, "filters"), *rejected = ps_value_get(v, "rejected");

	if (ps_value_get_string(v, "note", NULL))
		ps_buf_addf(&out, "%s\n\n", ps_value_get_string(v, "note", ""));
	add_text(&out, ps_value_get_string(v, "analysis", ""));
	add_list(&out, "Suggestions", ps_value_get(v, "suggestions"));
	if (ps_value_count(filters) > 0)
		ps_buf_adds(&out,
			"\nProposed rules (none is installed; `packetscope ai generate --json | jq .filters | "
			"packetscope filters add --file -` does it)\n");
	for (size_t i = 0; i < ps_value_count(filters); i++)
		add_filter(&out, ps_value_at(filters, i));
	if (ps_value_count(rejected) > 0)
		ps_buf_addf(&out, "\n%zu proposals were rejected:\n", ps_value_count(rejected));
	for (size_t i = 0; i < ps_value_count(rejected); i++) {
		ps_buf_adds(&out, "  - ");
		ps_style_add(&out, PS_STYLE_PLAIN, false, ps_value_get_string(ps_value_at(rejected, i), "reason", ""));
		ps_buf_addc(&out, '\n');
	}
	ps_buf_addf(&out, "\n(engine: %s", ps_value_get_string(v, "engine", "?"));
	if (ps_value_get_string(v, "model", NULL)) {
		ps_buf_adds(&out, ", ");
		ps_style_add(&out, PS_STYLE_PLAIN, false, ps_value_get_string(v, "model", ""));
		ps_buf_addf(&out, ", %" PRIu64 " tokens", ps_value_get_uint(v, "tokens_used", 0));
	}
	ps_buf_adds(&out, ")\n");
	return ps_cli_print(&out, PS_EXIT_OK);
}

static int question(const struct ps_settings *s, struct ps_fetch *client, const char *what)
{
	_cleanup_(ps_value_free) struct ps_value *v = NULL;
	struct ps_error err = {0};
	bool success;

	if (ask(s, client, what, &v, &err) < 0)
		return ps_cli_fail(&err);
	success = ps_value_get_bool(v, "success", false);
	if (s->json)
		return print_json(v, success ? PS_EXIT_OK : PS_EXIT_FAILED);
	if (success)
		return print_answer(v);
	(void)ps_error_set(&err, -EIO, 502, "failed", "", "%.250s", ps_value_get_string(v, "error", "no answer"));
	return ps_cli_fail(&err);
}

static int ai_generate(const struct ps_settings *s, struct ps_fetch *client, int n, char **operands)
{
	(void)n, (void)operands;
	return question(s, client, "generate");
}

static int ai_analyze(const struct ps_settings *s, struct ps_fetch *client, int n, char **operands)
{
	(void)n, (void)operands;
	return question(s, client, "analyze");
}

/* --- findings ------------------------------------------------------------------------------------ */

static void add_finding(struct ps_table *t, const struct ps_value *f)
{
	const char *severity = ps_value_get_string(f, "severity", "");
	bool bad = strcmp(severity, "high") == 0 || strcmp(severity, "critical") == 0;
	char number[PS_HUMAN_TEXT];

	ps_table_row(t);
	ps_table_cell(t, PS_STYLE_PLAIN, ps_value_get_string(f, "id", ""));
	ps_table_cell(t, PS_STYLE_PLAIN, ps_value_get_bool(f, "open", false) ? "open" : "over");
	ps_table_cell(t, bad ? PS_STYLE_BAD : PS_STYLE_WARN, severity);
	ps_table_cell(t, PS_STYLE_PLAIN, ps_value_get_string(f, "kind", ""));
	ps_table_cell(t, PS_STYLE_PLAIN, ps_value_get_string(f, "source", "many"));
	ps_table_cell(t, PS_STYLE_PLAIN, ps_value_get_string(f, "target", ""));
	ps_table_cell(t, PS_STYLE_PLAIN, ps_human_count(ps_value_get_uint(f, "count", 0), number));
	ps_table_cell(t, PS_STYLE_PLAIN, ps_value_get_string(f, "title", ""));
}

static int ai_findings(const struct ps_settings *s, struct ps_fetch *client, int n, char **operands)
{
	static const char *const columns[] = {"ID", "STATE", "SEVERITY", "KIND", "SOURCE", "TARGET", "COUNT", "WHAT"};
	_cleanup_(ps_table_free) struct ps_table *t = ps_table_new();
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	_cleanup_(ps_value_free) struct ps_value *v = NULL;
	struct ps_error err = {0};

	(void)n, (void)operands;
	if (call(client, "GET", "/api/findings", NULL, &v, &err) < 0)
		return ps_cli_fail(&err);
	if (s->json)
		return print_json(v, PS_EXIT_OK);
	if (ps_value_count(v) == 0) {
		ps_buf_adds(&out, "The detectors have found nothing.\n");
		return ps_cli_print(&out, PS_EXIT_OK);
	}
	for (size_t i = 0; i < PS_ARRAY_SIZE(columns); i++)
		ps_table_column(t, columns[i], strcmp(columns[i], "COUNT") == 0);
	for (size_t i = 0; i < ps_value_count(v); i++)
		add_finding(t, ps_value_at(v, i));
	if (ps_table_render(t, ps_cli_colour(), &out) < 0)
		out.error = -ENOMEM;
	return ps_cli_print(&out, PS_EXIT_OK);
}

static const struct action actions[] = {
	{"status", 0, ai_status},
	{"config", -1, ai_config},
	{"generate", 0, ai_generate},
	{"analyze", 0, ai_analyze},
	{"findings", 0, ai_findings},
};

int ps_verb_ai(const struct ps_settings *s, int n, char **operands)
{
	_cleanup_(ps_fetch_free) struct ps_fetch *client = NULL;
	const char *name = n > 0 ? operands[0] : "status";
	struct ps_error err = {0};
	size_t i;

	for (i = 0; i < PS_ARRAY_SIZE(actions) && strcmp(actions[i].name, name) != 0; i++)
		;
	if (i == PS_ARRAY_SIZE(actions))
		return ps_cli_usage("ai", "there is no \"%s\"", name);
	n = n > 0 ? n - 1 : 0;
	if (actions[i].max >= 0 && n > actions[i].max)
		return ps_cli_usage("ai", "%s takes no operands", name);
	if (*s->key_file && actions[i].run != ai_config)
		return ps_cli_usage("ai", "--key-file belongs to config");
	if (ps_api_open(s, &client, &err) < 0)
		return ps_cli_fail(&err), PS_EXIT_USAGE;
	return actions[i].run(s, client, n, operands + 1);
}
