/* Community ID: the baseline values that its specification publishes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/model/community_id.h"

static struct ps_addr addr(const char *text)
{
	struct ps_addr a = {0};

	if (*text)
		assert_int_equal(ps_addr_parse(text, strlen(text), &a), 0);
	return a;
}

#define A6 "fe80:1:203:405:607:809:a0b:c0d"
#define B6 "fe80:1011:1213:1415:1617:1819:1a1b:1c1d"

static void check(uint16_t seed, uint8_t proto, const char *src, uint16_t sport, const char *dst, uint16_t dport,
	const char *expected)
{
	struct ps_addr a = addr(src), b = addr(dst);
	char text[PS_COMMUNITY_ID_TEXT];

	assert_string_equal(ps_community_id(seed, proto, &a, sport, &b, dport, text), expected);
}

static void flows(void **state)
{
	(void)state;
	check(0, 6, "1.2.3.4", 1122, "5.6.7.8", 3344, "1:wCb3OG7yAFWelaUydu0D+125CLM=");
	check(0, 6, "5.6.7.8", 3344, "1.2.3.4", 1122, "1:wCb3OG7yAFWelaUydu0D+125CLM=");
	check(0, 17, "1.2.3.4", 1122, "5.6.7.8", 3344, "1:0Mu9InQx6z4ZiCZM/7HXi2WMhOg=");
	check(0, 132, "5.6.7.8", 3344, "1.2.3.4", 1122, "1:EKt4MsxuyaE6mL+hmrEkQ9csDD8=");
	check(0, 46, "1.2.3.4", 0, "5.6.7.8", 0, "1:ikv3kmf89luf73WPz1jOs49S768=");
	check(1, 6, "1.2.3.4", 1122, "5.6.7.8", 3344, "1:HhA1B+6CoLbiKPEs5nhNYN4XWfk=");
	check(1, 17, "5.6.7.8", 3344, "1.2.3.4", 1122, "1:OShq+iKDAMVouh/4bMxB9Sz4amw=");
}

/* One address on both ends: the ports decide. */
static void equal_addresses(void **state)
{
	struct ps_addr a = addr("127.0.0.1");
	char one[PS_COMMUNITY_ID_TEXT], two[PS_COMMUNITY_ID_TEXT];

	(void)state;
	ps_community_id(0, 6, &a, 80, &a, 5000, one);
	ps_community_id(0, 6, &a, 5000, &a, 80, two);
	assert_string_equal(one, two);
	ps_community_id(0, 6, &a, 5001, &a, 80, two);
	assert_string_not_equal(one, two);
}

static void check_icmp(
	uint16_t seed, const char *src, const char *dst, uint8_t type, uint8_t code, const char *expected)
{
	struct ps_addr a = addr(src), b = addr(dst);
	char text[PS_COMMUNITY_ID_TEXT];

	assert_string_equal(ps_community_id_icmp(seed, &a, &b, type, code, text), expected);
}

static void icmp(void **state)
{
	(void)state;
	check_icmp(0, "1.2.3.4", "5.6.7.8", 8, 0, "1:crodRHL2FEsHjbv3UkRrfbs4bZ0=");
	check_icmp(0, "5.6.7.8", "1.2.3.4", 0, 0, "1:crodRHL2FEsHjbv3UkRrfbs4bZ0=");
	check_icmp(0, "1.2.3.4", "5.6.7.8", 11, 0, "1:f/YiSyWqczrTgfUCZlBUnvHRcPk=");
	check_icmp(1, "1.2.3.4", "5.6.7.8", 8, 0, "1:9pr4ZGTICiuZoIh90RRYE2RyXpU=");
	check_icmp(0, A6, B6, 128, 0, "1:0bf7hyMJUwt3fMED7z8LIfRpBeo=");
	check_icmp(0, B6, A6, 129, 0, "1:0bf7hyMJUwt3fMED7z8LIfRpBeo=");
	check_icmp(1, A6, B6, 128, 0, "1:IO27GQzPuCtNnwFvjWALMHu5tJE=");
}

/* Each pair is one flow, from either side; a type of the other family is none. */
static void icmp_pairs(void **state)
{
	static const uint8_t pairs4[][2] = {{8, 0}, {13, 14}, {15, 16}, {10, 9}, {17, 18}};
	static const uint8_t pairs6[][2] = {{128, 129}, {130, 131}, {133, 134}, {135, 136}, {139, 140}, {144, 145}};
	struct ps_addr a = addr("1.2.3.4"), b = addr("5.6.7.8"), a6 = addr(A6), b6 = addr(B6);
	char one[PS_COMMUNITY_ID_TEXT], two[PS_COMMUNITY_ID_TEXT];

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(pairs4); i++) {
		ps_community_id_icmp(0, &a, &b, pairs4[i][0], 0, one);
		assert_string_equal(one, ps_community_id_icmp(0, &b, &a, pairs4[i][1], 0, two));
		ps_community_id_icmp(0, &a6, &b6, pairs4[i][0], 0, one);
		assert_string_not_equal(one, ps_community_id_icmp(0, &b6, &a6, pairs4[i][1], 0, two));
	}
	for (size_t i = 0; i < PS_ARRAY_SIZE(pairs6); i++) {
		ps_community_id_icmp(0, &a6, &b6, pairs6[i][0], 0, one);
		assert_string_equal(one, ps_community_id_icmp(0, &b6, &a6, pairs6[i][1], 0, two));
	}
}

/* An error has a direction of its own. */
static void icmp_errors_keep_their_direction(void **state)
{
	struct ps_addr a = addr("1.2.3.4"), b = addr("5.6.7.8");
	char one[PS_COMMUNITY_ID_TEXT], two[PS_COMMUNITY_ID_TEXT];

	(void)state;
	ps_community_id_icmp(0, &a, &b, 3, 1, one);
	assert_string_not_equal(one, ps_community_id_icmp(0, &b, &a, 3, 1, two));
	assert_string_not_equal(one, ps_community_id_icmp(0, &a, &b, 3, 3, two));
}

static void no_addresses(void **state)
{
	(void)state;
	check(0, 6, "", 1, "1.2.3.4", 2, "");
	check(0, 6, "", 1, "", 2, "");
	check(0, 6, "1.2.3.4", 1, A6, 2, "");
	check_icmp(0, "1.2.3.4", A6, 8, 0, "");
	check_icmp(0, "", "", 3, 0, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flows),
		cmocka_unit_test(equal_addresses),
		cmocka_unit_test(icmp),
		cmocka_unit_test(icmp_pairs),
		cmocka_unit_test(icmp_errors_keep_their_direction),
		cmocka_unit_test(no_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
