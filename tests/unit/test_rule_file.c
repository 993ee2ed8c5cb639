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

#include "aggregator/limits.h"
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

static struct ps_rule_array array_of(const struct ps_rule *rules, size_t n)
{
	return (struct ps_rule_array){.rules = (struct ps_rule *)rules, .n = n, .room = n};
}

#define _file_ _cleanup_(ps_rule_file_free) struct ps_rule_file
#define _array_ _cleanup_(ps_rule_array_free) struct ps_rule_array

static struct ps_rule_file *open_dir(const char *dir, struct ps_value *warnings, struct ps_rule_array *ret_rules)
{
	struct ps_rule_file *f = NULL;
	bool rebooted;

	assert_int_equal(ps_rule_file_open(dir, "boot", TIME, warnings, ret_rules, &rebooted, &f, NULL), 0);
	return f;
}

static int load(const char *dir, struct ps_value *warnings, struct ps_rule_array *ret_rules)
{
	_file_ *f = open_dir(dir, warnings, ret_rules);

	return 0;
}

/* As a change of the last rule. */
static int save_with(struct ps_rule_file *f, const struct ps_rule *rules, size_t n, struct ps_error *err)
{
	const struct ps_rule_array array = array_of(rules, n);
	const struct ps_rule *last = &rules[n - 1];
	const struct ps_rule_delta delta = {.set = &last, .n_set = 1};
	struct ps_audit_line line = {.op = "rules.create", .who = "10.0.0.1", .time = TIME, .after = last};

	return ps_rule_file_save(f, &array, &delta, &line, NULL, err);
}

static int save(const char *dir, const struct ps_rule *rules, size_t n, struct ps_error *err)
{
	_array_ known = {0};
	_file_ *f = open_dir(dir, NULL, &known);

	return save_with(f, rules, n, err);
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
	_array_ rules = {0};

	(void)state;
	assert_int_equal(load(fresh_dir("none"), warnings, &rules), 0);
	assert_int_equal(rules.n, 0);
	assert_int_equal(ps_value_count(warnings), 0);
}

static void what_is_saved_is_loaded(void **state)
{
	const char *dir = fresh_dir("saved");
	const struct ps_rule rules[] = {rule(0, 22, "ssh \"quoted\" \xc3\xa4"), rule(3, 80, ""), rule(4095, 443, "x")};
	_cleanup_(ps_value_free) struct ps_value *warnings = ps_value_list();
	_array_ got = {0};
	char audit[4096];

	(void)state;
	assert_int_equal(save(dir, rules, 2, NULL), 0);
	assert_int_equal(save(dir, rules, 3, NULL), 0);
	assert_int_equal(load(dir, warnings, &got), 0);
	assert_int_equal(got.n, 3);
	for (size_t i = 0; i < got.n; i++) {
		assert_int_equal(got.rules[i].id, rules[i].id);
		assert_true(ps_rule_equal(&got.rules[i], &rules[i]));
		assert_string_equal(ps_rule_comment(&got.rules[i]), ps_rule_comment(&rules[i]));
	}
	assert_int_equal(ps_value_count(warnings), 0);
	(void)read_text(in(dir, "audit.jsonl"), audit, sizeof(audit));
	assert_int_equal(strncmp(audit, "{\"time\":\"2023-11-14T22:13:20", 27), 0);
	assert_non_null(strstr(
		audit, "\"who\":\"10.0.0.1\",\"op\":\"rules.create\",\"seq\":1,\"before\":null,\"after\":{\"id\":3"));
	assert_non_null(strstr(audit, "}\n{\"time\""));
	assert_int_equal(access(in(dir, "rules.json.new"), F_OK), -1);
}

static const char *const broken[] = {
	"",
	"{",
	"[]",
	"{\"version\": 0, \"rules\": []}",
	"{\"rules\": []}",
	"{\"version\": 2, \"rules\": [], \"rules\": []}",
	"{\"version\": 2, \"rules\": []} x",
	"{\"version\": 2, \"rules\": [{\"id\": 1]}",
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
		_array_ got = {0};
		const char *dir;

		(void)snprintf(name, sizeof(name), "broken%zu", i);
		dir = fresh_dir(name);
		assert_int_equal(save(dir, rules, 1, NULL), 0);
		write_text(in(dir, "rules.json"), broken[i]);
		assert_int_equal(load(dir, warnings, &got), 0);
		assert_int_equal(got.n, 1);
		assert_string_equal(ps_rule_comment(&got.rules[0]), "kept");
		assert_true(ps_value_count(warnings) >= 2);
		(void)read_text(in(dir, "rules.json.bad-1700000000"), text, sizeof(text));
		assert_string_equal(text, broken[i]);
		assert_int_equal(access(in(dir, "rules.json"), F_OK), -1);
	}
}

