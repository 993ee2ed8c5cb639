/* Block lists: what is read, what is refused and where, and back to text. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "common/limits.h"
#include "common/model/rule_list.h"
#include "tests/unit/rule_text.h"

#define _list_ _cleanup_(ps_rule_list_clear) struct ps_rule_list
#define _buf_ _cleanup_(ps_buf_free) struct ps_buf

/* The entries, joined by blanks. */
static const char *entries(const struct ps_rule_list *list, struct ps_buf *out)
{
	ps_buf_reset(out);
	for (size_t i = 0; i < list->n; i++) {
		char text[PS_NET_TEXT];

		ps_buf_addf(out, "%s%s", i ? " " : "", ps_net_format(&list->net[i], text));
	}
	return ps_buf_str(out);
}

static void what_is_read(void **state)
{
	static const struct {
		const char *text, *want;
		size_t duplicates;
	} rows[] = {
		{"", "", 0},
		{"\n\n", "", 0},
		{"# only\n; comments\n   \n\t# here", "", 0},
		{"10.0.0.1", "10.0.0.1", 0},
		{"10.0.0.2\n10.0.0.1\n", "10.0.0.1 10.0.0.2", 0},
		{"10.0.0.1\r\n10.0.0.2\r\n", "10.0.0.1 10.0.0.2", 0},
		{"  10.0.0.1\t# why\n1.10.16.0/20 ; SBL256894\n", "1.10.16.0/20 10.0.0.1", 0},
		{"10.0.0.1;why#both\n", "10.0.0.1", 0},
		{"10.0.0.1#;\n", "10.0.0.1", 0},
		{"2001:DB8::/32\n10.0.0.0/8\n::1", "10.0.0.0/8 ::1 2001:db8::/32", 0},
		{"10.0.0.1\n10.0.0.1\n10.0.0.1/32\n", "10.0.0.1", 2},
		{"10.0.0.0/8\n10.0.0.0/9\n10.0.0.0\n", "10.0.0.0/8 10.0.0.0/9 10.0.0.0", 0},
		{"\xef\xbb\xbf"
		 "10.0.0.1\n",
			"10.0.0.1", 0},
		/* ranges */
		{"10.0.0.0-10.0.0.255", "10.0.0.0/24", 0},
		{"10.0.0.1 - 10.0.0.6", "10.0.0.1 10.0.0.2/31 10.0.0.4/31 10.0.0.6", 0},
		{"10.0.0.5-10.0.0.5", "10.0.0.5", 0},
		{"0.0.0.0-127.255.255.255", "0.0.0.0/1", 0},
		{"255.255.255.254-255.255.255.255", "255.255.255.254/31", 0},
		{"128.0.0.0-255.255.255.255", "128.0.0.0/1", 0},
		{"9.255.255.255-10.0.0.0", "9.255.255.255 10.0.0.0", 0},
		{"2001:db8::-2001:db8::ffff", "2001:db8::/112", 0},
		{"2001:db8::ffff:ffff-2001:db8::1:0:0", "2001:db8::ffff:ffff 2001:db8::1:0:0", 0},
		{"10.0.0.0/24\n10.0.0.0-10.0.0.255", "10.0.0.0/24", 1},
	};
	_buf_ out = PS_BUF_INIT;

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		_list_ list = {0};
		struct ps_error err = {0};

		if (ps_rule_list_parse(rows[i].text, strlen(rows[i].text), &list, &err))
			fail_msg("%s: %s", rows[i].text, err.message);
		assert_string_equal(entries(&list, &out) ? entries(&list, &out) : "", rows[i].want);
		assert_int_equal(list.duplicates, rows[i].duplicates);
	}
}

