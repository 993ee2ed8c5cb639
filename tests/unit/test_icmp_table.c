/* ICMP counters: newest news win, the kernel's map as a whole is the truth. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "aggregator/icmp_table.h"
#include "bpf/limits.h"
#include "common/base/cleanup.h"

#define SEC 1000000000ull

static struct ps_icmp rec(uint32_t src, uint8_t type, uint64_t packets, uint64_t seen)
{
	struct ps_icmp i;

	memset(&i, 0, sizeof(i));
	i.src_ip = (struct ps_addr){.family = 4, .word = {src}};
	i.dst_ip = (struct ps_addr){.family = 4, .word = {7}};
	i.icmp_type = type;
	i.packets = packets;
	i.bytes = packets * 84;
	i.last_seen = seen;
	return i;
}

static int put(struct ps_icmp_table *t, uint32_t src, uint8_t type, uint64_t packets, uint64_t seen)
{
	struct ps_icmp i = rec(src, type, packets, seen);

	return ps_icmp_table_apply(t, &i);
}

static uint64_t packets_of(const struct ps_icmp_table *t, uint32_t src, uint8_t type)
{
	for (size_t i = 0; i < ps_icmp_table_count(t); i++) {
		const struct ps_icmp *p = ps_icmp_table_at(t, i);

		if (p->src_ip.word[0] == src && p->icmp_type == type)
			return p->packets;
	}
	return 0;
}

static void newest_wins(void **state)
{
	_cleanup_(ps_icmp_table_free) struct ps_icmp_table *t = NULL;

	(void)state;
	assert_int_equal(ps_icmp_table_new(&t), 0);
	assert_int_equal(put(t, 1, 8, 3, SEC), 1);
	assert_int_equal(put(t, 1, 8, 3, SEC), 0);
	assert_int_equal(put(t, 1, 8, 2, SEC), 0);
	/* an older event, its time converted by another program's clock */
	assert_int_equal(put(t, 1, 8, 2, SEC + 500), 0);
	assert_int_equal(put(t, 1, 0, 9, SEC), 1);
	assert_int_equal(put(t, 1, 8, 5, 2 * SEC), 1);
	assert_int_equal(packets_of(t, 1, 8), 5);
	assert_int_equal(packets_of(t, 1, 0), 9);
	/* the kernel recycled the entry and counts anew */
	assert_int_equal(put(t, 1, 8, 1, 9 * SEC), 1);
	assert_int_equal(packets_of(t, 1, 8), 1);
	assert_null(ps_icmp_table_at(t, 2));
}

/* The reply to the last request changes nothing else of its record. */
static void an_answer_is_news(void **state)
{
	_cleanup_(ps_icmp_table_free) struct ps_icmp_table *t = NULL;
	struct ps_icmp i = rec(1, 8, 3, SEC);

	(void)state;
	assert_int_equal(ps_icmp_table_new(&t), 0);
	i.answered = 2;
	assert_int_equal(ps_icmp_table_apply(t, &i), 1);
	i.answered = 3;
	assert_int_equal(ps_icmp_table_apply(t, &i), 1);
	assert_int_equal(ps_icmp_table_at(t, 0)->answered, 3);
	i.answered = 2; /* older news of it */
	assert_int_equal(ps_icmp_table_apply(t, &i), 0);
}

static void what_the_kernel_gave_up_goes(void **state)
{
	_cleanup_(ps_icmp_table_free) struct ps_icmp_table *t = NULL;

	(void)state;
	assert_int_equal(ps_icmp_table_new(&t), 0);
	for (uint32_t src = 0; src < 1000; src++)
		assert_int_equal(put(t, src, 8, src + 1, SEC), 1);
	ps_icmp_table_mark(t);
	for (uint32_t src = 0; src < 1000; src += 3)
		(void)put(t, src, 8, src + 1, SEC);
	ps_icmp_table_drop_unseen(t);
	assert_int_equal(ps_icmp_table_count(t), 334);
	for (uint32_t src = 0; src < 1000; src++) {
		assert_int_equal(packets_of(t, src, 8), src % 3 ? 0 : src + 1);
		/* and can still be found by key */
		if (src % 3 == 0)
			assert_int_equal(put(t, src, 8, src + 1, SEC), 0);
	}
	assert_int_equal(ps_icmp_table_count(t), 334);
}

static void is_bounded(void **state)
{
	_cleanup_(ps_icmp_table_free) struct ps_icmp_table *t = NULL;

	(void)state;
	assert_int_equal(ps_icmp_table_new(&t), 0);
	for (uint32_t src = 0; src < PS_ICMP_ENTRIES; src++)
		assert_int_equal(put(t, src, 8, 1, SEC), 1);
	assert_int_equal(put(t, PS_ICMP_ENTRIES, 8, 1, SEC), -ENOSPC);
	assert_int_equal(put(t, 5, 8, 2, SEC), 1);
	assert_int_equal(ps_icmp_table_count(t), PS_ICMP_ENTRIES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(newest_wins),
		cmocka_unit_test(an_answer_is_news),
		cmocka_unit_test(what_the_kernel_gave_up_goes),
		cmocka_unit_test(is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
