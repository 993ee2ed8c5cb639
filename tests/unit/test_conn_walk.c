/* Lists of connections read page by page while all of them move: each is met once. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/conn_walk.h"
#include "common/codec/json.h"
#include "tests/unit/memory_kernel.h"
#include "tests/unit/some_conn.h"

#define N 700
#define BEGAN (100 * MK_SEC)

static uint64_t rnd = 7;
static struct ps_conn_table *table;
static struct ps_conn_walks *walks;

static int setup(void **state)
{
	(void)state;
	table = some_table(&rnd, N, "ShADadFf", 500);
	assert_int_equal(ps_conn_walks_new(5000, &walks), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ps_conn_table_free(&table);
	ps_conn_walks_free(&walks);
	return 0;
}

static struct ps_conn_query query(const char *sort, const char *order, unsigned limit, const char *cursor)
{
	_cleanup_(ps_value_free) struct ps_value *args = NULL;
	struct ps_conn_query q;
	char text[512];

	(void)snprintf(text, sizeof(text), "{\"sort\": \"%s\", \"order\": \"%s\", \"limit\": %u, \"cursor\": \"%s\"}",
		sort, order, limit, cursor);
	assert_int_equal(ps_json_parse(text, strlen(text), &args, NULL), 0);
	assert_int_equal(ps_conn_query_parse(args, &q, NULL), 0);
	return q;
}

/* The status of an error, or 0. */
static int ask(const struct ps_conn_query *q, uint64_t now, struct ps_conn_page *ret_page)
{
	struct ps_error err = {0};
	int r = ps_conn_walks_page(walks, q, table, now, ret_page, &err);

	if (r == 0)
		return 0;
	assert_string_equal(err.field, "cursor");
	return err.status;
}

static struct ps_conn_walks_totals totals(void)
{
	struct ps_conn_walks_totals t;

	ps_conn_walks_totals(walks, &t);
	return t;
}

/* Every field, both ways, while nothing moves: each row once, in the order of one long page. */
static void pages_of_every_order(void **state)
{
	const struct ps_schema *schema = &ps_schemas[PS_RECORD_CONN];

	(void)state;
	for (size_t f = 0; f < 2 * schema->n_fields; f++) {
		const char *sort = schema->fields[f / 2].name, *order = f % 2 ? "asc" : "desc";
		struct ps_conn_page all, page = {.next = ""};
		struct ps_conn_query q = query(sort, order, 1000, "");
		size_t rows = 0;

		assert_int_equal(ask(&q, BEGAN, &all), 0);
		assert_int_equal(all.n, N - N / 10);
		assert_string_equal(all.next, "");
		do {
			q = query(sort, order, 97, page.next);
			assert_int_equal(ask(&q, BEGAN, &page), 0);
			assert_int_equal(page.total, N - N / 10);
			assert_int_equal(page.more, page.next[0] != '\0');
			for (size_t i = 0; i < page.n; i++)
				assert_ptr_equal(page.row[i], all.row[rows + i]);
			rows += page.n;
		} while (page.more);
		assert_int_equal(rows, all.n);
		ps_conn_walks_forget(walks, BEGAN + PS_WALK_NS);
	}
}

/* All that live get packets, and by those other times, counters, histories; some end, some begin. */
static void move_all(uint64_t *fresh)
{
	for (uint64_t id = 1; id <= N; id++) {
		struct ps_conn c = some_conn(&rnd, id * 16, "ShADadFf", 500);
		const struct ps_conn *known = ps_conn_table_find(table, id * 16, NULL);

		c.orig_packets = known->orig_packets + 1;
		c.src_ip = known->dst_ip; /* the ends change places: it was the other who began */
		c.dst_ip = known->src_ip;
		c.proto = known->proto;
		c.first_seen = known->first_seen;
		c.last_seen += 10 * MK_SEC;
		assert_true(ps_conn_table_apply(table, &c, id % 10 == 1 && mk_random(&rnd) % 20 == 0, 2) >= 0);
	}
	for (int i = 0; i < 10; i++) {
		struct ps_conn c = some_conn(&rnd, ++*fresh, "ShADadFf", 500);

		assert_int_equal(ps_conn_table_apply(table, &c, false, 2), PS_CHANGE_NEW);
	}
}

