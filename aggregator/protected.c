#include "aggregator/protected.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/audit.h"
#include "aggregator/limits.h"
#include "aggregator/rule_file.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/codec/json.h"

#define FILE_NAME "protected.json"

struct ps_protected {
	char *dir;
	struct ps_net net[2 * PS_PROTECTED_MAX]; /* first those of the configuration */
	size_t n_config, n;
};

/* --- reading ------------------------------------------------------------------------------------------ */

static int parse(const char *text, size_t len, const char *field, struct ps_net *ret_net, struct ps_error *err)
{
	char net[PS_NET_TEXT];
	struct ps_net n;
	int r = ps_net_parse(text, len, &n);

	if (r < 0)
		return ps_error_set(err, -EINVAL, 400, "bad_value", field,
			"\"%.*s\" is neither an address nor a network; write 192.0.2.1 or 192.0.2.0/24",
			(int)PS_MIN(len, 60u), text);
	if (ps_net_is_masked(&n)) {
		*ret_net = n;
		return 0;
	}
	ps_net_mask(&n);
	return ps_error_set(err, -EINVAL, 400, "bad_value", field,
		"\"%.*s\" has bits behind its prefix; did you mean %s?", (int)PS_MIN(len, 60u), text,
		ps_net_format(&n, net));
}

static int add(struct ps_protected *p, size_t max, const struct ps_net *net, const char *field, struct ps_error *err)
{
	for (size_t i = 0; i < p->n; i++) {
		if (ps_net_equal(&p->net[i], net))
			return 0;
	}
	if (p->n >= max)
		return ps_error_set(err, -EINVAL, 400, "bad_value", field, "at most %d networks can be protected",
			PS_PROTECTED_MAX);
	p->net[p->n++] = *net;
	return 0;
}

static int read_config(struct ps_protected *p, const char *config, struct ps_error *err)
{
	while (*config) {
		size_t len = strcspn(config, ", ");
		struct ps_net net;
		int r = len ? parse(config, len, "protect", &net, err) : 0;

		if (r >= 0 && len)
			r = add(p, PS_PROTECTED_MAX, &net, "protect", err);
		if (r < 0)
			return r;
		config += len + (config[len] != '\0');
	}
	p->n_config = p->n;
	return 0;
}

