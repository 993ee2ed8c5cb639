/* Pages of a list of connections: filters, orders, pages that neither skip nor repeat. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/conn_page.h"
#include "common/codec/json.h"
#include "tests/unit/memory_kernel.h"
#include "tests/unit/some_conn.h"

#define N 700

static uint64_t rnd = 3;

static struct ps_conn_table *table;

static int setup(void **state)
{
	(void)state;
	table = some_table(&rnd, N, "S", 50);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ps_conn_table_free(&table);
	return 0;
}

static int parse(const char *text, struct ps_conn_query *q)
{
	_cleanup_(ps_value_free) struct ps_value *args = NULL;

	assert_int_equal(ps_json_parse(text, strlen(text), &args, NULL), 0);
	return ps_conn_query_parse(args, q, NULL);
}

static size_t count(const char *text)
{
	struct ps_conn_page page;
	struct ps_conn_query q;

	assert_int_equal(parse(text, &q), 0);
	assert_int_equal(ps_conn_page_read(&q, table, &page), 0);
	return page.total;
}

static void defaults(void **state)
{
	struct ps_conn_page page;
	struct ps_conn_query q;

	(void)state;
	assert_int_equal(ps_conn_query_parse(NULL, &q, NULL), 0);
	assert_int_equal(ps_conn_page_read(&q, table, &page), 0);
	assert_int_equal(page.n, 100);
	assert_int_equal(page.total, N - N / 10);
	assert_true(page.more);
	for (size_t i = 1; i < page.n; i++)
		assert_true(page.row[i - 1]->last_seen >= page.row[i]->last_seen);
}

static void filters(void **state)
{
	size_t position = 0, tcp = 0, replied = 0, port = 0, ip = 0, eth = 0, all = 0;
	const struct ps_conn *c;
	bool ended;

	(void)state;
	while ((c = ps_conn_table_next(table, &position, &ended))) {
		char key[PS_KEY_TEXT];

		all++;
		if (ended)
			continue;
		tcp += c->proto == IPPROTO_TCP;
		replied += c->state == PS_STATE_UNREPLIED;
		port += c->src_port == 40007 || c->dst_port == 40007;
		ip += c->src_ip.word[0] == htonl(0x0a000003);
		eth += strstr(ps_conn_key(c, key), "10.0.0.3:") != NULL;
	}
	assert_int_equal(count("{\"proto\": \"tcp\"}"), tcp);
	assert_int_equal(count("{\"proto\": \"6\"}"), tcp);
	assert_int_equal(count("{\"state\": \"unreplied\"}"), replied);
	assert_int_equal(count("{\"port\": 40007}"), port);
	assert_int_equal(count("{\"port\": \"40007\"}"), port);
	assert_int_equal(count("{\"ip\": \"10.0.0.3\"}"), ip);
	assert_true(ip > 0 && count("{\"ip\": \"2001:db8::3\"}") > 0);
	assert_int_equal(count("{\"q\": \"10.0.0.3:\"}"), eth);
	assert_int_equal(count("{\"q\": \"(TcP)\"}"), tcp);
	assert_int_equal(count("{\"q\": \"nowhere\"}"), 0);
	assert_int_equal(count("{\"ended\": true}"), all);
	assert_int_equal(count("{\"proto\": \"tcp\", \"state\": \"unreplied\"}"), 0);
}

/* Many more rows than a selection holds, in ascending, descending and random order of arrival, with many equal keys. */
static void many_more_rows_than_a_page(void **state)
{
	static const unsigned limits[] = {1000, 999, 137};
	enum {
		ROWS = 7 * PS_REQUEST_PAGE_MAX + 13
	};

	(void)state;
	for (unsigned how = 0; how < 18; how++) {
		_cleanup_(ps_conn_table_free) struct ps_conn_table *many = NULL;
		bool descending = how % 2;
		struct ps_conn_page page;
		struct ps_conn_query q;
		struct ps_conn last = {0};
		size_t rows = 0;

		assert_int_equal(ps_conn_table_new(ROWS, &many), 0);
		for (unsigned i = 0; i < ROWS; i++) {
			struct ps_conn c = {.id = i + 1};

			c.last_seen = how / 2 % 3 == 0   ? i / 3
				      : how / 2 % 3 == 1 ? ROWS - i / 3
							 : mk_random(&rnd) % 200;
			c.last_seen++;
			assert_int_equal(ps_conn_table_apply(many, &c, false, 1), PS_CHANGE_NEW);
		}
		assert_int_equal(parse(descending ? "{}" : "{\"order\": \"asc\"}", &q), 0);
		q.limit = limits[how / 6];
		do {
			assert_int_equal(ps_conn_page_read(&q, many, &page), 0);
			assert_int_equal(page.total, ROWS);
			for (size_t i = 0; i < page.n; i++) {
				const struct ps_conn *c = page.row[i];

				if (rows++ && c->last_seen == last.last_seen)
					assert_true(descending ? c->id < last.id : c->id > last.id);
				else if (rows > 1)
					assert_true(descending ? c->last_seen < last.last_seen
							       : c->last_seen > last.last_seen);
				last = *c;
			}
			q.cursor = last;
			q.has_cursor = true;
			assert_string_equal(page.next, "");
		} while (page.more);
		assert_int_equal(rows, ROWS);
	}
}

