/* The state directory: what is written is read again, what is broken is put aside, what fails changes nothing. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "aggregator/rule_file.h"
#include "common/base/cleanup.h"
#include "tests/unit/tempdir.h"

#define TIME 1700000000000000000ull

static struct ps_rule rule(int32_t id, uint16_t port, const char *comment)
{
	struct ps_rule r;

	ps_rule_defaults(&r);
	r.id = id;
	r.rule_type = PS_RULE_TCP;
	r.protocol = 6;
	r.dst_port = ps_ports_one(port);
	r.comment = *comment ? (char *)comment : NULL; /* never cleared */
	return r;
}

static const char *fresh_dir(const char *name)
{
	static char dir[160];

	(void)snprintf(dir, sizeof(dir), "%s/%s", tempdir, name);
	return dir;
}

static const char *in(const char *dir, const char *name)
{
	static char path[4][256];
	static int next;
	char *to = path[next++ % 4];

	(void)snprintf(to, sizeof(path[0]), "%s/%s", dir, name);
	return to;
}

static int save(const char *dir, const struct ps_rule *rules, size_t n, struct ps_error *err)
{
	const struct ps_rule_change change = {
		.op = "rules.create", .who = "10.0.0.1", .time = TIME, .after = &rules[n - 1]};

	return ps_rule_file_save(dir, rules, n, &change, NULL, err);
}

static void write_text(const char *path, const char *text)
{
	_cleanup_fclose_ FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
}

static size_t read_text(const char *path, char *out, size_t size)
{
	_cleanup_fclose_ FILE *f = fopen(path, "r");
	size_t n = f ? fread(out, 1, size - 1, f) : 0;

	out[n] = '\0';
	return n;
}

static void no_file_is_no_rules(void **state)
{
	_cleanup_(ps_value_free) struct ps_value *warnings = ps_value_list();
	_cleanup_(ps_rules_clear) struct ps_rules rules = {.n = 0};

	(void)state;
	assert_int_equal(ps_rule_file_load(fresh_dir("none"), TIME, warnings, &rules), 0);
	assert_int_equal(rules.n, 0);
	assert_int_equal(ps_value_count(warnings), 0);
}

static void what_is_saved_is_loaded(void **state)
{
	const char *dir = fresh_dir("saved");
	const struct ps_rule rules[] = {rule(0, 22, "ssh \"quoted\" \xc3\xa4"), rule(3, 80, ""), rule(4095, 443, "x")};
	_cleanup_(ps_value_free) struct ps_value *warnings = ps_value_list();
	_cleanup_(ps_rules_clear) struct ps_rules got = {0};
	char audit[4096];

	(void)state;
	assert_int_equal(save(dir, rules, 2, NULL), 0);
	assert_int_equal(save(dir, rules, 3, NULL), 0);
	assert_int_equal(ps_rule_file_load(dir, TIME, warnings, &got), 0);
	assert_int_equal(got.n, 3);
	for (size_t i = 0; i < got.n; i++) {
		assert_int_equal(got.rule[i].id, rules[i].id);
		assert_true(ps_rule_equal(&got.rule[i], &rules[i]));
		assert_string_equal(ps_rule_comment(&got.rule[i]), ps_rule_comment(&rules[i]));
	}
	assert_int_equal(ps_value_count(warnings), 0);
	(void)read_text(in(dir, "audit.jsonl"), audit, sizeof(audit));
	assert_int_equal(strncmp(audit, "{\"time\":\"2023-11-14T22:13:20", 27), 0);
	assert_non_null(
		strstr(audit, "\"who\":\"10.0.0.1\",\"op\":\"rules.create\",\"before\":null,\"after\":{\"id\":3"));
	assert_non_null(strstr(audit, "}\n{\"time\""));
	assert_int_equal(access(in(dir, "rules.json.new"), F_OK), -1);
}

static const char *const broken[] = {
	"",
	"{",
	"[]",
	"{\"version\": 2, \"rules\": []}",
	"{\"version\": 1, \"rules\": [{\"id\": 1}, {\"id\": 1}]}",
	"{\"version\": 1, \"rules\": [{\"id\": 9999999}]}",
	"{\"version\": 1, \"rules\": [{\"id\": -1}]}",
	"{\"version\": 1, \"rules\": [{}]}",
	"{\"version\": 1, \"rules\": [{\"id\": 0, \"dst_port\": 70000}]}",
	"{\"version\": 1, \"rules\": [{\"id\": 0, \"colour\": \"red\"}]}",
	"{\"version\": 1, \"rules\": [7]}",
	"{\"version\": 1}",
};

static void a_broken_file_gives_way_to_the_last_good_one(void **state)
{
	const struct ps_rule rules[] = {rule(0, 22, "kept")};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(broken); i++) {
		char name[32], text[256];
		_cleanup_(ps_value_free) struct ps_value *warnings = ps_value_list();
		_cleanup_(ps_rules_clear) struct ps_rules got = {0};
		const char *dir;

		(void)snprintf(name, sizeof(name), "broken%zu", i);
		dir = fresh_dir(name);
		assert_int_equal(save(dir, rules, 1, NULL), 0);
		write_text(in(dir, "rules.json"), broken[i]);
		assert_int_equal(ps_rule_file_load(dir, TIME, warnings, &got), 0);
		assert_int_equal(got.n, 1);
		assert_string_equal(ps_rule_comment(&got.rule[0]), "kept");
		assert_true(ps_value_count(warnings) >= 2);
		(void)read_text(in(dir, "rules.json.bad-1700000000"), text, sizeof(text));
		assert_string_equal(text, broken[i]);
		assert_int_equal(access(in(dir, "rules.json"), F_OK), -1);
	}
}