/* Who goes back to an older program is told so, and finds everything as it was when he comes back. */
static void a_newer_file_is_left_alone(void **state)
{
	static const char newer[] = "{\"rules\": [{\"id\": 0, \"colour\": \"red\"}], \"version\": 3}";
	static const char *const names[] = {"rules.json", "rules.json.last-good"};
	const struct ps_rule rules[] = {rule(0, 22, "old")};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(names); i++) {
		_cleanup_(ps_value_free) struct ps_value *warnings = ps_value_list();
		const char *dir = fresh_dir(names[i]);
		struct ps_rule_file *f = NULL;
		struct ps_error err = {0};
		char text[256];
		_array_ got = {0};
		bool rebooted;

		assert_int_equal(save(dir, rules, 1, NULL), 0);
		if (i > 0)
			(void)unlink(in(dir, names[0]));
		write_text(in(dir, names[i]), newer);
		assert_int_equal(ps_rule_file_open(dir, "boot", TIME, warnings, &got, &rebooted, &f, &err), -EPROTO);
		assert_null(f);
		assert_string_equal(err.code, "newer_file");
		assert_non_null(strstr(err.message, names[i]));
		assert_non_null(strstr(err.message, "install the newer version"));
		(void)read_text(in(dir, names[i]), text, sizeof(text));
		assert_string_equal(text, newer);
	}
}

/* A start after the one that put the broken file aside; or someone lost the file. */
static void a_missing_file_does_not_open_the_gates(void **state)
{
	const char *dir = fresh_dir("gone");
	const struct ps_rule rules[] = {rule(0, 22, "kept")};
	_cleanup_(ps_value_free) struct ps_value *warnings = ps_value_list();
	_array_ got = {0};

	(void)state;
	assert_int_equal(save(dir, rules, 1, NULL), 0);
	assert_int_equal(unlink(in(dir, "rules.json")), 0);
	assert_int_equal(load(dir, warnings, &got), 0);
	assert_int_equal(got.n, 1);
	assert_true(ps_value_count(warnings) >= 1);
}

static void with_no_good_copy_there_are_no_rules(void **state)
{
	const char *dir = fresh_dir("hopeless");
	_cleanup_(ps_value_free) struct ps_value *warnings = ps_value_list();
	_array_ got = {0};

	(void)state;
	assert_int_equal(mkdir(dir, 0700), 0);
	write_text(in(dir, "rules.json"), "nonsense");
	assert_int_equal(load(dir, warnings, &got), 0);
	assert_int_equal(got.n, 0);
	assert_true(ps_value_count(warnings) >= 2);
}

static void a_full_disk_changes_nothing(void **state)
{
	const char *dir = fresh_dir("full");
	struct ps_rule rules[90];
	char before[8192], after[8192], audit_before[8192], audit_after[8192];
	struct ps_error err = {0};
	struct rlimit old, small;

	(void)state;
	for (int i = 0; i < 90; i++)
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
	assert_int_equal(save(dir, rules, 90, &err), -EFBIG);
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
	_array_ known = {0};
	_file_ *f = open_dir(dir, NULL, &known);
	struct ps_error err = {0};
	char audit[4096], audit_after[4096];

	(void)state;
	assert_int_equal(save_with(f, rules, 1, NULL), 0);
	(void)read_text(in(dir, "audit.jsonl"), audit, sizeof(audit));
	assert_int_equal(unlink(in(dir, "rules.json")), 0);
	assert_int_equal(mkdir(in(dir, "rules.json"), 0700), 0);
	assert_true(save_with(f, rules, 1, &err) < 0);
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
	assert_non_null(strstr(err.message, "nothing is changed"));
}

/* --- the log of a large set --- */

#define MANY (PS_RULES_SMALL + 100)

static struct ps_rule *many_rules(void)
{
	struct ps_rule *rules = calloc(MANY + 1, sizeof(*rules));

	for (int i = 0; i <= (int)MANY; i++)
		rules[i] = rule(i, (uint16_t)(i + 1), "");
	return rules;
}

static off_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? -1 : st.st_size;
}

