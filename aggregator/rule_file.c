#include "aggregator/rule_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aggregator/limits.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/codec/json.h"

#define RULES "rules.json"
#define RULES_NEW "rules.json.new"
#define LAST_GOOD "rules.json.last-good"
#define LAST_GOOD_NEW "rules.json.last-good.new"
#define AUDIT "audit.jsonl"

__attribute__((format(printf, 2, 3))) static void warn(struct ps_value *warnings, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (!warnings)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)ps_value_append(warnings, ps_value_string(text));
}

/* --- reading ------------------------------------------------------------------------------------ */

static int read_all(const char *path, struct ps_buf *out)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	return ps_file_read_fd(fd, PS_RULES_FILE_MAX, out);
}

static int compare_ids(const void *a, const void *b)
{
	const struct ps_rule *ra = a, *rb = b;

	return (ra->id > rb->id) - (ra->id < rb->id);
}

static int rules_from_list(const struct ps_value *list, struct ps_rule *rules, struct ps_error *err)
{
	size_t n = ps_value_count(list);

	for (size_t i = 0; i < n; i++) {
		int r = ps_rule_from_stored(ps_value_at(list, i), &rules[i], err);

		if (r < 0)
			return r;
	}
	qsort(rules, n, sizeof(*rules), compare_ids);
	for (size_t i = 1; i < n; i++) {
		if (rules[i].id == rules[i - 1].id)
			return ps_error_set(err, -EINVAL, 400, "bad_value", "id", "two rules have id %d", rules[i].id);
	}
	return 0;
}

static int parse(const struct ps_buf *text, struct ps_rules *ret_rules, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *doc = NULL;
	_cleanup_(ps_rules_clear) struct ps_rules rules = {0};
	const struct ps_value *list;
	size_t n;
	int r;

	r = ps_json_parse((const char *)text->data, text->len, &doc, err);
	if (r < 0)
		return r;
	list = ps_value_get(doc, "rules");
	if (ps_value_get_int(doc, "version", 0) != 1 || ps_value_kind(list) != PS_VALUE_LIST)
		return ps_error_set(err, -EINVAL, 400, "bad_value", "version", "not a rule file of version 1");
	n = ps_value_count(list);
	if (n > PS_RULES_MAX)
		return ps_error_set(
			err, -EINVAL, 400, "bad_value", "rules", "%zu rules; %u are the limit", n, PS_RULES_MAX);
	if (ps_rules_alloc(n, &rules) < 0)
		return -ENOMEM;
	r = rules_from_list(list, rules.rule, err);
	if (r < 0)
		return r;
	*ret_rules = rules;
	rules = (struct ps_rules){0};
	return 0;
}

static int load_one(const char *path, struct ps_rules *ret_rules, struct ps_error *err)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	int r = read_all(path, &text);

	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return ps_error_set(err, r, 500, "disk", "", "%s", strerror(-r));
	return parse(&text, ret_rules, err);
}

/* Moves a broken rules.json out of the way, keeping it. */
static void put_aside(const char *path, uint64_t time, struct ps_value *warnings)
{
	char aside[PATH_MAX + 64];

	(void)snprintf(aside, sizeof(aside), "%s.bad-%llu", path, (unsigned long long)(time / PS_NSEC));
	if (rename(path, aside) < 0)
		warn(warnings, "cannot keep the broken %s as %s: %s", path, aside, strerror(errno));
	else
		warn(warnings, "the broken file is kept as %s", aside);
}

int ps_rule_file_load(const char *dir, uint64_t time, struct ps_value *warnings, struct ps_rules *ret_rules)
{
	char path[PATH_MAX], good[PATH_MAX];
	struct ps_error err = {0};
	int r;

	(void)snprintf(path, sizeof(path), "%s/" RULES, dir);
	(void)snprintf(good, sizeof(good), "%s/" LAST_GOOD, dir);
	r = load_one(path, ret_rules, &err);
	if (r >= 0 || r == -ENOMEM)
		return r;
	if (r == -ENOENT && access(good, F_OK) < 0)
		return ps_rules_alloc(0, ret_rules);
	warn(warnings, "%s cannot be used: %s%s%s", path, err.field, err.field[0] ? ": " : "", err.message);
	/* What can't be read at all may be fine: only what was read and is broken goes aside. */
	if (r == -EINVAL)
		put_aside(path, time, warnings);
	ps_error_clear(&err);
	r = load_one(good, ret_rules, &err);
	if (r == -ENOMEM)
		return r;
	if (r >= 0) {
		warn(warnings, "the last good copy is in force: %zu rules of %s", ret_rules->n, good);
		return 0;
	}
	warn(warnings, "%s cannot be used either: %s; there are no rules", good, err.message);
	return ps_rules_alloc(0, ret_rules);
}

/* --- writing ------------------------------------------------------------------------------------ */

