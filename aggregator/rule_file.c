#include "aggregator/rule_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aggregator/limits.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/file.h"

#define RULES "rules.json"
#define LAST_GOOD "rules.json.last-good"
#define LOG "rules.log"
#define PENDING "pending.json"
#define SETS "sets"

struct ps_rule_file {
	char *dir;
	char boot[PS_BOOT_ID_SIZE];
	uint32_t seq;   /* of the set on the disk */
	off_t log_size; /* of what is good of the log */
	bool fold;      /* the log must not be added to */
};

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

int ps_state_dir_error(struct ps_error *err, int error, const char *what)
{
	bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;

	return ps_error_set(err, -error, full ? 507 : 500, full ? "disk_full" : "disk", "",
		"nothing is changed: cannot write %s: %s", what, strerror(error));
}

int ps_state_dir_open(const char *dir, struct ps_error *err)
{
	int fd;

	if (mkdir(dir, 0750) < 0 && errno != EEXIST)
		return ps_state_dir_error(err, errno, dir);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? ps_state_dir_error(err, errno, dir) : fd;
}

/* --- reading ------------------------------------------------------------------------------------ */

static void path_of(const struct ps_rule_file *f, const char *name, char ret_path[static PATH_MAX])
{
	(void)snprintf(ret_path, PATH_MAX, "%s/%s", f->dir, name);
}

static int read_all(const struct ps_rule_file *f, const char *name, struct ps_buf *out)
{
	char path[PATH_MAX];
	_cleanup_close_ int fd = -1;
	struct stat st;

	path_of(f, name, path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (!ps_buf_reserve(out, (size_t)PS_MIN(st.st_size, (off_t)PS_RULES_FILE_MAX) + 4096))
		return -ENOMEM;
	return ps_file_read_fd(fd, PS_RULES_FILE_MAX, out);
}

/* Moves what is broken out of the way, keeping it. */
static void put_aside(const struct ps_rule_file *f, const char *name, uint64_t time, struct ps_value *warnings)
{
	char path[PATH_MAX], aside[PATH_MAX + 64];

	path_of(f, name, path);
	(void)snprintf(aside, sizeof(aside), "%s.bad-%llu", path, (unsigned long long)(time / PS_NSEC));
	if (rename(path, aside) < 0)
		warn(warnings, "cannot keep the broken %s as %s: %s", path, aside, strerror(errno));
	else
		warn(warnings, "the broken file is kept as %s", aside);
}

static int read_set(const struct ps_rule_file *f, const char *name, struct ps_set_head *ret_head,
	struct ps_rule_array *ret_rules, struct ps_error *err)
{
	_cleanup_(ps_rule_array_free) struct ps_rule_array rules = {0};
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	int r = read_all(f, name, &text);

	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return ps_error_set(err, r, 500, "disk", "", "%s", strerror(-r));
	r = ps_rule_text_read((const char *)text.data, text.len, ret_head, &rules, err);
	if (r < 0)
		return r;
	*ret_rules = rules;
	memset(&rules, 0, sizeof(rules));
	return 0;
}

static bool exists(const struct ps_rule_file *f, const char *name)
{
	char path[PATH_MAX];

	path_of(f, name, path);
	return access(path, F_OK) == 0;
}

static int newer(const struct ps_rule_file *f, const char *name, const struct ps_error *why, struct ps_error *err)
{
	return ps_error_set(err, -EPROTO, 500, "newer_file", "state-dir",
		"%s/%s cannot be used: %s. It is left as it is, and what the kernel enforces too: install the newer "
		"version "
		"again, or move %s/rules.json* and rules.log away and import rules that this version has exported.",
		f->dir, name, why->message, f->dir);
}

/* rules.json, or what stands in for it. */
static int read_base(struct ps_rule_file *f, uint64_t time, struct ps_value *warnings, struct ps_set_head *head,
	struct ps_rule_array *rules, struct ps_error *ret_err)
{
	struct ps_error err = {0};
	int r = read_set(f, RULES, head, rules, &err);

	if (r >= 0 || r == -ENOMEM)
		return r;
	if (r == -EPROTO)
		return newer(f, RULES, &err, ret_err);
	if (r == -ENOENT && !exists(f, LAST_GOOD))
		return 0;
	warn(warnings, "%s/" RULES " cannot be used: %s%s%s", f->dir, err.field, err.field[0] ? ": " : "", err.message);
	/* What can't be read at all may be fine: only what was read and is broken goes aside. */
	if (r == -EINVAL)
		put_aside(f, RULES, time, warnings);
	f->fold = true;
	ps_error_clear(&err);
	r = read_set(f, LAST_GOOD, head, rules, &err);
	if (r == -EPROTO)
		return newer(f, LAST_GOOD, &err, ret_err);
	if (r == -ENOMEM)
		return r;
	if (r >= 0)
		warn(warnings, "the last good copy is in force: %zu rules of %s/" LAST_GOOD, rules->n, f->dir);
	else
		warn(warnings, "%s/" LAST_GOOD " cannot be used either: %s; there are no rules", f->dir, err.message);
	return 0;
}

/* A last line that is cut off was never answered for. Any other that can't be read is damage: what stands before it
 * counts. */
static int read_log(struct ps_rule_file *f, uint64_t time, struct ps_value *warnings, struct ps_rule_array *rules)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	struct ps_error err = {0};
	size_t at = 0;
	int r = read_all(f, LOG, &text);

	if (r == -ENOENT)
		return 0;
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		warn(warnings, "%s/" LOG " cannot be read: %s", f->dir, strerror(-r));
		f->fold = true;
		return 0;
	}
	while (at < text.len) {
		const char *line = (const char *)text.data + at;
		const char *end = memchr(line, '\n', text.len - at);
		size_t len = end ? (size_t)(end - line) : text.len - at;

		r = end ? ps_rule_text_replay(line, len, &f->seq, rules, &err) : -ENODATA;
		if (r == -ENOMEM)
			return r;
		if (r < 0)
			break;
		at += len + 1;
	}
	f->log_size = (off_t)at;
	if (at >= text.len)
		return 0;
	f->fold = true;
	if (r == -ENODATA || !memchr(text.data + at, '\n', text.len - at - 1))
		return 0;
	warn(warnings, "%s/" LOG " is broken behind change %u: %s", f->dir, f->seq, err.message);
	put_aside(f, LOG, time, warnings);
	return 0;
}