/* A start after the one that put the broken file aside; or someone lost the file. */
static void a_missing_file_does_not_open_the_gates(void **state)
{
	const char *dir = fresh_dir("gone");
	const struct ps_rule rules[] = {rule(0, 22, "kept")};
	_cleanup_(ps_value_free) struct ps_value *warnings = ps_value_list();
	_cleanup_(ps_rules_clear) struct ps_rules got = {0};

	(void)state;
	assert_int_equal(save(dir, rules, 1, NULL), 0);
	assert_int_equal(unlink(in(dir, "rules.json")), 0);
	assert_int_equal(ps_rule_file_load(dir, TIME, warnings, &got), 0);
	assert_int_equal(got.n, 1);
	assert_true(ps_value_count(warnings) >= 1);
}

static void with_no_good_copy_there_are_no_rules(void **state)
{
	const char *dir = fresh_dir("hopeless");
	_cleanup_(ps_value_free) struct ps_value *warnings = ps_value_list();
	_cleanup_(ps_rules_clear) struct ps_rules got = {0};

	(void)state;
	assert_int_equal(mkdir(dir, 0700), 0);
	write_text(in(dir, "rules.json"), "nonsense");
	assert_int_equal(ps_rule_file_load(dir, TIME, warnings, &got), 0);
	assert_int_equal(got.n, 0);
	assert_true(ps_value_count(warnings) >= 2);
}

static void a_full_disk_changes_nothing(void **state)
{
	const char *dir = fresh_dir("full");
	struct ps_rule rules[40];
	char before[8192], after[8192], audit_before[8192], audit_after[8192];
	struct ps_error err = {0};
	struct rlimit old, small;

	(void)state;
	for (int i = 0; i < 40; i++)
		rules[i] = rule(i, 1, "a comment of some length");
	assert_int_equal(save(dir, rules, 2, NULL), 0);
	(void)read_text(in(dir, "rules.json"), before, sizeof(before));
	(void)read_text(in(dir, "audit.jsonl"), audit_before, sizeof(audit_before));
	/* A file may not grow beyond this: what a full disk does, by other means. First the rules, then only the audit
	 * don't fit. */
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){.rlim_cur = 4096, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(save(dir, rules, 40, &err), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(err.status, 507);
	assert_string_equal(err.code, "disk_full");
	(void)read_text(in(dir, "rules.json"), after, sizeof(after));
	(void)read_text(in(dir, "audit.jsonl"), audit_after, sizeof(audit_after));
	assert_string_equal(before, after);
	assert_string_equal(audit_before, audit_after);

	/* the audit is larger than the rules now */
	{
		_cleanup_fclose_ FILE *f = fopen(in(dir, "audit.jsonl"), "a");

		for (int i = 0; i < 5000; i++)
			(void)fputs("x", f);
	}
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(save(dir, rules, 3, &err), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	(void)read_text(in(dir, "rules.json"), after, sizeof(after));
	assert_string_equal(before, after);
	assert_int_equal(access(in(dir, "rules.json.new"), F_OK), -1);
}

/* The last step fails: the line that was written for it is taken back. */
static void a_name_that_is_taken(void **state)
{
	const char *dir = fresh_dir("taken");
	const struct ps_rule rules[] = {rule(0, 22, "")};
	struct ps_error err = {0};
	char audit[4096], audit_after[4096];

	(void)state;
	assert_int_equal(save(dir, rules, 1, NULL), 0);
	(void)read_text(in(dir, "audit.jsonl"), audit, sizeof(audit));
	assert_int_equal(unlink(in(dir, "rules.json")), 0);
	assert_int_equal(mkdir(in(dir, "rules.json"), 0700), 0);
	assert_true(save(dir, rules, 1, &err) < 0);
	assert_int_equal(err.status, 500);
	(void)read_text(in(dir, "audit.jsonl"), audit_after, sizeof(audit_after));
	assert_string_equal(audit, audit_after);
	assert_int_equal(access(in(dir, "rules.json.new"), F_OK), -1);
}

static void a_directory_that_cannot_be(void **state)
{
	const char *file = fresh_dir("file");
	const struct ps_rule rules[] = {rule(0, 22, "")};
	struct ps_error err = {0};

	(void)state;
	write_text(file, "in the way");
	assert_int_equal(save(file, rules, 1, &err), -ENOTDIR);
	assert_int_equal(err.status, 500);
	assert_non_null(strstr(err.message, "unchanged"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_file_is_no_rules),
		cmocka_unit_test(what_is_saved_is_loaded),
		cmocka_unit_test(a_broken_file_gives_way_to_the_last_good_one),
		cmocka_unit_test(a_missing_file_does_not_open_the_gates),
		cmocka_unit_test(with_no_good_copy_there_are_no_rules),
		cmocka_unit_test(a_full_disk_changes_nothing),
		cmocka_unit_test(a_name_that_is_taken),
		cmocka_unit_test(a_directory_that_cannot_be),
	};

	return cmocka_run_group_tests(tests, tempdir_make, tempdir_remove);
}