static int disk_error(struct ps_error *err, int error, const char *what)
{
	bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;

	return ps_error_set(err, -error, full ? 507 : 500, full ? "disk_full" : "disk", "",
		"the rules are unchanged: cannot write %s: %s", what, strerror(error));
}

static int write_all(int fd, const struct ps_buf *text)
{
	for (size_t done = 0; done < text->len;) {
		ssize_t n = write(fd, text->data + done, text->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static int write_file(int dir, const char *name, const struct ps_buf *text)
{
	_cleanup_close_ int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	int r;

	if (fd < 0)
		return -errno;
	r = write_all(fd, text);
	if (r < 0)
		(void)unlinkat(dir, name, 0);
	return r;
}

static int replace_file(int dir, const char *from, const char *to)
{
	if (renameat(dir, from, dir, to) < 0)
		return -errno;
	return fsync(dir) < 0 ? -errno : 0;
}

static int rules_text(const struct ps_rule *rules, size_t n, struct ps_buf *out)
{
	_cleanup_(ps_value_free) struct ps_value *doc = ps_value_map();
	struct ps_value *list = ps_value_list();
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++)
		r = ps_value_append(list, ps_rule_to_stored(&rules[i]));
	if (r < 0) {
		ps_value_free(&list);
		return r;
	}
	if (!doc || ps_value_set(doc, "version", ps_value_int(1)) < 0) {
		ps_value_free(&list);
		return -ENOMEM;
	}
	r = ps_value_set(doc, "rules", list);
	if (r < 0)
		return r;
	ps_json_write_pretty(out, doc);
	ps_buf_addc(out, '\n');
	return out->error;
}

static struct ps_value *rule_or_null(const struct ps_rule *rule)
{
	return rule ? ps_rule_to_stored(rule) : ps_value_null();
}

static int audit_text(const struct ps_rule_change *c, struct ps_buf *out)
{
	_cleanup_(ps_value_free) struct ps_value *line = ps_value_map();
	char time[PS_RFC3339_SIZE];

	if (!line || ps_value_set(line, "time", ps_value_string(ps_rfc3339(c->time, time))) < 0 ||
		ps_value_set(line, "who", ps_value_string(c->who)) < 0 ||
		ps_value_set(line, "op", ps_value_string(c->op)) < 0 ||
		ps_value_set(line, "before", rule_or_null(c->before)) < 0 ||
		ps_value_set(line, "after", rule_or_null(c->after)) < 0)
		return -ENOMEM;
	ps_json_write(out, line);
	ps_buf_addc(out, '\n');
	return out->error;
}

/* Appends the line; a part of one is taken back. *ret_before: the length that takes it back later. */
static int audit_append(int dir, const struct ps_buf *line, off_t *ret_before)
{
	_cleanup_close_ int fd = openat(dir, AUDIT, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	struct stat st;
	int r;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	r = write_all(fd, line);
	if (r < 0) {
		(void)!ftruncate(fd, st.st_size);
		return r;
	}
	*ret_before = st.st_size;
	return 0;
}

static void audit_take_back(int dir, off_t length)
{
	_cleanup_close_ int fd = openat(dir, AUDIT, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0)
		(void)!ftruncate(fd, length);
}

/* The new file and the audit line are safe on the disk before the name changes hands. */
static int commit(int dir, const struct ps_buf *text, const struct ps_buf *line, struct ps_error *err)
{
	off_t before = 0;
	int r;

	r = write_file(dir, RULES_NEW, text);
	if (r < 0)
		return disk_error(err, -r, RULES);
	r = audit_append(dir, line, &before);
	if (r < 0) {
		(void)unlinkat(dir, RULES_NEW, 0);
		return disk_error(err, -r, AUDIT);
	}
	r = replace_file(dir, RULES_NEW, RULES);
	if (r < 0) {
		(void)unlinkat(dir, RULES_NEW, 0);
		audit_take_back(dir, before);
		return disk_error(err, -r, RULES);
	}
	return 0;
}

int ps_rule_file_save(const char *dir, const struct ps_rule *rules, size_t n, const struct ps_rule_change *change,
	struct ps_value *warnings, struct ps_error *err)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT, line = PS_BUF_INIT;
	_cleanup_close_ int fd = -1;
	int r;

	if (rules_text(rules, n, &text) < 0 || audit_text(change, &line) < 0)
		return ps_error_set(err, -ENOMEM, 507, "no_memory", "", "no memory to write the rules");
	if (mkdir(dir, 0750) < 0 && errno != EEXIST)
		return disk_error(err, errno, dir);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return disk_error(err, errno, dir);
	r = commit(fd, &text, &line, err);
	if (r < 0)
		return r;
	r = write_file(fd, LAST_GOOD_NEW, &text);
	if (r >= 0)
		r = replace_file(fd, LAST_GOOD_NEW, LAST_GOOD);
	if (r < 0)
		warn(warnings, "%s/" LAST_GOOD " could not be written: %s", dir, strerror(-r));
	return 0;
}