int ps_rule_file_open(const char *dir, const char *boot, uint64_t time, struct ps_value *warnings,
	struct ps_rule_array *ret_rules, bool *ret_rebooted, struct ps_rule_file **ret_file, struct ps_error *err)
{
	_cleanup_(ps_rule_file_free) struct ps_rule_file *f = calloc(1, sizeof(*f));
	_cleanup_(ps_rule_array_free) struct ps_rule_array rules = {0};
	struct ps_set_head head = {0};
	int r;

	if (!f)
		return -ENOMEM;
	f->dir = strdup(dir);
	if (!f->dir)
		return -ENOMEM;
	(void)snprintf(f->boot, sizeof(f->boot), "%s", boot);
	r = read_base(f, time, warnings, &head, &rules, err);
	if (r < 0)
		return r;
	f->seq = head.seq;
	for (size_t i = 0; !head.seq && i < rules.n; i++)
		f->seq = PS_MAX(f->seq, rules.rules[i].generation);
	if (!head.seq && rules.n && exists(f, LOG)) {
		warn(warnings, "%s/" RULES " has no \"seq\", so it was put there by hand: " LOG " is not for it", dir);
		put_aside(f, LOG, time, warnings);
	}
	r = read_log(f, time, warnings, &rules);
	if (r < 0)
		return r;
	*ret_rebooted = strcmp(head.boot, f->boot) != 0;
	if (*ret_rebooted || !head.seq)
		f->fold = true;
	*ret_rules = rules;
	memset(&rules, 0, sizeof(rules));
	*ret_file = PS_TAKE(f);
	return 0;
}

void ps_rule_file_free(struct ps_rule_file **file)
{
	struct ps_rule_file *f = *file;

	if (!f)
		return;
	free(f->dir);
	free(f);
	*file = NULL;
}

uint32_t ps_rule_file_seq(const struct ps_rule_file *f)
{
	return f->seq;
}

/* --- writing ------------------------------------------------------------------------------------ */

static int no_memory(struct ps_error *err)
{
	return ps_error_set(err, -ENOMEM, 507, "no_memory", "", "no memory to write the rules");
}

static void set_text(const struct ps_rule_file *f, const struct ps_rule_array *rules, uint32_t seq, struct ps_buf *out)
{
	struct ps_set_head head = {.seq = seq};

	memcpy(head.boot, f->boot, sizeof(head.boot));
	ps_rule_text_write(out, &head, rules->rules, rules->n);
}

/* The log was folded in; its lines have no meaning any more, so that failing to remove it does no harm. */
static void drop_log(struct ps_rule_file *f, int dir)
{
	(void)unlinkat(dir, LOG, 0);
	f->log_size = 0;
	f->fold = false;
}