static void refusals(void **state)
{
	static const struct {
		const char *text, *field, *hint;
	} rows[] = {
		{"10.0.0.1\nexample.com\n", "line 2", "example.com"},
		{"\r\n\r\n10.0.0.256", "line 3", "10.0.0.256"},
		{"10.0.0.1/8", "line 1", "write 10.0.0.0/8"},
		{"2001:db8::1/32", "line 1", "write 2001:db8::/32"},
		{"10.0.0.0/33", "line 1", "0 to 32"},
		{"10.0.0.1 10.0.0.2", "line 1", "one address"},
		{"10.0.0.1,10.0.0.2", "line 1", "one address"},
		{"10.0.0.9-10.0.0.1", "line 1", "swap the two"},
		{"10.0.0.1-2001:db8::1", "line 1", "same family"},
		{"10.0.0.1-", "line 1", "192.0.2.1-192.0.2.9"},
		{"-10.0.0.1", "line 1", "comments begin with #"},
		{"10.0.0.0/8-10.0.0.9", "line 1", "one address"},
		{"0.0.0.0/0", "line 1", "every address"},
		{"::/0", "line 1", "every address"},
		{"0.0.0.0-255.255.255.255", "line 1", "every address"},
		{"::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "line 1", "every address"},
		{"::ffff:10.0.0.1", "line 1", "as IPv4"},
		{"any", "line 1", "any"},
		{"<html>", "line 1", "<html>"},
		{"{\"src_ip\": \"10.0.0.1\"}", "line 1", "one address"},
		{"10.0.0.1\n\xff\xfe\n", "line 2", "\"\xe2\x80\xa6\""},
		{"1.2.3.4 // comment", "line 1", "comments begin with #"},
		{"deny 1.2.3.4;", "line 1", "deny"},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		struct ps_rule_list list = {.n = 77};
		struct ps_error err = {0};

		if (ps_rule_list_parse(rows[i].text, strlen(rows[i].text), &list, &err) != -EINVAL)
			fail_msg("%s was taken", rows[i].text);
		assert_string_equal(err.field, rows[i].field);
		if (!strstr(err.message, rows[i].hint) || !strstr(err.message, rows[i].field))
			fail_msg("%s: %s", rows[i].text, err.message);
		assert_true(strlen(err.message) < sizeof(err.message) - 1);
		assert_int_equal(list.n, 77);
	}
	{
		char zero[] = {'1', '.', '2', '.', '3', '.', '4', 0, '\n'};
		struct ps_rule_list list;

		assert_int_equal(ps_rule_list_parse(zero, sizeof(zero), &list, NULL), -EINVAL);
	}
}

/* Each address of a random range is in exactly one of its networks, and those around it are in none. */
static void ranges(void **state)
{
	(void)state;
	srandom(11);
	for (int round = 0; round < 400; round++) {
		uint32_t first = (uint32_t)random() % 70000, last = first + (uint32_t)random() % 3000;
		_list_ list = {0};
		char text[64];

		(void)snprintf(text, sizeof(text), "10.%u.%u.%u-10.%u.%u.%u", first >> 16, first >> 8 & 255,
			first & 255, last >> 16, last >> 8 & 255, last & 255);
		assert_int_equal(ps_rule_list_parse(text, strlen(text), &list, NULL), 0);
		assert_in_range(list.n, 1, 24);
		for (uint32_t a = first ? first - 1 : 0; a <= last + 1; a++) {
			uint32_t word[4] = {htonl(0x0a000000 + a)};
			unsigned in = 0;

			for (size_t i = 0; i < list.n; i++)
				in += ps_net_has(&list.net[i], 4, word);
			if (in != (a >= first && a <= last))
				fail_msg("%s: %u times %u", text, in, a);
		}
	}
}

static void limits(void **state)
{
	_buf_ text = PS_BUF_INIT;
	_list_ list = {0};
	struct ps_rule like = rule_of("{\"direction\":\"both\"}");
	struct ps_rules rules = {0};
	struct ps_error err;

	(void)state;
	for (unsigned i = 0; i <= PS_RULES_MAX; i++)
		ps_buf_addf(&text, "10.%u.%u.%u\n", i >> 16, i >> 8 & 255, i & 255);
	assert_int_equal(ps_rule_list_parse((char *)text.data, text.len, &list, &err), -E2BIG);
	assert_int_equal(err.status, 400);
	/* the same, all in one place */
	ps_buf_reset(&text);
	for (unsigned i = 0; i < PS_RULES_MAX; i++)
		ps_buf_adds(&text, "10.0.0.1\n10.0.0.2\n");
	assert_int_equal(ps_rule_list_parse((char *)text.data, text.len, &list, &err), 0);
	assert_int_equal(list.n, 2);
	assert_int_equal(list.duplicates, 2 * PS_RULES_MAX - 2);
	ps_rule_list_clear(&list);
	ps_buf_reset(&text);
	for (unsigned i = 0; i < PS_RULES_MAX / 2 + 1; i++)
		ps_buf_addf(&text, "10.%u.%u.%u\n", i >> 16, i >> 8 & 255, i & 255);
	assert_int_equal(ps_rule_list_parse((char *)text.data, text.len, &list, &err), 0);
	assert_int_equal(ps_rule_list_rules(&list, &like, &rules, &err), -E2BIG);
}

static void becomes_rules(void **state)
{
	static const char text[] = "10.0.0.0/8\n2001:db8::1\n";
	struct ps_rule in = rule_of("{\"enabled\":true,\"source\":\"import\",\"comment\":\"list\",\"ttl\":60}");
	struct ps_rule out = rule_of("{\"direction\":\"egress\"}"), both = rule_of("{\"direction\":\"both\"}");
	_cleanup_(ps_rules_clear) struct ps_rules a = {0}, b = {0}, c = {0};
	_list_ list = {0};

	(void)state;
	assert_int_equal(ps_rule_list_parse(text, sizeof(text) - 1, &list, NULL), 0);
	assert_int_equal(ps_rule_list_rules(&list, &in, &a, NULL), 0);
	assert_int_equal(a.n, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_true(ps_net_equal(&a.rule[i].src_ip, &list.net[i]));
		assert_int_equal(a.rule[i].dst_ip.addr.family, 0);
		assert_true(a.rule[i].enabled && a.rule[i].source == PS_SOURCE_IMPORT);
		assert_string_equal(ps_rule_comment(&a.rule[i]), "list");
		assert_int_equal(a.rule[i].expires_at, in.expires_at);
		assert_int_equal(a.rule[i].id, -1);
	}
	assert_int_equal(ps_rule_list_rules(&list, &out, &b, NULL), 0);
	assert_true(b.n == 2 && ps_net_equal(&b.rule[1].dst_ip, &list.net[1]) && !b.rule[1].src_ip.addr.family);
	/* from there coming in, to there going out */
	assert_int_equal(ps_rule_list_rules(&list, &both, &c, NULL), 0);
	assert_int_equal(c.n, 4);
	assert_true(c.rule[0].direction == PS_DIR_INGRESS && ps_net_equal(&c.rule[0].src_ip, &list.net[0]));
	assert_true(c.rule[1].direction == PS_DIR_EGRESS && ps_net_equal(&c.rule[1].dst_ip, &list.net[0]));
	assert_int_equal(c.rule[1].src_ip.addr.family, 0);
}

static void back_to_text(void **state)
{
	static const char *const listed[] = {
		"{\"enabled\":true,\"src_ip\":\"10.0.0.2\"}",
		"{\"enabled\":true,\"src_ip\":\"2001:db8::/32\",\"comment\":\"x\",\"priority\":4}",
		"{\"enabled\":true,\"dst_ip\":\"10.0.0.0/24\",\"direction\":\"egress\"}",
		"{\"enabled\":true,\"src_ip\":\"10.0.0.2\",\"ttl\":60}",
	};
	static const char *const left_out[] = {
		"{\"src_ip\":\"10.0.1.1\"}",
		"{\"enabled\":true,\"src_ip\":\"10.0.1.1\",\"action\":\"allow\"}",
		"{\"enabled\":true,\"src_ip\":\"10.0.1.1\",\"mode\":\"shadow\"}",
		"{\"enabled\":true,\"src_ip\":\"10.0.1.1\",\"rate_limit\":5}",
		"{\"enabled\":true,\"src_ip\":\"10.0.1.1\",\"rule_type\":\"tcp\"}",
		"{\"enabled\":true,\"src_ip\":\"10.0.1.1\",\"dst_port\":22}",
		"{\"enabled\":true,\"src_ip\":\"10.0.1.1\",\"dst_ip\":\"10.0.0.9\"}",
		"{\"enabled\":true,\"dst_ip\":\"10.0.1.1\"}", /* one's own address, as packets come in */
		"{\"enabled\":true,\"src_ip\":\"10.0.1.1\",\"direction\":\"both\"}",
		"{\"enabled\":true,\"src_ip\":\"0.0.0.0/0\"}",
		"{\"enabled\":true}",
		"{\"enabled\":true,\"src_ip\":\"10.0.1.1\",\"expires_at\":\"2020-01-01T00:00:00Z\",\"expired\":true}",
	};
	struct ps_rule rules[PS_ARRAY_SIZE(listed) + PS_ARRAY_SIZE(left_out)];
	_buf_ out = PS_BUF_INIT;
	_list_ list = {0};
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(listed); i++)
		rules[n++] = rule_of(listed[i]);
	for (size_t i = 0; i < PS_ARRAY_SIZE(left_out); i++)
		rules[n++] = rule_of(left_out[i]);
	assert_int_equal(ps_rule_list_write(rules, n, NOW, &out), 3);
	assert_string_equal(ps_buf_str(&out), "# Packet Scope: 3 networks that are dropped, of 16 rules\n10.0.0.0/24\n"
					      "10.0.0.2\n2001:db8::/32\n");
	assert_int_equal(ps_rule_list_parse((char *)out.data, out.len, &list, NULL), 0);
	assert_int_equal(list.n, 3);
	ps_buf_reset(&out);
	assert_int_equal(ps_rule_list_write(NULL, 0, NOW, &out), 0);
}

