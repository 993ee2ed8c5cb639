#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "collector/carry.h"

static struct ps_conn_tcp line_in(uint8_t state)
{
	return (struct ps_conn_tcp){
		.next_seq = {1000, 2000},
		.seq = {900, 1900},
		.ack = {1900, 900},
		.tcp_flags = {0x1b, 0x12},
		.wscale = {7, 8},
		.state = state,
		.started = 0x03 | 0x30 | 0x40, /* both began, both scale, side 0 has a hole */
		.rtt_side = 1,
		.rtt_us = 250,
		.retrans_bytes = {5, 6},
		.hole_start = {800, 0},
		.hole_end = {850, 0},
		.history = "ShADad",
	};
}

/* What was counted stays; where the sides are is learnt from their next segments, so that no gap is made up. */
static void an_established_line_learns_where_it_is(void **state)
{
	struct ps_conn_tcp from = line_in(PS_TCP_ESTABLISHED), to;

	(void)state;
	memset(&to, 0xff, sizeof(to));
	ps_carry_tcp_line(&from, sizeof(from), &to);
	assert_int_equal(to.state, PS_TCP_ESTABLISHED);
	assert_int_equal(to.started, 0x30);
	assert_int_equal(to.hole_start[0], to.hole_end[0]);
	assert_int_equal(to.rtt_side, 0xff);
	assert_int_equal(to.rtt_us, 250);
	assert_int_equal(to.wscale[1], 8);
	assert_int_equal(to.ack[0], 1900);
	assert_int_equal(to.retrans_bytes[1], 6);
	assert_memory_equal(to.history, "ShADad", 6);
}

static void a_handshake_goes_on(void **state)
{
	struct ps_conn_tcp from = line_in(PS_TCP_SYN_SENT), to;

	(void)state;
	ps_carry_tcp_line(&from, sizeof(from), &to);
	assert_int_equal(to.state, PS_TCP_SYN_SENT);
	assert_int_equal(to.started, from.started);
	assert_int_equal(to.next_seq[0], 1000);
}

/* A layout that became longer, and the way back. */
static void lines_of_other_lengths(void **state)
{
	struct {
		struct ps_conn_tcp line;
		char more[64];
	} longer = {.line = line_in(PS_TCP_ESTABLISHED), .more = "new"};
	struct ps_conn_tcp from = line_in(PS_TCP_ESTABLISHED), to;

	(void)state;
	ps_carry_tcp_line(&longer, sizeof(longer), &to);
	assert_memory_equal(to.history, "ShADad", 6);
	memset(&to, 0xff, sizeof(to));
	ps_carry_tcp_line(&from, offsetof(struct ps_conn_tcp, history), &to);
	assert_int_equal(to.retrans_bytes[0], 5);
	assert_int_equal(to.history[0], 0);
}

static void no_hit_is_lost_or_counted_twice(void **state)
{
	struct ps_rule_hits from = {.packets = 10, .bytes = 1000, .first_hit = 50, .last_hit = 90}, base = {0},
			    to = {0};

	(void)state;
	ps_carry_hits(&from, &base, &to, false);
	ps_carry_hits(&from, &base, &to, false);
	assert_memory_equal(&to, &from, sizeof(to));
	/* The programs change places: the new one counts, and the other has counted meanwhile. */
	from.packets += 3;
	from.bytes += 300;
	from.last_hit = 95;
	to.packets += 2;
	to.bytes += 200;
	to.last_hit = 99;
	ps_carry_hits(&from, &base, &to, true);
	assert_int_equal(to.packets, 15);
	assert_int_equal(to.bytes, 1500);
	assert_int_equal(to.first_hit, 50);
	assert_int_equal(to.last_hit, 99);
}

/* A rule that was never hit before the swap. */
static void the_first_hit_in_between(void **state)
{
	struct ps_rule_hits from = {0}, base = {0}, to = {0};

	(void)state;
	ps_carry_hits(&from, &base, &to, false);
	from = (struct ps_rule_hits){.packets = 1, .bytes = 60, .first_hit = 70, .last_hit = 70};
	to = (struct ps_rule_hits){.packets = 1, .bytes = 60, .first_hit = 80, .last_hit = 80};
	ps_carry_hits(&from, &base, &to, true);
	assert_int_equal(to.packets, 2);
	assert_int_equal(to.first_hit, 70);
	assert_int_equal(to.last_hit, 80);
}

/* A version with fewer counters: the arrays stand behind them. */
static void counters_come_at_the_end(void **state)
{
	const size_t names = offsetof(struct ps_stats, icmp_types) / 8, fewer = names - 2;
	struct ps_stats now = {0}, to;
	uint64_t before[sizeof(struct ps_stats) / 8 - 2];

	(void)state;
	for (size_t i = 0; i < sizeof(before) / 8; i++)
		before[i] = i + 1;
	ps_carry_stats_of(before, sizeof(before), &to);
	assert_int_equal(to.packets, 1);
	assert_int_equal(((uint64_t *)&to)[fewer - 1], fewer);
	assert_int_equal(((uint64_t *)&to)[fewer], 0);
	assert_int_equal(((uint64_t *)&to)[fewer + 1], 0);
	assert_int_equal(to.icmp_types[0], fewer + 1);
	assert_int_equal(to.icmp6_codes[255], sizeof(before) / 8);
	/* Nothing that could be one. */
	memset(&to, 0xff, sizeof(to));
	ps_carry_stats_of(before, 8, &to);
	assert_memory_equal(&to, &now, sizeof(to));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_established_line_learns_where_it_is),
		cmocka_unit_test(a_handshake_goes_on),
		cmocka_unit_test(lines_of_other_lengths),
		cmocka_unit_test(no_hit_is_lost_or_counted_twice),
		cmocka_unit_test(the_first_hit_in_between),
		cmocka_unit_test(counters_come_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
