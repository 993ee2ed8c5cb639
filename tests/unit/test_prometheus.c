/* The text that Prometheus reads, from a tree of numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "gateway/prometheus.h"

static char *write_tree(struct ps_buf *out, const char *json)
{
	_cleanup_(ps_value_free) struct ps_value *tree = NULL;

	assert_int_equal(ps_json_parse(json, strlen(json), &tree, NULL), 0);
	ps_prometheus_write(out, tree);
	return (char *)(uintptr_t)(ps_buf_str(out) ?: "");
}

static void numbers_of_every_shape(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	(void)state;
	assert_string_equal(
		write_tree(&out, "{\"up\":{\"gateway\":true,\"collector\":false},"
				 "\"stats\":{\"counters\":{\"packets\":9007199254740991,\"ev_icmp\":1},"
				 "\"ICMPTypeCounts\":[7],"
				 "\"ledger\":{\"icmp\":{\"produced\":3},\"broken_events\":4},"
				 "\"interfaces\":[{\"name\":\"a\\\"b\",\"attached\":true}],\"uptime\":1.5}}"),
		"# HELP packetscope_packets_total Packets seen, both directions, dropped ones included\n"
		"# TYPE packetscope_packets_total counter\n"
		"packetscope_packets_total 9007199254740991\n"
		"# HELP packetscope_up Whether the part answers\n"
		"# TYPE packetscope_up gauge\n"
		"packetscope_up{part=\"gateway\"} 1\n"
		"packetscope_up{part=\"collector\"} 0\n"
		"# HELP packetscope_icmp_messages_total ICMP (IPv4) messages by type, up to 15\n"
		"# TYPE packetscope_icmp_messages_total counter\n"
		"packetscope_icmp_messages_total{type=\"0\"} 7\n"
		"# HELP packetscope_interface_attached Whether our programs are on the interface\n"
		"# TYPE packetscope_interface_attached gauge\n"
		"packetscope_interface_attached{iface=\"a\\\"b\"} 1\n"
		"# HELP packetscope_events_produced_total Events that the kernel part made\n"
		"# TYPE packetscope_events_produced_total counter\n"
		"packetscope_events_produced_total{type=\"icmp\"} 3\n"
		"# HELP packetscope_broken_events_total Events that the collector could not read\n"
		"# TYPE packetscope_broken_events_total counter\n"
		"packetscope_broken_events_total 4\n"
		"# HELP packetscope_aggregator_uptime_seconds Since the aggregator was started\n"
		"# TYPE packetscope_aggregator_uptime_seconds gauge\n"
		"packetscope_aggregator_uptime_seconds 1.5\n");
}

static void what_is_no_number_is_left_out(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	(void)state;
	assert_string_equal(write_tree(&out, "{\"up\":\"yes\",\"stats\":[1],\"gateway\":{\"uptime\":null}}"), "");
}

static void rows_are_sound(void **state)
{
	(void)state;
	for (size_t i = 0; i < ps_n_metrics; i++) {
		const struct ps_metric *m = &ps_metrics[i];
		size_t len = strlen(m->name);
		bool total = len > 6 && !strcmp(m->name + len - 6, "_total");

		assert_int_equal(strspn(m->name, "abcdefghijklmnopqrstuvwxyz0123456789_"), len);
		assert_int_equal(total, m->type == PS_METRIC_COUNTER);
		assert_int_equal(strchr(m->path, '*') != NULL, m->label[0] != '\0');
		assert_true(m->help[0]);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(m->name, ps_metrics[k].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_of_every_shape),
		cmocka_unit_test(what_is_no_number_is_left_out),
		cmocka_unit_test(rows_are_sound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