/* Any part of a long list by its offset is that part of the list that the cursor gives. */
static void offsets(void **state)
{
	static const size_t offsets[] = {0, 1, 99, 100, 101, 499, 530, 600, 629, 630, 5000};
	static const char *orders[] = {"last_seen", "src_ip", "id", "orig_bytes"};
	static uint64_t ids[N];

	(void)state;
	for (size_t f = 0; f < PS_ARRAY_SIZE(orders); f++) {
		struct ps_conn_page page;
		struct ps_conn_query q;
		char args[160];

		(void)snprintf(args, sizeof(args), "{\"sort\": \"%s\", \"limit\": 1000}", orders[f]);
		assert_int_equal(parse(args, &q), 0);
		assert_int_equal(ps_conn_page_read(&q, table, &page), 0);
		assert_int_equal(page.n, N - N / 10);
		for (size_t i = 0; i < page.n; i++)
			ids[i] = page.row[i]->id;
		for (size_t o = 0; o < PS_ARRAY_SIZE(offsets); o++) {
			size_t rest = offsets[o] < N - N / 10 ? N - N / 10 - offsets[o] : 0;

			q.limit = 100;
			q.offset = offsets[o];
			assert_int_equal(ps_conn_page_read(&q, table, &page), 0);
			assert_int_equal(page.total, N - N / 10);
			assert_int_equal(page.n, PS_MIN(rest, (size_t)100));
			assert_int_equal(page.more, rest > 100);
			for (size_t i = 0; i < page.n; i++)
				assert_int_equal(page.row[i]->id, ids[offsets[o] + i]);
		}
	}
}

static void orders_mean_what_they_say(void **state)
{
	struct ps_conn_page page;
	struct ps_conn_query q;

	(void)state;
	assert_int_equal(parse("{\"sort\": \"orig_bytes\", \"limit\": 1000}", &q), 0);
	assert_int_equal(ps_conn_page_read(&q, table, &page), 0);
	assert_true(page.row[0]->orig_bytes == UINT64_MAX - 1);
	for (size_t i = 1; i < page.n; i++)
		assert_true(page.row[i - 1]->orig_bytes >= page.row[i]->orig_bytes);
	assert_int_equal(parse("{\"sort\": \"rule_id\", \"order\": \"asc\", \"limit\": 1000}", &q), 0);
	assert_int_equal(ps_conn_page_read(&q, table, &page), 0);
	assert_int_equal(page.row[0]->rule_id, -1);
	for (size_t i = 1; i < page.n; i++)
		assert_true(page.row[i - 1]->rule_id <= page.row[i]->rule_id);
	assert_int_equal(parse("{\"sort\": \"loss\", \"order\": \"asc\", \"limit\": 1000}", &q), 0);
	assert_int_equal(ps_conn_page_read(&q, table, &page), 0);
	for (size_t i = 1; i < page.n; i++)
		assert_true(page.row[i - 1]->loss <= page.row[i]->loss);
	assert_int_equal(parse("{\"sort\": \"iface\", \"order\": \"asc\", \"limit\": 1000}", &q), 0);
	assert_int_equal(ps_conn_page_read(&q, table, &page), 0);
	for (size_t i = 1; i < page.n; i++)
		assert_true(strcmp(page.row[i - 1]->iface, page.row[i]->iface) <= 0);
}

