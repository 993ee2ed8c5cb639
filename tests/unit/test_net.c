/* Networks: text, masks, and what is in what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/model/net.h"

static struct ps_net net(const char *text)
{
	struct ps_net n;

	if (ps_net_parse(text, strlen(text), &n))
		fail_msg("%s", text);
	return n;
}

static void text_and_back(void **state)
{
	static const struct {
		const char *text, *shown;
		bool masked;
	} rows[] = {
		{"10.0.0.0/8", "10.0.0.0/8", true},
		{"10.0.0.1", "10.0.0.1", true},
		{"10.0.0.1/32", "10.0.0.1", true},
		{"10.0.0.1/31", "10.0.0.1/31", false},
		{"0.0.0.0/0", "0.0.0.0/0", true},
		{"128.0.0.0/1", "128.0.0.0/1", true},
		{"::/0", "::/0", true},
		{"2001:db8::/32", "2001:db8::/32", true},
		{"2001:db8::1/32", "2001:db8::1/32", false},
		{"2001:db8::1/128", "2001:db8::1", true},
		{"2001:db8:8000::/33", "2001:db8:8000::/33", true},
		{"2001:db8:8000::/32", "2001:db8:8000::/32", false},
		{"fe80::/10", "fe80::/10", true},
		{"ff00::/8", "ff00::/8", true},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		struct ps_net n = net(rows[i].text);
		char text[PS_NET_TEXT];

		assert_string_equal(ps_net_format(&n, text), rows[i].shown);
		assert_int_equal(ps_net_is_masked(&n), rows[i].masked);
		ps_net_mask(&n);
		assert_true(ps_net_is_masked(&n));
	}
	assert_string_equal(ps_net_format(&(struct ps_net){0}, (char[PS_NET_TEXT]){0}), "any");
}

static void refusals(void **state)
{
	static const struct {
		const char *text;
		int error;
	} rows[] = {
		{"", -EINVAL},
		{"/", -EINVAL},
		{"/8", -EINVAL},
		{"10.0.0.0/", -EINVAL},
		{"10.0.0.0/+8", -EINVAL},
		{"10.0.0.0/8 ", -EINVAL},
		{"10.0.0.0/08", -EINVAL},
		{"10.0.0.0/0x8", -EINVAL},
		{"10.0.0.0/33", -ERANGE},
		{"10.0.0.0/999", -ERANGE},
		{"10.0.0.0/1000", -EINVAL},
		{"::/129", -ERANGE},
		{"::/-1", -EINVAL},
		{"10.0.0.0/8/8", -EINVAL},
		{"10/8", -EINVAL},
		{"x", -EINVAL},
		{"10.0.0.0/255.0.0.0", -EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		struct ps_net n = {.len = 77};

		if (ps_net_parse(rows[i].text, strlen(rows[i].text), &n) != rows[i].error)
			fail_msg("%s", rows[i].text);
		assert_int_equal(n.len, 77);
	}
	/* the length given is what is read */
	assert_int_equal(ps_net_parse("10.0.0.0/81", 10, &(struct ps_net){0}), 0);
	assert_int_equal(ps_net_parse("10.0.0.0/8", 9, &(struct ps_net){0}), -EINVAL);
}

static void inside(void **state)
{
	static const struct {
		const char *outer, *inner;
		bool contains;
	} rows[] = {
		{"10.0.0.0/8", "10.1.2.3", true},
		{"10.0.0.0/8", "11.0.0.0", false},
		{"10.0.0.0/8", "10.0.0.0/8", true},
		{"10.0.0.0/9", "10.0.0.0/8", false},
		{"0.0.0.0/0", "10.0.0.0/8", true},
		{"0.0.0.0/0", "::/0", false},
		{"::/0", "10.0.0.1", false},
		{"2001:db8::/63", "2001:db8:0:1::/64", true},
		{"2001:db8::/64", "2001:db8:0:1::/64", false},
		{"2001:db8::/127", "2001:db8::1", true},
		{"2001:db8::/127", "2001:db8::2", false},
	};
	struct ps_net any = {0}, some = net("10.0.0.1");

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		struct ps_net a = net(rows[i].outer), b = net(rows[i].inner);

		if (ps_net_contains(&a, &b) != rows[i].contains)
			fail_msg("%s, %s", rows[i].outer, rows[i].inner);
		assert_int_equal(ps_net_overlaps(&a, &b), rows[i].contains || ps_net_contains(&b, &a));
		if (b.len == ps_net_bits(b.addr.family))
			assert_int_equal(ps_net_has(&a, b.addr.family, b.addr.word), rows[i].contains);
	}
	assert_true(ps_net_contains(&any, &some));
	assert_false(ps_net_contains(&some, &any));
	assert_true(ps_net_has(&any, 6, some.addr.word));
}

/* Every length of both families, against the bits one by one. */
static void every_length(void **state)
{
	(void)state;
	srandom(5);
	for (int round = 0; round < 200; round++) {
		uint8_t family = round % 2 ? 4 : 6, bits = ps_net_bits(family);
		struct ps_addr a = {.family = family};

		for (int i = 0; i < bits / 32; i++)
			a.word[i] = (uint32_t)random() ^ (uint32_t)random() << 16;
		for (unsigned len = 0; len <= bits; len++) {
			struct ps_net n = {.addr = a, .len = (uint8_t)len};

			ps_net_mask(&n);
			assert_true(ps_net_has(&n, family, a.word));
			for (unsigned bit = 0; bit < bits; bit++) {
				struct ps_addr other = a;

				other.word[bit / 32] ^= htonl(0x80000000u >> bit % 32);
				assert_int_equal(ps_net_has(&n, family, other.word), bit >= len);
			}
		}
	}
}

static void order(void **state)
{
	static const char *const sorted[] = {
		"0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/9", "10.0.0.0", "10.0.0.1", "::/0", "2001:db8::/32"};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(sorted); i++) {
		for (size_t k = 0; k < PS_ARRAY_SIZE(sorted); k++) {
			struct ps_net a = net(sorted[i]), b = net(sorted[k]);
			int c = ps_net_compare(&a, &b);

			assert_true(i < k ? c < 0 : i > k ? c > 0 : c == 0);
			assert_int_equal(ps_net_equal(&a, &b), i == k);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_and_back),
		cmocka_unit_test(refusals),
		cmocka_unit_test(inside),
		cmocka_unit_test(every_length),
		cmocka_unit_test(order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
