/* List, file and kernel agree after every call, whether it succeeded or not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "aggregator/rule_install.h"
#include "aggregator/rule_store.h"
#include "common/codec/json.h"
#include "tests/unit/memory_kernel.h"
#include "tests/unit/tempdir.h"

#define TIME 1700000000000000000ull

#define BOOT (1000 * MK_SEC)

static const struct ps_rule_actor me = {.who = "test", .time = TIME, .boot = BOOT};

struct fixture {
	char dir[160];
	struct memory_kernel k;
	struct ps_rule_store *s;
};

static void reopen(struct fixture *f)
{
	ps_rule_store_free(&f->s);
	assert_int_equal(ps_rule_store_new(f->dir, "boot", TIME, BOOT, &f->s, NULL), 0);
}

static int setup(void **state)
{
	static int number;
	struct fixture *f = calloc(1, sizeof(*f));

	(void)snprintf(f->dir, sizeof(f->dir), "%s/store%d", tempdir, number++);
	mk_init(&f->k, 1, 1);
	reopen(f);
	assert_int_equal(ps_rule_store_attach(f->s, &f->k.view, TIME, BOOT, NULL), 1);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ps_rule_store_free(&f->s);
	mk_free(&f->k);
	free(f);
	return 0;
}

#define _result_ _cleanup_(ps_rule_result_clear) struct ps_rule_result

static struct ps_value *json(const char *text)
{
	struct ps_value *v = NULL;

	assert_int_equal(ps_json_parse(text, strlen(text), &v, NULL), 0);
	return v;
}

static int create(struct fixture *f, const char *text, struct ps_rule_result *res, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *body = json(text);

	ps_rule_result_clear(res);
	return ps_rule_store_create(f->s, body, &me, res, err);
}

static int update(struct fixture *f, int64_t id, const char *text, struct ps_rule_result *res, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *body = json(text);

	ps_rule_result_clear(res);
	return ps_rule_store_update(f->s, id, body, &me, res, err);
}

static int enable(struct fixture *f, int64_t id, bool on, struct ps_rule_result *res, struct ps_error *err)
{
	ps_rule_result_clear(res);
	return ps_rule_store_enable(f->s, id, on, &me, res, err);
}

static int remove_rule(struct fixture *f, int64_t id, struct ps_rule_result *res, struct ps_error *err)
{
	ps_rule_result_clear(res);
	return ps_rule_store_delete(f->s, id, &me, res, err);
}

/* What the kernel and a newly opened store say must be what this store says. */
static void agree(struct fixture *f)
{
	_cleanup_(ps_rule_store_free) struct ps_rule_store *other = NULL;
	_cleanup_(ps_rule_set_free) struct ps_rule_set *set = NULL;
	size_t n, n_other;
	const struct ps_rule *rules = ps_rule_store_rules(f->s, &n), *others;

	assert_int_equal(ps_rule_set_new(&set), 0);
	assert_int_equal(ps_rule_set_compile(set, rules, n, 0, NULL), 0);
	assert_true(ps_rule_install_current(&f->k.view, set, 0));
	assert_int_equal(ps_rule_store_new(f->dir, "boot", TIME, BOOT, &other, NULL), 0);
	others = ps_rule_store_rules(other, &n_other);
	assert_int_equal(n, n_other);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(rules[i].id, others[i].id);
		assert_true(ps_rule_equal(&rules[i], &others[i]));
	}
}

static void ids_are_the_lowest_free(void **state)
{
	struct fixture *f = *state;
	_result_ res = {0};

	for (int i = 0; i < 4; i++) {
		assert_int_equal(
			create(f, "{\"rule_type\": \"tcp\", \"dst_port\": 23, \"enabled\": true}", &res, NULL), 0);
		assert_int_equal(res.after.id, i);
		assert_int_equal(res.before.id, -1);
	}
	assert_int_equal(remove_rule(f, 1, &res, NULL), 0);
	assert_int_equal(res.before.id, 1);
	assert_int_equal(res.after.id, -1);
	agree(f);
	assert_int_equal(create(f, "{\"rule_type\": \"udp\"}", &res, NULL), 0);
	assert_int_equal(res.after.id, 1);
	assert_int_equal(create(f, "{\"rule_type\": \"udp\"}", &res, NULL), 0);
	assert_int_equal(res.after.id, 4);
	agree(f);
}