static void a_large_set_is_added_to_line_by_line(void **state)
{
	const char *dir = fresh_dir("log");
	_cleanup_free_ struct ps_rule *rules = many_rules();
	_cleanup_(ps_value_free) struct ps_value *warnings = ps_value_list();
	_array_ known = {0}, got = {0};
	_file_ *f = open_dir(dir, warnings, &known);
	off_t size;

	(void)state;
	assert_int_equal(save_with(f, rules, MANY, NULL), 0);
	size = size_of(in(dir, "rules.json"));
	assert_int_equal(size_of(in(dir, "rules.log")), -1);
	assert_int_equal(save_with(f, rules, MANY + 1, NULL), 0);
	rules[MANY].dst_port = ps_ports_one(7);
	assert_int_equal(save_with(f, rules, MANY + 1, NULL), 0);
	assert_int_equal(size_of(in(dir, "rules.json")), size);
	assert_true(size_of(in(dir, "rules.log")) > 0);
	assert_int_equal(ps_rule_file_seq(f), 3);
	{
		/* a deletion, and the same id again */
		const struct ps_rule_array array = array_of(rules + 1, MANY);
		const int32_t del = 0;
		const struct ps_rule_delta delta = {.del = &del, .n_del = 1};
		struct ps_audit_line line = {.op = "rules.delete", .who = "x", .time = TIME, .before = &rules[0]};

		assert_int_equal(ps_rule_file_save(f, &array, &delta, &line, NULL, NULL), 0);
	}
	assert_int_equal(load(dir, warnings, &got), 0);
	assert_int_equal(got.n, MANY);
	assert_int_equal(got.rules[0].id, 1);
	assert_true(ps_rule_equal(&got.rules[MANY - 1], &rules[MANY]));
	assert_int_equal(ps_value_count(warnings), 0);
	/* folded: the same set, no log */
	assert_int_equal(ps_rule_file_fold(f, &got, NULL), 0);
	assert_int_equal(size_of(in(dir, "rules.log")), -1);
	ps_rule_array_free(&got);
	assert_int_equal(load(dir, warnings, &got), 0);
	assert_int_equal(got.n, MANY);
	assert_int_equal(ps_value_count(warnings), 0);
}

/* However much of the last line reached the disk, the set is the one before it or the one after. */
static void a_line_that_is_cut_off_does_not_count(void **state)
{
	const char *dir = fresh_dir("torn");
	_cleanup_free_ struct ps_rule *rules = many_rules();
	_array_ known = {0};
	_file_ *f = open_dir(dir, NULL, &known);
	off_t one, two;

	(void)state;
	assert_int_equal(save_with(f, rules, MANY, NULL), 0);
	rules[MANY - 1].dst_port = ps_ports_one(7);
	assert_int_equal(save_with(f, rules, MANY, NULL), 0);
	one = size_of(in(dir, "rules.log"));
	rules[MANY - 1].dst_port = ps_ports_one(8);
	assert_int_equal(save_with(f, rules, MANY, NULL), 0);
	two = size_of(in(dir, "rules.log"));
	for (off_t cut = two - 1; cut >= one; cut--) {
		_cleanup_(ps_value_free) struct ps_value *warnings = ps_value_list();
		_array_ got = {0};

		assert_int_equal(truncate(in(dir, "rules.log"), cut), 0);
		assert_int_equal(load(dir, warnings, &got), 0);
		assert_int_equal(got.n, MANY);
		assert_int_equal(ps_ports_ranges(&got.rules[MANY - 1].dst_port)->lo, 7);
		assert_int_equal(ps_value_count(warnings), 0);
	}
	/* and the next change does not stick to the torn line */
	{
		_array_ got = {0}, again = {0};
		_file_ *g = open_dir(dir, NULL, &got);

		assert_int_equal(truncate(in(dir, "rules.log"), two - 3), 0);
		ps_rule_array_free(&got);
		ps_rule_file_free(&g);
		g = open_dir(dir, NULL, &got);
		rules[MANY - 1].dst_port = ps_ports_one(9);
		assert_int_equal(save_with(g, rules, MANY, NULL), 0);
		assert_int_equal(load(dir, NULL, &again), 0);
		assert_int_equal(ps_ports_ranges(&again.rules[MANY - 1].dst_port)->lo, 9);
	}
}

static void damage_inside_the_log_is_told(void **state)
{
	const char *dir = fresh_dir("damage");
	_cleanup_free_ struct ps_rule *rules = many_rules();
	_cleanup_(ps_value_free) struct ps_value *warnings = ps_value_list();
	_array_ known = {0}, got = {0};
	_file_ *f = open_dir(dir, NULL, &known);
	char text[4096];

	(void)state;
	assert_int_equal(save_with(f, rules, MANY, NULL), 0);
	for (uint16_t port = 7; port < 10; port++) {
		rules[MANY - 1].dst_port = ps_ports_one(port);
		assert_int_equal(save_with(f, rules, MANY, NULL), 0);
	}
	(void)read_text(in(dir, "rules.log"), text, sizeof(text));
	*strstr(strchr(text, '\n'), "set") = 'X';
	write_text(in(dir, "rules.log"), text);
	assert_int_equal(load(dir, warnings, &got), 0);
	assert_int_equal(ps_ports_ranges(&got.rules[MANY - 1].dst_port)->lo, 7);
	assert_int_equal(ps_value_count(warnings), 2);
	assert_true(size_of(in(dir, "rules.log.bad-1700000000")) > 0);
}

