/* Addresses: text of both families (RFC 5952), what is refused, order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/model/addr.h"

static struct ps_addr parse(const char *text)
{
	struct ps_addr a = {0};

	if (ps_addr_parse(text, strlen(text), &a))
		fail_msg("%s did not parse", text);
	return a;
}

static void formats(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"0.0.0.0", "0.0.0.0"},
		{"255.255.255.255", "255.255.255.255"},
		{"10.99.100.9", "10.99.100.9"},
		{"::", "::"},
		{"::1", "::1"},
		{"1::", "1::"},
		{"2001:DB8::0:1", "2001:db8::1"},
		{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"}, /* a single zero is not shortened */
		{"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},          /* the longest run is */
		{"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},    /* the first of equals */
		{"0:0:1::", "0:0:1::"},
		{"1:0:0:2:3:4:5:6", "1::2:3:4:5:6"},
		{"fe80:0:0:0:0:0:0:0", "fe80::"},
		{"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
		{"::1.2.3.4", "::102:304"}, /* no mixed notation for what only looks like it */
		{"abcd:ef01:2345:6789:abcd:ef01:2345:6789", "abcd:ef01:2345:6789:abcd:ef01:2345:6789"},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		struct ps_addr a = parse(rows[i].in), again;
		char buf[PS_ADDR_TEXT];

		assert_string_equal(ps_addr_format(&a, buf), rows[i].out);
		again = parse(buf);
		assert_true(ps_addr_equal(&a, &again));
	}
}

static void none_is_empty(void **state)
{
	struct ps_addr none = {0};
	char buf[PS_ADDR_TEXT] = "x";

	(void)state;
	assert_string_equal(ps_addr_format(&none, buf), "");
	assert_int_equal(ps_addr_put(&none, buf), 0);
}

static void refuses(void **state)
{
	static const char *const rows[] = {"", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4/8",
		" 1.2.3.4", "1.2.3.4 ", "any", ":", ":::", "1::2::3", "12345::", "fe80::1%eth0", "2001:db8::/32",
		"1.2.3.4\n", "1111:2222:3333:4444:5555:6666:7777:8888:9999", "0x1.2.3.4",
		"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"};
	struct ps_addr a = {.family = 4, .word = {7}}, before = a;

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		if (ps_addr_parse(rows[i], strlen(rows[i]), &a) != -EINVAL)
			fail_msg("%s was taken", rows[i]);
	}
	assert_int_equal(ps_addr_parse("1.2.3.4\0x", 9, &a), -EINVAL);
	assert_memory_equal(&a, &before, sizeof(a));             /* changes only on success */
	assert_int_equal(ps_addr_parse("1.2.3.4567", 7, &a), 0); /* the length counts, not a NUL */
	assert_int_equal(a.word[0], htonl(0x01020304));
}

/* Every form of IPv6 that glibc writes must read back as the same address, and ours as well. */
static void agrees_with_inet_ntop(void **state)
{
	(void)state;
	srandom(1);
	for (int i = 0; i < 20000; i++) {
		char libc[INET6_ADDRSTRLEN], ours[PS_ADDR_TEXT];
		struct ps_addr a = {.family = 6}, b, c;

		for (int w = 0; w < 4; w++) {
			a.word[w] = (uint32_t)random() << 1 ^ (uint32_t)random();
			if (random() % 2)
				a.word[w] &= random() % 2 ? 0xffff0000 : 0x0000ffff;
			if (random() % 3 == 0)
				a.word[w] = 0;
		}
		assert_non_null(inet_ntop(AF_INET6, a.word, libc, sizeof(libc)));
		ps_addr_format(&a, ours);
		b = parse(libc);
		c = parse(ours);
		assert_true(ps_addr_equal(&a, &b) && ps_addr_equal(&a, &c));
		if (!strchr(libc, '.'))
			assert_string_equal(libc, ours);
		a.family = 4;
		a.word[1] = a.word[2] = a.word[3] = 0;
		assert_non_null(inet_ntop(AF_INET, a.word, libc, sizeof(libc)));
		assert_string_equal(ps_addr_format(&a, ours), libc);
	}
}

/* What the decoders' way takes is what ps_addr_parse takes and ps_addr_put writes, and nothing else. */
static void takes_our_own_ipv4(void **state)
{
	static const char signs[] = "0123456789..:/-aF \xff";
	unsigned taken = 0, refused = 0;

	(void)state;
	for (unsigned round = 0; round < 400000; round++) {
		uint8_t bytes[4] = {0};
		struct ps_addr got, asked;
		char exact[16], text[PS_ADDR_TEXT]; /* sixteen, so that a sanitizer sees a look behind them */
		size_t len;
		bool ours;

		for (int i = 0; i < 4; i++)
			bytes[i] = (uint8_t)(random() >> random() % 8);
		memset(exact, random() % 2 ? '.' : '7', sizeof(exact));
		len = (size_t)snprintf(text, sizeof(text), "%u.%u.%u.%u", bytes[0], bytes[1], bytes[2], bytes[3]);
		memcpy(exact, text, len);
		for (unsigned i = 0; i < round % 3; i++)
			exact[random() % (long)len] = signs[random() % (long)(sizeof(signs) - 1)];
		if (round % 7 == 0)
			len = (size_t)random() % (sizeof(exact) + 1);
		ours = !ps_addr_parse(exact, len, &asked) && ps_addr_put(&asked, text) == len &&
		       !memcmp(text, exact, len);
		assert_int_equal(ps_addr_take_ipv4(exact, len, &got), ours);
		if (ours)
			assert_memory_equal(&got, &asked, sizeof(got));
		taken += ours;
		refused += !ours;
	}
	assert_true(taken > 100000 && refused > 100000);
	for (size_t len = 17; len < 400; len++) { /* what a decoder may have read as a length */
		struct ps_addr got;

		assert_false(ps_addr_take_ipv4("1.2.3.4.5.6.7.8.", len, &got));
	}
}

static void order(void **state)
{
	static const char *const sorted[] = {
		"0.0.0.0", "1.2.3.4", "1.2.4.0", "10.0.0.0", "::", "::1", "2001:db8::1", "ff00::"};
	struct ps_addr none = {0};

	(void)state;
	assert_int_equal(ps_addr_compare(&none, &none), 0);
	for (size_t i = 0; i < PS_ARRAY_SIZE(sorted); i++) {
		struct ps_addr a = parse(sorted[i]);

		assert_true(ps_addr_compare(&none, &a) < 0 && ps_addr_compare(&a, &none) > 0);
		for (size_t j = 0; j < PS_ARRAY_SIZE(sorted); j++) {
			struct ps_addr b = parse(sorted[j]);
			int c = ps_addr_compare(&a, &b);

			assert_int_equal(c < 0 ? -1 : c > 0, i < j ? -1 : i > j);
			assert_int_equal(ps_addr_equal(&a, &b), i == j);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats),
		cmocka_unit_test(none_is_empty),
		cmocka_unit_test(refuses),
		cmocka_unit_test(agrees_with_inet_ntop),
		cmocka_unit_test(takes_our_own_ipv4),
		cmocka_unit_test(order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
