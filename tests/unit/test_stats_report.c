/* Every counter is in the report, under the names that clients know. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "aggregator/stats_report.h"
#include "common/base/cleanup.h"

static uint64_t at(const struct ps_value *v, const char *map, const char *key)
{
	return ps_value_get_uint(map ? ps_value_get(v, map) : v, key, UINT64_MAX);
}

static void check_interface(const struct ps_value *report, size_t i, const char *expected, bool attached)
{
	const struct ps_value *v = ps_value_at(ps_value_get(report, "interfaces"), i);
	char text[80];

	(void)snprintf(text, sizeof(text), "%s %u %s %s", ps_value_get_string(v, "name", ""),
		(unsigned)ps_value_get_uint(v, "ifindex", 0), ps_value_get_string(v, "mode", ""),
		ps_value_get_string(v, "egress", ""));
	assert_string_equal(text, expected);
	assert_int_equal(ps_value_get_bool(v, "attached", !attached), attached);
}

static void whole_report(void **state)
{
	static struct ps_stats stats;
	static struct ps_stats_sample before, after;
	struct ps_ledger ledger = {0};
	static const struct ps_kernel_iface ifaces[] = {
		{2, {.flags = PS_IFACE_XDP_GENERIC | PS_IFACE_CLSACT, .name = "eth0"}},
		{5, {.flags = PS_IFACE_INGRESS_ONLY | PS_IFACE_XDP_NATIVE, .name = "eth1"}},
		{7, {.flags = PS_IFACE_INGRESS_ONLY, .name = "eth2"}},
	};
	struct ps_sweep_result sweep = {.used = 41, .confirmed = 30, .half_open = 11};
	struct ps_stats_input in = {
		.stats = &stats,
		.before = &before,
		.after = &after,
		.ledger = &ledger,
		.sweep = &sweep,
		.conns = {.live = 40, .ended = 2, .refused = 1},
		.icmp_entries = 3,
		.slots = 82,
		.max_connections = 64,
		.generation = 5,
		.rules = 7,
		.rules_enabled = 6,
		.ifaces = ifaces,
		.n_ifaces = PS_ARRAY_SIZE(ifaces),
		.uptime = 2500000000ull,
		.created = 1700000000000000000ull,
		.now = 1700000001000000000ull,
	};
	_cleanup_(ps_value_free) struct ps_value *v = NULL;
	const struct ps_value *counters, *event;
	uint64_t n = 100;

	(void)state;
#define PS_STAT(name, help) stats.name = n++;
#include "bpf/stats.def"
#undef PS_STAT
	ledger.broken_requests = 8;
	ledger.late_requests = 9;
	stats.icmp_types[8] = 800;
	stats.icmp_types[15] = 1500;
	stats.icmp_codes[255] = 2550;
	before.time = 1000000000ull;
	after.time = 3000000000ull;
	after.stats.packets = 50;
	after.stats.bytes = 3000;
	for (int t = 0; t < 8; t++) {
		ledger.received[t] = 10 + (uint64_t)t;
		ledger.published[t] = 20 + (uint64_t)t;
		ledger.refused[t] = 30 + (uint64_t)t;
		ledger.applied[t] = 40 + (uint64_t)t;
		ledger.missed[t] = 50 + (uint64_t)t;
	}
	ledger.resyncs = 60;
	ledger.expired = 61;

	v = ps_stats_report(&in);
	assert_non_null(v);
	assert_int_equal(at(v, NULL, "TotalPackets"), stats.packets);
	assert_int_equal(at(v, NULL, "TotalBytes"), stats.bytes);
	assert_int_equal(at(v, NULL, "DroppedPackets"), stats.dropped_packets);
	assert_int_equal(at(v, NULL, "MalformedPackets"),
		stats.malformed_eth + stats.malformed_ip + stats.malformed_ext + stats.malformed_l4);
	assert_int_equal(at(v, NULL, "TCPRetrans"), stats.tcp_retrans);
	assert_int_equal(at(v, NULL, "TCPDuplicateAck"), stats.tcp_dup_acks);
	assert_int_equal(at(v, NULL, "TCPOutOfOrder"), stats.tcp_out_of_order);
	assert_int_equal(at(v, NULL, "TCPZeroWindow"), stats.tcp_zero_windows);
	assert_int_equal(at(v, NULL, "TCPSmallWindow"), stats.tcp_small_windows);
	assert_int_equal(ps_value_count(ps_value_get(v, "ICMPTypeCounts")), 16);
	assert_int_equal(ps_value_as_uint(ps_value_at(ps_value_get(v, "ICMPTypeCounts"), 8), 0), 800);
	assert_int_equal(ps_value_count(ps_value_get(v, "ICMPCodeCounts")), 256);
	assert_int_equal(ps_value_as_uint(ps_value_at(ps_value_get(v, "ICMPCodeCounts"), 255), 0), 2550);

	counters = ps_value_get(v, "counters");
#define PS_STAT(name, help) assert_int_equal(ps_value_get_uint(counters, #name, 0), stats.name);
#include "bpf/stats.def"
#undef PS_STAT
	assert_float_equal(ps_value_as_real(ps_value_get(ps_value_get(v, "rates"), "packets"), 0), 25, 1e-9);
	assert_float_equal(ps_value_as_real(ps_value_get(ps_value_get(v, "rates"), "bytes"), 0), 1500, 1e-9);
	assert_int_equal(at(v, "table", "slots"), 82);
	assert_int_equal(at(v, "table", "max_connections"), 64);
	assert_int_equal(at(v, "table", "used"), 41);
	assert_int_equal(at(v, "table", "confirmed"), 30);
	assert_int_equal(at(v, "table", "half_open"), 11);
	assert_float_equal(ps_value_as_real(ps_value_get(ps_value_get(v, "table"), "fill"), 0), 0.5, 1e-9);
	assert_int_equal(at(v, "table", "icmp"), 3);
	event = ps_value_get(ps_value_get(v, "ledger"), "conn.end");
	assert_int_equal(ps_value_get_uint(event, "produced", 0), stats.ev_conn_end);
	assert_int_equal(ps_value_get_uint(event, "ring_lost", 0), stats.lost_conn_end);
	assert_int_equal(ps_value_get_uint(event, "received", 0), 10 + PS_EV_CONN_END);
	assert_int_equal(ps_value_get_uint(event, "published", 0), 20 + PS_EV_CONN_END);
	assert_int_equal(ps_value_get_uint(event, "refused", 0), 30 + PS_EV_CONN_END);
	assert_int_equal(ps_value_get_uint(event, "applied", 0), 40 + PS_EV_CONN_END);
	assert_int_equal(ps_value_get_uint(event, "missed", 0), 50 + PS_EV_CONN_END);
	assert_int_equal(at(v, "ledger", "broken_events"), 10);
	assert_int_equal(at(v, "ledger", "resyncs"), 60);
	assert_int_equal(at(v, "ledger", "expired"), 61);
	assert_int_equal(at(v, "ledger", "broken_requests"), 8);
	assert_int_equal(at(v, "ledger", "late_requests"), 9);
	assert_int_equal(ps_value_count(ps_value_get(v, "interfaces")), 3);
	check_interface(v, 0, "eth0 2 generic clsact", true);
	check_interface(v, 1, "eth1 5 native none", true);
	check_interface(v, 2, "eth2 7 none none", false);
	assert_int_equal(at(v, "rules", "generation"), 5);
	assert_int_equal(at(v, "rules", "enabled"), 6);
	assert_float_equal(ps_value_as_real(ps_value_get(v, "uptime"), 0), 2.5, 1e-9);
	assert_string_equal(ps_value_get_string(v, "since", ""), "2023-11-14T22:13:20.000000Z");
}

static void rates_need_two_samples(void **state)
{
	static struct ps_stats stats;
	static struct ps_stats_sample before, after = {.time = 5, .stats.packets = 9};
	struct ps_ledger ledger = {0};
	struct ps_sweep_result sweep = {0};
	struct ps_stats_input in = {
		.stats = &stats, .before = &before, .after = &after, .ledger = &ledger, .sweep = &sweep};
	_cleanup_(ps_value_free) struct ps_value *v = ps_stats_report(&in);

	(void)state;
	assert_float_equal(ps_value_as_real(ps_value_get(ps_value_get(v, "rates"), "packets"), 1), 0, 1e-9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_report),
		cmocka_unit_test(rates_need_two_samples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