static void write_last_good(struct ps_rule_file *f, int dir, const struct ps_buf *text, struct ps_value *warnings)
{
	int r = ps_file_replace_at(dir, LAST_GOOD, text);

	if (r < 0)
		warn(warnings, "%s/" LAST_GOOD " could not be written: %s", f->dir, strerror(-r));
}

static int by_number(const struct dirent **a, const struct dirent **b)
{
	unsigned long x = strtoul((*a)->d_name + 6, NULL, 10), y = strtoul((*b)->d_name + 6, NULL, 10);

	return (x > y) - (x < y);
}

static int is_set(const struct dirent *d)
{
	return strncmp(d->d_name, "rules-", 6) == 0;
}

static void keep_set(struct ps_rule_file *f, int dir, const char *name, struct ps_value *warnings)
{
	struct dirent **list = NULL;
	char path[PATH_MAX];
	int n;

	if ((mkdirat(dir, SETS, 0750) < 0 && errno != EEXIST) || linkat(dir, RULES, dir, name, 0) < 0) {
		if (errno != EEXIST)
			warn(warnings, "%s/%s could not be kept: %s", f->dir, name, strerror(errno));
		return;
	}
	path_of(f, SETS, path);
	n = scandir(path, &list, is_set, by_number);
	for (int i = 0; i < n; i++) {
		if (i < n - PS_AUDIT_SETS) {
			char old[PATH_MAX];

			(void)snprintf(old, sizeof(old), SETS "/%s", list[i]->d_name);
			(void)unlinkat(dir, old, 0);
		}
		free(list[i]);
	}
	free(list);
}

/* The new file and the audit line are safe on the disk before the name changes hands. */
static int commit_whole(int dir, const struct ps_buf *text, const struct ps_buf *line, struct ps_error *err)
{
	off_t before = 0;
	int r = ps_file_prepare_at(dir, RULES, text);

	if (r < 0)
		return ps_state_dir_error(err, -r, RULES);
	r = ps_audit_append(dir, line, &before);
	if (r < 0) {
		(void)unlinkat(dir, RULES ".new", 0);
		return ps_state_dir_error(err, -r, "audit.jsonl");
	}
	r = ps_file_commit_at(dir, RULES);
	if (r < 0) {
		ps_audit_take_back(dir, before);
		return ps_state_dir_error(err, -r, RULES);
	}
	return 0;
}

static int save_whole(struct ps_rule_file *f, int dir, const struct ps_rule_array *rules, struct ps_audit_line *line,
	struct ps_value *warnings, struct ps_error *err)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT, audit = PS_BUF_INIT;
	char sha[PS_SHA256_TEXT], name[64];
	int r;

	set_text(f, rules, line->seq, &text);
	if (text.error)
		return no_memory(err);
	(void)snprintf(name, sizeof(name), SETS "/rules-%u.json", line->seq);
	if (ps_audit_text(line, line->bulk ? ps_sha256(text.data, text.len, sha) : NULL, line->bulk ? name : NULL,
		    &audit) < 0)
		return no_memory(err);
	r = commit_whole(dir, &text, &audit, err);
	if (r < 0)
		return r;
	drop_log(f, dir);
	write_last_good(f, dir, &text, warnings);
	if (line->bulk)
		keep_set(f, dir, name, warnings);
	return 0;
}

static int append_log(struct ps_rule_file *f, int dir, const struct ps_buf *text)
{
	_cleanup_close_ int fd = openat(dir, LOG, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	int r;

	if (fd < 0 || lseek(fd, f->log_size, SEEK_SET) < 0)
		return -errno;
	r = ps_file_write_fd(fd, text);
	if (r >= 0 && !f->log_size && fsync(dir) < 0)
		r = -errno;
	if (r < 0) {
		/* If that fails too, the next save writes everything. */
		f->fold = ftruncate(fd, f->log_size) < 0;
		return r;
	}
	f->log_size += (off_t)text->len;
	return 0;
}

static int save_line(struct ps_rule_file *f, int dir, const struct ps_rule_delta *delta, struct ps_audit_line *line,
	struct ps_error *err)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT, audit = PS_BUF_INIT;
	off_t before = 0;
	int r;

	ps_rule_text_log(&text, line->seq, delta);
	if (text.error || ps_audit_text(line, NULL, NULL, &audit) < 0)
		return no_memory(err);
	r = ps_audit_append(dir, &audit, &before);
	if (r < 0)
		return ps_state_dir_error(err, -r, "audit.jsonl");
	r = append_log(f, dir, &text);
	if (r < 0) {
		ps_audit_take_back(dir, before);
		return ps_state_dir_error(err, -r, LOG);
	}
	return 0;
}