static void generations_move_only_with_the_set(void **state)
{
	struct fixture *f = *state;
	_result_ res = {0};
	uint32_t g;

	assert_int_equal(create(f, "{\"rule_type\": \"tcp\", \"dst_port\": 23, \"enabled\": true}", &res, NULL), 0);
	g = res.generation;
	assert_int_equal(g, ps_rule_store_generation(f->s));
	/* nothing that the kernel knows of changed */
	assert_int_equal(update(f, 0, "{\"comment\": \"telnet\"}", &res, NULL), 0);
	assert_true(res.changed);
	assert_int_equal(res.generation, g);
	assert_int_equal(create(f, "{\"rule_type\": \"udp\", \"dst_port\": 53}", &res, NULL), 0);
	assert_int_equal(res.generation, g);
	/* nothing at all changed */
	assert_int_equal(update(f, 0, "{\"id\": 0, \"comment\": \"telnet\"}", &res, NULL), 0);
	assert_false(res.changed);
	assert_int_equal(enable(f, 0, true, &res, NULL), 0);
	assert_false(res.changed);
	agree(f);
	assert_int_equal(enable(f, 1, true, &res, NULL), 0);
	assert_int_equal(res.generation, g + 1);
	agree(f);
	/* a restart finds it in force and leaves it */
	reopen(f);
	assert_int_equal(ps_rule_store_attach(f->s, &f->k.view, TIME, BOOT, NULL), 0);
	assert_int_equal(ps_rule_store_generation(f->s), g + 1);
}

static void merges_what_is_given(void **state)
{
	struct fixture *f = *state;
	_result_ res = {0};

	assert_int_equal(create(f, "{\"rule_type\": \"icmp\", \"icmp_type\": 8, \"icmp_code\": 0}", &res, NULL), 0);
	assert_false(res.after.enabled);
	assert_int_equal(
		update(f, 0, "{\"id\": 0, \"action\": \"drop\", \"enabled\": true, \"comment\": \"x\"}", &res, NULL),
		0);
	assert_true(res.after.enabled);
	assert_int_equal(res.after.icmp_type, 8);
	assert_int_equal(res.after.icmp_code, 0);
	assert_string_equal(ps_rule_comment(&res.before), "");
	agree(f);
}

static void errors_change_nothing(void **state)
{
	struct fixture *f = *state;
	_result_ res = {.generation = 77};
	struct ps_error err = {0};

	assert_int_equal(create(f, "{\"rule_type\": \"tcp\", \"dst_port\": 23, \"enabled\": true}", &res, NULL), 0);
	assert_int_equal(create(f, "{\"dst_port\": \"many\"}", &res, &err), -EINVAL);
	assert_int_equal(err.status, 400);
	assert_string_equal(err.field, "dst_port");
	assert_int_equal(update(f, 5, "{}", &res, &err), -ENOENT);
	assert_int_equal(err.status, 404);
	assert_int_equal(remove_rule(f, -1, &res, &err), -ENOENT);
	assert_int_equal(enable(f, 4096, true, &res, &err), -ENOENT);
	assert_int_equal(update(f, 0, "{\"id\": 1}", &res, &err), -EINVAL);
	agree(f);
}

static void without_a_kernel_nothing_is_accepted(void **state)
{
	struct fixture *f = *state;
	_result_ res = {0};
	struct ps_error err = {0};
	size_t n;

	assert_int_equal(ps_rule_store_attach(f->s, NULL, 0, 0, NULL), 0);
	assert_int_equal(create(f, "{\"enabled\": true}", &res, &err), -ENOTCONN);
	assert_int_equal(err.status, 503);
	(void)ps_rule_store_rules(f->s, &n);
	assert_int_equal(n, 0);
	assert_int_equal(ps_rule_store_generation(f->s), 0);
}

static void a_disk_that_fails_leaves_the_kernel_alone(void **state)
{
	struct fixture *f = *state;
	_result_ res = {0};
	struct ps_error err = {0};
	uint32_t g;
	size_t n;

	assert_int_equal(create(f, "{\"rule_type\": \"tcp\", \"dst_port\": 23, \"enabled\": true}", &res, NULL), 0);
	g = res.generation;
	f->k.row[0].hits.packets = 9;
	/* the new file can't be made: a directory stands there */
	{
		char path[200];

		(void)snprintf(path, sizeof(path), "%s/rules.json.new", f->dir);
		assert_int_equal(mkdir(path, 0700), 0);
		assert_true(create(f, "{\"rule_type\": \"udp\", \"enabled\": true}", &res, &err) < 0);
		assert_int_equal(err.status, 500);
		assert_true(remove_rule(f, 0, &res, &err) < 0);
		assert_int_equal(remove(path), 0);
	}
	assert_int_equal(ps_rule_store_generation(f->s), g);
	(void)ps_rule_store_rules(f->s, &n);
	assert_int_equal(n, 1);
	assert_int_equal(f->k.row[0].hits.packets, 9);
	agree(f);
}