static void each_is_met_once_while_all_move(void **state)
{
	static const char *const sorts[] = {"last_seen", "orig_packets", "orig_bytes", "src_ip", "history", "duration",
		"loss", "rule_id", "src_port", "first_seen", "id", "iface"};
	uint64_t fresh = 16 * (N + 1);

	(void)state;
	for (unsigned f = 0; f < 4 * PS_ARRAY_SIZE(sorts); f++) {
		static unsigned met[N + 1];
		struct ps_conn_page page = {.next = ""};
		unsigned pages = 0;

		if (f % 8 == 0) {
			(void)teardown(NULL);
			(void)setup(NULL);
		}
		memset(met, 0, sizeof(met));
		do {
			struct ps_conn_query q =
				query(sorts[f / 4], f % 2 ? "asc" : "desc", f / 2 % 2 ? 31 : 130, page.next);

			assert_int_equal(ask(&q, BEGAN + pages++, &page), 0);
			for (size_t i = 0; i < page.n; i++) {
				bool ended = true;

				assert_ptr_equal(ps_conn_table_find(table, page.row[i]->id, &ended), page.row[i]);
				assert_false(ended);
				if (page.row[i]->id <= 16 * N)
					met[page.row[i]->id / 16]++;
			}
			move_all(&fresh);
		} while (page.more);
		assert_true(pages > 3);
		for (uint64_t id = 1; id <= N; id++) {
			bool ended = false;

			assert_non_null(ps_conn_table_find(table, 16 * id, &ended));
			assert_true(ended ? met[id] <= 1 : met[id] == 1);
		}
	}
}

/* A page that got lost on its way can be asked for again: the same connections, as they are now. */
static void a_page_can_be_asked_for_again(void **state)
{
	struct ps_conn_query q = query("last_seen", "desc", 50, "");
	struct ps_conn_page page, second, again;
	char third[PS_CURSOR_TEXT];
	uint64_t ids[50];

	(void)state;
	assert_int_equal(ask(&q, BEGAN, &page), 0);
	q = query("last_seen", "desc", 50, page.next);
	assert_int_equal(ask(&q, BEGAN, &second), 0);
	for (size_t i = 0; i < second.n; i++)
		ids[i] = second.row[i]->id;
	memcpy(third, second.next, sizeof(third));
	q = query("last_seen", "desc", 50, third);
	assert_int_equal(ask(&q, BEGAN, &page), 0);
	for (unsigned round = 0; round < 3; round++) {
		q = query("last_seen", "desc", 50, "");
		assert_int_equal(ask(&q, BEGAN, &page), 0);
	}
	/* Nothing was forgotten by that, but those that ended are passed over: here none may. */
	for (uint64_t id = 1; id <= N; id++) {
		struct ps_conn c = *ps_conn_table_find(table, id * 16, NULL);

		c.orig_packets++;
		c.last_seen += id;
		(void)ps_conn_table_apply(table, &c, false, 2);
	}
	q.has_cursor = true;
	q.walk.list = 5001;
	q.walk.at = 0;
	assert_int_equal(ask(&q, BEGAN, &again), 0);
	assert_int_equal(again.n, 50);
	assert_string_equal(again.next, third);
	for (size_t i = 0; i < again.n; i++)
		assert_int_equal(again.row[i]->id, ids[i]);
}

static void what_nobody_comes_for_is_forgotten(void **state)
{
	struct ps_conn_query q = query("last_seen", "desc", 50, "");
	struct ps_conn_page page, other;

	(void)state;
	assert_int_equal(ask(&q, BEGAN, &page), 0);
	assert_int_equal(totals().lists, 0);
	assert_true(totals().bytes >= 50 * 8);
	q = query("last_seen", "desc", 50, page.next);
	assert_int_equal(ask(&q, BEGAN + PS_WALK_NS - 1, &page), 0);
	assert_int_equal(totals().lists, 1);
	assert_true(totals().bytes >= 500 * 16);
	/* Each page keeps it for as long again. */
	q = query("last_seen", "desc", 50, page.next);
	assert_int_equal(ask(&q, BEGAN + 2 * PS_WALK_NS - 2, &other), 0);
	assert_int_equal(ask(&q, BEGAN + 3 * PS_WALK_NS - 3, &other), 0);
	assert_int_equal(ask(&q, BEGAN + 4 * PS_WALK_NS - 3, &other), 410);
	assert_int_equal(totals().lists, 0);
	assert_int_equal(totals().bytes, 0);
	assert_int_equal(totals().refused, 1);
	/* Of another run, or of nowhere. */
	q = query("last_seen", "desc", 50, "last_seen.d.0000000000000001.0000000000000000");
	assert_int_equal(ask(&q, BEGAN, &page), 410);
	/* A place behind the end is the end. */
	q = query("last_seen", "desc", 50, "");
	assert_int_equal(ask(&q, BEGAN, &page), 0);
	q = query("last_seen", "desc", 50, page.next);
	q.walk.at = UINT64_MAX;
	assert_int_equal(ask(&q, BEGAN, &page), 0);
	assert_int_equal(page.n, 0);
	assert_false(page.more);
}