int ps_rule_file_save(struct ps_rule_file *f, const struct ps_rule_array *rules, const struct ps_rule_delta *delta,
	struct ps_audit_line *line, struct ps_value *warnings, struct ps_error *err)
{
	_cleanup_close_ int dir = ps_state_dir_open(f->dir, err);
	int r;

	if (dir < 0)
		return dir;
	line->seq = f->seq + 1;
	if (delta && rules->n > PS_RULES_SMALL && !f->fold)
		r = save_line(f, dir, delta, line, err);
	else
		r = save_whole(f, dir, rules, line, warnings, err);
	if (r < 0)
		return r;
	f->seq++;
	return 0;
}

bool ps_rule_file_heavy(const struct ps_rule_file *f)
{
	return f->log_size > (off_t)PS_RULES_LOG_MAX;
}

int ps_rule_file_fold(struct ps_rule_file *f, const struct ps_rule_array *rules, struct ps_value *warnings)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	_cleanup_close_ int dir = ps_state_dir_open(f->dir, NULL);
	int r;

	if (dir < 0)
		return dir;
	set_text(f, rules, f->seq, &text);
	r = text.error ? text.error : ps_file_replace_at(dir, RULES, &text);
	if (r < 0)
		return r;
	drop_log(f, dir);
	write_last_good(f, dir, &text, warnings);
	return 0;
}

/* --- what waits for its confirmation --------------------------------------------------------------- */

int ps_rule_file_save_pending(struct ps_rule_file *f, struct ps_set_head *head, const struct ps_rule *rules, size_t n,
	struct ps_audit_line *line, struct ps_error *err)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT, audit = PS_BUF_INIT;
	_cleanup_close_ int dir = ps_state_dir_open(f->dir, err);
	off_t before = 0;
	int r;

	if (dir < 0)
		return dir;
	head->seq = f->seq;
	head->pending = true;
	memcpy(head->boot, f->boot, sizeof(head->boot));
	ps_rule_text_write(&text, head, rules, n);
	if (text.error || ps_audit_text(line, NULL, NULL, &audit) < 0)
		return no_memory(err);
	r = ps_file_prepare_at(dir, PENDING, &text);
	if (r < 0)
		return ps_state_dir_error(err, -r, PENDING);
	r = ps_audit_append(dir, &audit, &before);
	if (r < 0) {
		(void)unlinkat(dir, PENDING ".new", 0);
		return ps_state_dir_error(err, -r, "audit.jsonl");
	}
	r = ps_file_commit_at(dir, PENDING);
	if (r < 0) {
		ps_audit_take_back(dir, before);
		return ps_state_dir_error(err, -r, PENDING);
	}
	return 0;
}

int ps_rule_file_read_pending(struct ps_rule_file *f, uint64_t time, struct ps_value *warnings,
	struct ps_set_head *ret_head, struct ps_rule_array *ret_rules)
{
	_cleanup_(ps_rule_array_free) struct ps_rule_array rules = {0};
	struct ps_set_head head = {0};
	struct ps_error err = {0};
	int r = read_set(f, PENDING, &head, &rules, &err);

	if (r == -ENOMEM || r == -ENOENT)
		return r;
	if (r < 0) {
		warn(warnings, "%s/" PENDING " cannot be used: %s", f->dir, err.message);
		put_aside(f, PENDING, time, warnings);
		return -ENOENT;
	}
	if (!head.pending || head.seq != f->seq)
		return -ENOENT;
	*ret_head = head;
	*ret_rules = rules;
	memset(&rules, 0, sizeof(rules));
	return 0;
}

void ps_rule_file_drop_pending(struct ps_rule_file *f)
{
	_cleanup_close_ int dir = ps_state_dir_open(f->dir, NULL);

	if (dir < 0)
		return;
	(void)unlinkat(dir, PENDING, 0);
	(void)fsync(dir);
}

int ps_rule_file_note(struct ps_rule_file *f, const struct ps_audit_line *line, struct ps_error *err)
{
	_cleanup_(ps_buf_free) struct ps_buf audit = PS_BUF_INIT;
	_cleanup_close_ int dir = ps_state_dir_open(f->dir, err);
	off_t before = 0;
	int r;

	if (dir < 0)
		return dir;
	if (ps_audit_text(line, NULL, NULL, &audit) < 0)
		return no_memory(err);
	r = ps_audit_append(dir, &audit, &before);
	return r < 0 ? ps_state_dir_error(err, -r, "audit.jsonl") : 0;
}