/* rules.json was broken by hand; the log goes on from the last good copy as well. */
static void the_last_good_copy_and_the_log(void **state)
{
	const char *dir = fresh_dir("goodlog");
	_cleanup_free_ struct ps_rule *rules = many_rules();
	_cleanup_(ps_value_free) struct ps_value *warnings = ps_value_list();
	_array_ known = {0}, got = {0};
	_file_ *f = open_dir(dir, NULL, &known);

	(void)state;
	assert_int_equal(save_with(f, rules, MANY, NULL), 0);
	rules[MANY - 1].dst_port = ps_ports_one(7);
	assert_int_equal(save_with(f, rules, MANY, NULL), 0);
	write_text(in(dir, "rules.json"), "{\"version\": 2, \"seq\": 1, \"rules\": [ oops");
	assert_int_equal(load(dir, warnings, &got), 0);
	assert_int_equal(got.n, MANY);
	assert_int_equal(ps_ports_ranges(&got.rules[MANY - 1].dst_port)->lo, 7);
	assert_true(ps_value_count(warnings) >= 2);
}

static void a_file_put_there_by_hand_stands_for_itself(void **state)
{
	const char *dir = fresh_dir("hand");
	_cleanup_free_ struct ps_rule *rules = many_rules();
	_cleanup_(ps_value_free) struct ps_value *warnings = ps_value_list();
	_array_ known = {0}, got = {0};
	_file_ *f = open_dir(dir, NULL, &known);

	(void)state;
	assert_int_equal(save_with(f, rules, MANY, NULL), 0);
	assert_int_equal(save_with(f, rules, MANY, NULL), 0);
	write_text(in(dir, "rules.json"), "{\"version\": 2, \"rules\": [{\"id\": 4}]}");
	assert_int_equal(load(dir, warnings, &got), 0);
	assert_int_equal(got.n, 1);
	assert_true(size_of(in(dir, "rules.log.bad-1700000000")) > 0);
}

static void a_change_of_many_is_one_line(void **state)
{
	const char *dir = fresh_dir("bulk");
	const struct ps_rule rules[] = {rule(0, 22, ""), rule(1, 23, "")};
	const struct ps_rule_array array = array_of(rules, 2);
	_array_ known = {0};
	_file_ *f = open_dir(dir, NULL, &known);
	char audit[2048];

	(void)state;
	for (int i = 0; i < PS_AUDIT_SETS + 3; i++) {
		struct ps_audit_line line = {
			.op = "rules.replace", .who = "x", .time = TIME, .bulk = true, .n_before = 7, .n_after = 2};

		assert_int_equal(ps_rule_file_save(f, &array, NULL, &line, NULL, NULL), 0);
	}
	(void)read_text(in(dir, "audit.jsonl"), audit, sizeof(audit));
	assert_non_null(strstr(audit, "\"before\":{\"rules\":7},\"after\":{\"rules\":2,\"sha256\":\""));
	assert_non_null(strstr(audit, "\"file\":\"sets/rules-1.json\"}}\n"));
	assert_int_equal(access(in(dir, "sets/rules-3.json"), F_OK), -1);
	assert_int_equal(access(in(dir, "sets/rules-4.json"), F_OK), 0);
	assert_int_equal(access(in(dir, "sets/rules-11.json"), F_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_file_is_no_rules),
		cmocka_unit_test(what_is_saved_is_loaded),
		cmocka_unit_test(a_broken_file_gives_way_to_the_last_good_one),
		cmocka_unit_test(a_newer_file_is_left_alone),
		cmocka_unit_test(a_missing_file_does_not_open_the_gates),
		cmocka_unit_test(with_no_good_copy_there_are_no_rules),
		cmocka_unit_test(a_full_disk_changes_nothing),
		cmocka_unit_test(a_name_that_is_taken),
		cmocka_unit_test(a_directory_that_cannot_be),
		cmocka_unit_test(a_large_set_is_added_to_line_by_line),
		cmocka_unit_test(a_line_that_is_cut_off_does_not_count),
		cmocka_unit_test(damage_inside_the_log_is_told),
		cmocka_unit_test(the_last_good_copy_and_the_log),
		cmocka_unit_test(a_file_put_there_by_hand_stands_for_itself),
		cmocka_unit_test(a_change_of_many_is_one_line),
	};

	return cmocka_run_group_tests(tests, tempdir_make, tempdir_remove);
}