static int read_list(struct ps_protected *p, const struct ps_value *list, struct ps_error *err)
{
	if (ps_value_kind(list) != PS_VALUE_LIST)
		return ps_error_set(err, -EINVAL, 400, "bad_value", "",
			"a list of networks was expected: [\"192.0.2.0/24\", …], not %s",
			ps_value_kind_name(ps_value_kind(list)));
	for (size_t i = 0; i < ps_value_count(list); i++) {
		const struct ps_value *v = ps_value_at(list, i);
		const char *text =
			ps_value_as_string(ps_value_kind(v) == PS_VALUE_MAP ? ps_value_get(v, "cidr") : v, "");
		char field[32];
		struct ps_net net;
		int r;

		(void)snprintf(field, sizeof(field), "[%zu]", i);
		r = parse(text, strlen(text), field, &net, err);
		if (r >= 0)
			r = add(p, p->n_config + PS_PROTECTED_MAX, &net, field, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static void warn(struct ps_value *warnings, const char *path, const char *reason)
{
	char text[512];

	(void)snprintf(text, sizeof(text), "%.200s cannot be used: %.200s", path, reason);
	if (warnings)
		(void)ps_value_append(warnings, ps_value_string(text));
}

/* What the interface set before. A broken file leaves the configuration's. */
static int read_file(struct ps_protected *p, uint64_t time, struct ps_value *warnings)
{
	_cleanup_(ps_value_free) struct ps_value *doc = NULL;
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	char path[PATH_MAX], aside[PATH_MAX + 64];
	struct ps_error err = {0};
	int r;

	(void)snprintf(path, sizeof(path), "%s/" FILE_NAME, p->dir);
	r = ps_file_read(path, PS_RULES_LOG_MAX, &text);
	if (r == -ENOENT || r == -ENOMEM)
		return r == -ENOENT ? 0 : r;
	if (r < 0) {
		warn(warnings, path, strerror(-r));
		return 0;
	}
	r = ps_json_parse((const char *)text.data, text.len, &doc, &err);
	if (r >= 0)
		r = read_list(p, ps_value_get(doc, "protected"), &err);
	if (r >= 0 || r == -ENOMEM)
		return r;
	p->n = p->n_config;
	warn(warnings, path, err.message);
	(void)snprintf(aside, sizeof(aside), "%s.bad-%llu", path, (unsigned long long)(time / PS_NSEC));
	(void)rename(path, aside);
	return 0;
}

int ps_protected_new(const char *state_dir, const char *config, uint64_t time, struct ps_value *warnings,
	struct ps_protected **ret_list, struct ps_error *err)
{
	_cleanup_(ps_protected_free) struct ps_protected *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->dir = strdup(state_dir);
	if (!p->dir)
		return -ENOMEM;
	r = read_config(p, config ? config : "", err);
	if (r >= 0)
		r = read_file(p, time, warnings);
	if (r < 0)
		return r;
	*ret_list = PS_TAKE(p);
	return 0;
}

void ps_protected_free(struct ps_protected **list)
{
	if (*list)
		free((*list)->dir);
	free(*list);
	*list = NULL;
}

const struct ps_net *ps_protected_nets(const struct ps_protected *p, size_t *ret_n)
{
	*ret_n = p->n;
	return p->net;
}

/* --- writing ------------------------------------------------------------------------------------------ */

static struct ps_value *texts(const struct ps_protected *p)
{
	_cleanup_(ps_value_free) struct ps_value *list = ps_value_list();
	char text[PS_NET_TEXT];

	for (size_t i = p->n_config; i < p->n; i++) {
		if (!list || ps_value_append(list, ps_value_string(ps_net_format(&p->net[i], text))) < 0)
			return NULL;
	}
	return PS_TAKE(list);
}

static int file_text(const struct ps_protected *p, struct ps_buf *out)
{
	_cleanup_(ps_value_free) struct ps_value *doc = ps_value_map();

	if (!doc || ps_value_set(doc, "version", ps_value_int(1)) < 0 || ps_value_set(doc, "protected", texts(p)) < 0)
		return -ENOMEM;
	ps_json_write_pretty(out, doc);
	ps_buf_addc(out, '\n');
	return out->error;
}

static int audit_text(const struct ps_protected *before, const struct ps_protected *after, const char *who,
	uint64_t time, struct ps_buf *out)
{
	_cleanup_(ps_value_free) struct ps_value *more = ps_value_map();
	const struct ps_audit_line line = {.op = "protected.set", .who = who, .time = time, .more = more};

	if (!more || ps_value_set(more, "before", texts(before)) < 0 || ps_value_set(more, "after", texts(after)) < 0)
		return -ENOMEM;
	return ps_audit_text(&line, NULL, NULL, out);
}

static int write_files(
	const struct ps_protected *p, const struct ps_buf *text, const struct ps_buf *line, struct ps_error *err)
{
	_cleanup_close_ int dir = ps_state_dir_open(p->dir, err);
	off_t before = 0;
	int r;

	if (dir < 0)
		return dir;
	r = ps_audit_append(dir, line, &before);
	if (r < 0)
		return ps_state_dir_error(err, -r, "audit.jsonl");
	r = ps_file_replace_at(dir, FILE_NAME, text);
	if (r < 0) {
		ps_audit_take_back(dir, before);
		return ps_state_dir_error(err, -r, FILE_NAME);
	}
	return 0;
}

int ps_protected_set(
	struct ps_protected *p, const struct ps_value *list, const char *who, uint64_t time, struct ps_error *err)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT, line = PS_BUF_INIT;
	struct ps_protected after = *p;
	int r;

	after.n = after.n_config;
	r = read_list(&after, list, err);
	if (r < 0)
		return r;
	if (file_text(&after, &text) < 0 || audit_text(p, &after, who, time, &line) < 0)
		return ps_error_set(err, -ENOMEM, 507, "no_memory", "", "no memory for the list");
	r = write_files(p, &text, &line, err);
	if (r < 0)
		return r;
	*p = after;
	return 0;
}

struct ps_value *ps_protected_value(const struct ps_protected *p)
{
	_cleanup_(ps_value_free) struct ps_value *list = ps_value_list();
	char text[PS_NET_TEXT];

	for (size_t i = 0; i < p->n; i++) {
		_cleanup_(ps_value_free) struct ps_value *v = ps_value_map();

		if (!v || ps_value_set(v, "cidr", ps_value_string(ps_net_format(&p->net[i], text))) < 0 ||
			ps_value_set(v, "origin", ps_value_string(i < p->n_config ? "config" : "api")) < 0 ||
			ps_value_append(list, PS_TAKE(v)) < 0)
			return NULL;
	}
	return PS_TAKE(list);
}