/* The last row of a page is gone when the next one is asked for, and others came: rows that stayed are met once. */
static void pages_of_a_changing_table(void **state)
{
	static unsigned met[N + 1];
	char args[512], cursor[PS_CURSOR_TEXT] = "";
	uint64_t fresh = 100000;

	(void)state;
	memset(met, 0, sizeof(met));
	do {
		struct ps_conn_page page;
		struct ps_conn_query q;
		struct ps_conn c;

		(void)snprintf(
			args, sizeof(args), "{\"sort\": \"first_seen\", \"limit\": 50, \"cursor\": \"%s\"}", cursor);
		assert_int_equal(parse(args, &q), 0);
		assert_int_equal(ps_conn_page_read(&q, table, &page), 0);
		for (size_t i = 0; i < page.n; i++) {
			if (page.row[i]->id <= 16 * N)
				met[page.row[i]->id / 16]++;
		}
		(void)snprintf(cursor, sizeof(cursor), "%s", page.next);
		c = *page.row[page.n - 1];
		assert_true(ps_conn_table_apply(table, &c, true, 1) >= 0);
		for (int i = 0; i < 20; i++) {
			c = some_conn(&rnd, fresh++, "S", 50);
			(void)ps_conn_table_apply(table, &c, false, 1);
		}
	} while (*cursor);
	for (int i = 1; i <= N; i++)
		assert_int_equal(met[i], i % 10 != 0);
}

/* A scan meets what lives all the while exactly once, also rows that move meanwhile; others come and go. */
static void a_scan_of_a_changing_table(void **state)
{
	static unsigned met[N + 1];
	struct ps_conn_query q;
	struct ps_conn_page page;
	size_t position = 0;
	uint64_t fresh = 100000;
	bool more;

	(void)state;
	memset(met, 0, sizeof(met));
	assert_int_equal(parse("{\"limit\": 7}", &q), 0);
	do {
		more = ps_conn_page_scan(&q, table, &position, &page);
		assert_true(page.n <= 7 && (more || page.n < 7));
		for (size_t i = 0; i < page.n; i++) {
			if (page.row[i]->id <= 16 * N)
				met[page.row[i]->id / 16]++;
		}
		for (int i = 0; i < 5; i++) {
			struct ps_conn c =
				some_conn(&rnd, i ? fresh++ : 16 * (1 + mk_random(&rnd) % (N / 10) * 10), "S", 50);

			c.last_seen += 100 * MK_SEC;
			c.orig_packets += 100;
			(void)ps_conn_table_apply(table, &c, false, 1);
		}
	} while (more);
	for (int i = 1; i <= N; i++)
		assert_int_equal(met[i], i % 10 != 0);
	position = 0;
	assert_int_equal(parse("{\"port\": 1}", &q), 0);
	assert_false(ps_conn_page_scan(&q, table, &position, &page));
	assert_int_equal(page.n, 0);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(defaults),
		TEST(filters),
		TEST(many_more_rows_than_a_page),
		TEST(offsets),
		TEST(orders_mean_what_they_say),
		TEST(pages_of_a_changing_table),
		TEST(a_scan_of_a_changing_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