static void tells_lists_from_json(void **state)
{
	(void)state;
	assert_true(ps_rule_list_is_text("# x\n10.0.0.1", 12));
	assert_true(ps_rule_list_is_text("", 0));
	assert_false(ps_rule_list_is_text(" \r\n[", 4));
	assert_false(ps_rule_list_is_text("{", 1));
}

/* A hundred thousand lines, to entries, to rules and back to the same text. */
static void a_large_list(void **state)
{
	enum {
		N = PS_RULES_MAX < 100000 ? PS_RULES_MAX : 100000
	};
	struct ps_rule like = rule_of("{\"enabled\":true}");
	_cleanup_(ps_rules_clear) struct ps_rules rules = {0};
	_buf_ text = PS_BUF_INIT, again = PS_BUF_INIT;
	_list_ list = {0};
	struct timespec t0, t1, t2;
	double ms, all_ms;
	size_t head;

	(void)state;
	ps_buf_addf(&text, "# Packet Scope: %d networks that are dropped, of %d rules\n", N, N);
	head = text.len;
	for (uint32_t i = 0; i < N; i++)
		ps_buf_addf(&text, "10.%u.%u.%u\n", i >> 16, i >> 8 & 255, i & 255);
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
	assert_int_equal(ps_rule_list_parse((char *)text.data, text.len, &list, NULL), 0);
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t1);
	assert_int_equal(list.n, N);
	assert_int_equal(ps_rule_list_rules(&list, &like, &rules, NULL), 0);
	assert_int_equal(ps_rule_list_write(rules.rule, rules.n, NOW, &again), N);
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t2);
	assert_int_equal(text.len, again.len);
	assert_memory_equal(text.data, again.data, text.len);
	assert_true(head < text.len);
	ms = (double)(t1.tv_sec - t0.tv_sec) * 1e3 + (double)(t1.tv_nsec - t0.tv_nsec) / 1e6;
	all_ms = (double)(t2.tv_sec - t0.tv_sec) * 1e3 + (double)(t2.tv_nsec - t0.tv_nsec) / 1e6;
	print_message("%d lines in %.1f ms, with rules and back %.1f ms\n", N, ms, all_ms);
#if !defined(__SANITIZE_ADDRESS__)
	assert_true(ms < 100);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_read),
		TEST(refusals),
		TEST(ranges),
		TEST(limits),
		TEST(becomes_rules),
		TEST(back_to_text),
		TEST(tells_lists_from_json),
		TEST(a_large_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