static void counters_belong_to_one_rule(void **state)
{
	struct fixture *f = *state;
	_result_ res = {0};

	for (int i = 0; i < 3; i++)
		assert_int_equal(
			create(f, "{\"rule_type\": \"tcp\", \"dst_port\": 23, \"enabled\": true}", &res, NULL), 0);
	for (int i = 0; i < 3; i++)
		f->k.row[i].hits = (struct ps_rule_hits){.packets = 10, .bytes = 600, .first_hit = 5, .last_hit = 6};
	assert_int_equal(update(f, 0, "{\"dst_port\": 24}", &res, NULL), 0);
	assert_int_equal(remove_rule(f, 1, &res, NULL), 0);
	assert_int_equal(f->k.row[0].hits.packets, 10);
	assert_int_equal(f->k.row[1].hits.packets, 0);
	assert_int_equal(f->k.row[2].hits.packets, 10);
	/* a packet that was judged by the old set a moment ago */
	f->k.row[1].hits.packets = 1;
	assert_int_equal(create(f, "{\"rule_type\": \"udp\"}", &res, NULL), 0);
	assert_int_equal(res.after.id, 1);
	assert_int_equal(f->k.row[1].hits.packets, 0);
	/* and a restart keeps them */
	reopen(f);
	(void)ps_rule_store_attach(f->s, &f->k.view, TIME, BOOT, NULL);
	assert_int_equal(f->k.row[2].hits.packets, 10);
}

static void shows_counters(void **state)
{
	struct fixture *f = *state;
	_result_ res = {0};

	assert_int_equal(create(f, "{\"rule_type\": \"tcp\", \"dst_port\": 23}", &res, NULL), 0);
	f->k.row[0].hits = (struct ps_rule_hits){.packets = 10, .bytes = 600, .first_hit = 5 * MK_SEC};
	{
		_cleanup_(ps_value_free) struct ps_value *v =
			ps_rule_store_value(f->s, ps_rule_store_find(f->s, 0), TIME, 1700000000 * (int64_t)MK_SEC);

		assert_int_equal(ps_value_get_uint(v, "packets", 0), 10);
		assert_int_equal(ps_value_get_uint(v, "bytes", 0), 600);
		assert_string_equal(ps_value_get_string(v, "first_hit", ""), "2023-11-14T22:13:25.000000Z");
		assert_int_equal(ps_value_kind(ps_value_get(v, "last_hit")), PS_VALUE_NULL);
		assert_int_equal(ps_value_get_int(v, "dst_port", 0), 23);
	}
}

#define MANY 4096

static void many_rules(void **state)
{
	struct fixture *f = *state;
	_result_ res = {0};
	struct ps_error err = {0};

	/* The file is written whole at each change: put the rules there at once. */
	{
		char path[200];
		FILE *out;

		assert_int_equal(create(f, "{}", &res, NULL), 0);
		(void)snprintf(path, sizeof(path), "%s/rules.json", f->dir);
		out = fopen(path, "w");
		(void)fputs("{\"version\": 1, \"rules\": [", out);
		for (unsigned i = 0; i < MANY; i++)
			(void)fprintf(out,
				"%s{\"id\": %u, \"rule_type\": \"udp\", \"dst_port\": %u, \"enabled\": true}",
				i ? "," : "", i, i + 1);
		(void)fputs("]}", out);
		(void)fclose(out);
	}
	reopen(f);
	assert_int_equal(ps_rule_store_attach(f->s, &f->k.view, TIME, BOOT, NULL), 1);
	assert_int_equal(create(f, "{}", &res, &err), 0);
	assert_int_equal(res.after.id, MANY);
	assert_int_equal(remove_rule(f, 2000, &res, NULL), 0);
	assert_int_equal(create(f, "{}", &res, &err), 0);
	assert_int_equal(res.after.id, 2000);
	agree(f);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(ids_are_the_lowest_free),
		TEST(generations_move_only_with_the_set),
		TEST(merges_what_is_given),
		TEST(errors_change_nothing),
		TEST(without_a_kernel_nothing_is_accepted),
		TEST(a_disk_that_fails_leaves_the_kernel_alone),
		TEST(counters_belong_to_one_rule),
		TEST(shows_counters),
		TEST(many_rules),
	};

	return cmocka_run_group_tests(tests, tempdir_make, tempdir_remove);
}