static void first_pages_have_their_share_of_memory(void **state)
{
	char oldest[PS_CURSOR_TEXT], latest[PS_CURSOR_TEXT];
	struct ps_conn_query q = query("last_seen", "desc", 500, "");
	struct ps_conn_page page;

	(void)state;
	assert_int_equal(ask(&q, BEGAN, &page), 0);
	memcpy(oldest, page.next, sizeof(oldest));
	for (unsigned i = 0; i < PS_WALK_FIRST_BYTES / (500 * 8) + 10; i++) {
		assert_int_equal(ask(&q, BEGAN, &page), 0);
		assert_true(totals().bytes <= PS_WALK_FIRST_BYTES);
	}
	memcpy(latest, page.next, sizeof(latest));
	q = query("last_seen", "desc", 500, oldest);
	assert_int_equal(ask(&q, BEGAN, &page), 410);
	q = query("last_seen", "desc", 500, latest);
	assert_int_equal(ask(&q, BEGAN, &page), 0);
}

/* A list is taken away from a reader that sleeps, not from one that reads. */
static void lists_have_their_number(void **state)
{
	char cursor[PS_WALK_LISTS + 1][PS_CURSOR_TEXT];
	struct ps_conn_query q;
	struct ps_conn_page page;

	(void)state;
	for (unsigned i = 0; i <= PS_WALK_LISTS; i++) {
		q = query("orig_bytes", "desc", 20, "");
		assert_int_equal(ask(&q, BEGAN, &page), 0);
		memcpy(cursor[i], page.next, sizeof(cursor[i]));
		q = query("orig_bytes", "desc", 20, cursor[i]);
		assert_int_equal(ask(&q, BEGAN + i, &page), i < PS_WALK_LISTS ? 0 : 503);
	}
	assert_int_equal(totals().lists, PS_WALK_LISTS);
	assert_int_equal(totals().refused, 1);
	q = query("orig_bytes", "desc", 20, cursor[0]);
	assert_int_equal(ask(&q, BEGAN + PS_WALK_BUSY_NS, &page), 0);
	q = query("orig_bytes", "desc", 20, cursor[PS_WALK_LISTS]);
	assert_int_equal(ask(&q, BEGAN + PS_WALK_BUSY_NS + 1, &page), 0);
	q = query("orig_bytes", "desc", 20, cursor[1]); /* that was the one */
	assert_int_equal(ask(&q, BEGAN + PS_WALK_BUSY_NS + 1, &page), 410);
	q = query("orig_bytes", "desc", 20, cursor[0]);
	assert_int_equal(ask(&q, BEGAN + PS_WALK_BUSY_NS + 1, &page), 0);
}

/* What was left out at the beginning stays out. */
static void offsets(void **state)
{
	struct ps_conn_query q = query("last_seen", "desc", 1000, "");
	struct ps_conn_page all, page;
	size_t at = 100;

	(void)state;
	assert_int_equal(ask(&q, BEGAN, &all), 0);
	q = query("last_seen", "desc", 60, "");
	q.offset = at;
	for (;;) {
		assert_int_equal(ask(&q, BEGAN, &page), 0);
		for (size_t i = 0; i < page.n; i++)
			assert_ptr_equal(page.row[i], all.row[at + i]);
		at += page.n;
		if (!page.more)
			break;
		q = query("last_seen", "desc", 60, page.next);
		if (at == 220) { /* and in the middle of a walk */
			q.offset = 33;
			at += 33;
		}
	}
	assert_int_equal(at, all.n);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(pages_of_every_order),
		TEST(each_is_met_once_while_all_move),
		TEST(a_page_can_be_asked_for_again),
		TEST(what_nobody_comes_for_is_forgotten),
		TEST(first_pages_have_their_share_of_memory),
		TEST(lists_have_their_number),
		TEST(offsets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
