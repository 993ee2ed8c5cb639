/*
 * The detectors together: thresholds as options and in the documentation, one incident where several could see one,
 * clocks that jump, tables that are full. With PS_DETECT_SOURCES=100000 it also measures so many sources and prints the
 * figures of docs/detectors.md.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/file.h"
#include "common/base/options.h"
#include "tests/unit/detect_rig.h"

#define DOCUMENT "../../docs/detectors.md"

struct settings {
	struct ps_detect_config detect;
};

static const struct ps_option options[] = {
#define PS_THRESHOLD_NUMBER(...) PS_DETECT_OPTION_NUMBER(struct settings, detect, __VA_ARGS__)
#define PS_THRESHOLD_SECONDS(...) PS_DETECT_OPTION_SECONDS(struct settings, detect, __VA_ARGS__)
#include "common/detect/threshold.def"
	PS_OPT_END,
};

static void the_defaults_are_those_of_the_options(void **state)
{
	char name[] = "test", *argv[] = {name, NULL};
	int argc = 1;
	struct settings s;
	struct ps_detect_config defaults;

	(void)state;
	memset(&s, 0, sizeof(s));
	ps_detect_config_defaults(&defaults);
	assert_int_equal(ps_options_parse(options, "test", NULL, &argc, argv, &s, NULL), 0);
	assert_memory_equal(&s.detect, &defaults, sizeof(defaults));
	assert_int_equal(defaults.grace, 3 * PS_NSEC);
	assert_int_equal(defaults.scan_ports, 20);
}

static void out_of_range_is_refused(void **state)
{
	char name[] = "test", flag[] = "--detect-scan-ports=1", *argv[] = {name, flag, NULL};
	int argc = 2;
	struct settings s;
	struct ps_error err = {0};

	(void)state;
	assert_int_equal(ps_options_parse(options, "test", NULL, &argc, argv, &s, &err), -EINVAL);
	assert_string_equal(err.field, "detect-scan-ports");
}

/* Each row of the table, and no other, stands in the documentation as it is. */
static void the_documentation_lists_the_thresholds(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	const char *doc;
	size_t rows = 0, listed = 0;

	(void)state;
	assert_int_equal(ps_file_read(DOCUMENT, 1 << 20, &text), 0);
	doc = ps_buf_str(&text);
	for (const struct ps_option *o = options; o->name; o++, rows++) {
		char row[512];

		(void)snprintf(row, sizeof(row), "\n| `%s` | %s%s | %s |\n", o->name, o->fallback,
			o->type == PS_OPTION_SECONDS ? " s" : "", o->help);
		if (!strstr(doc, row))
			fail_msg("missing in docs/detectors.md:%s", row);
	}
	for (const char *p = doc; (p = strstr(p, "\n| `detect-")); p++)
		listed++;
	assert_int_equal(listed, rows);
}

static void the_documentation_names_every_kind(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;

	(void)state;
	assert_int_equal(ps_file_read(DOCUMENT, 1 << 20, &text), 0);
	for (unsigned k = 0; k < PS_FINDING_KINDS; k++) {
		char title[64];

		(void)snprintf(title, sizeof(title), "\n### %s\n", ps_finding_kind_name(k));
		if (!strstr(ps_buf_str(&text), title))
			fail_msg("no section %s", title);
	}
}

/* --- time ------------------------------------------------------------------------------------------ */

/* A capture that ends, or is silent, right after the attempts: they are judged as of then. */
static void what_came_before_a_silence(void **state)
{
	struct rig *rig = *state;

	for (uint16_t port = 1; port <= 30; port++)
		(void)rig_syn(rig, "198.51.100.7", "192.0.2.1", port);
	rig->now += 7200 * PS_NSEC;
	rig_session(rig, "10.0.0.1", "10.0.0.2", 443, 0, 100, 100);
	assert_int_equal(ps_detect_count(rig->detect), 1);
	assert_int_equal(ps_detect_finding(rig->detect, 0)->count, 30);
	/* And it is long over. */
	assert_false(ps_detect_finding(rig->detect, 0)->open);
}

static void finish_waits_for_nobody(void **state)
{
	struct rig *rig = *state;

	for (uint16_t port = 1; port <= 30; port++)
		(void)rig_syn(rig, "198.51.100.7", "192.0.2.1", port);
	assert_int_equal(ps_detect_count(rig->detect), 0);
	ps_detect_finish(rig->detect, rig->now);
	assert_int_equal(ps_detect_count(rig->detect), 1);
	assert_true(ps_detect_finding(rig->detect, 0)->open);
	assert_int_equal(ps_detect_finding(rig->detect, 0)->last, RIG_START);
}

static void a_clock_that_is_put_back(void **state)
{
	struct rig *rig = *state;
	struct ps_detect_totals totals;

	for (uint16_t port = 1; port <= 15; port++)
		(void)rig_syn(rig, "198.51.100.7", "192.0.2.1", port);
	rig_wait(rig, 10);
	rig->now -= 3600 * PS_NSEC;
	for (uint16_t port = 16; port <= 30; port++)
		(void)rig_syn(rig, "198.51.100.7", "192.0.2.1", port);
	rig_expect_none(rig);
	ps_detect_totals(rig->detect, &totals);
	assert_int_equal(totals.resets, 1);
	for (uint16_t port = 31; port <= 60; port++)
		(void)rig_syn(rig, "198.51.100.7", "192.0.2.1", port);
	(void)rig_expect_one(rig, PS_FINDING_PORT_SCAN, "198.51.100.7");
}

/* Two programs convert a time a moment apart. */
static void a_clock_that_trembles(void **state)
{
	struct rig *rig = *state;
	struct ps_detect_totals totals;

	for (uint16_t port = 1; port <= 30; port++) {
		rig->now += port % 2 ? 20 * PS_NSEC / 1000 : 0;
		(void)rig_syn(rig, "198.51.100.7", "192.0.2.1", port);
		rig->now -= port % 2 ? 10 * PS_NSEC / 1000 : 0;
	}
	(void)rig_expect_one(rig, PS_FINDING_PORT_SCAN, "198.51.100.7");
	ps_detect_totals(rig->detect, &totals);
	assert_int_equal(totals.resets, 0);
}

static void before_anything_was_heard(void **state)
{
	struct rig *rig = *state;

	ps_detect_tick(rig->detect, rig->now);
	ps_detect_finish(rig->detect, rig->now);
	assert_int_equal(ps_detect_count(rig->detect), 0);
}

/* --- room ------------------------------------------------------------------------------------------ */

static void from_source(struct rig *rig, uint32_t n, const char *dst, uint16_t port)
{
	struct ps_conn c = rig_conn(rig, IPPROTO_TCP, "10.0.0.1", 40000, dst, port);

	c.src_ip.word[0] = htonl(0x0b000000u + n);
	rig_new_conn(rig, &c);
}

/* Others use the machine too. */
static uint64_t cpu_time(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * PS_NSEC + (uint64_t)t.tv_nsec;
}

static uint64_t sources_asked(void)
{
	const char *text = getenv("PS_DETECT_SOURCES");

	return text ? strtoull(text, NULL, 10) : 3000;
}

/*
 * Every source opens a connection that is answered, one that is not, and pings; a scanner among them is found all the
 * same, and when all have gone the memory has too.
 */
static void many_sources(void **state)
{
	struct rig *rig = *state;
	uint64_t n = sources_asked(), started, spent = 0, records = 0;
	struct ps_detect_totals busy, idle;
	struct ps_icmp icmp = {.icmp_type = 8, .packets = 1, .bytes = 84, .dst_ip = rig_addr("192.0.2.1")};

	for (uint32_t i = 0; i < n; i++) {
		struct ps_conn c = rig_conn(rig, IPPROTO_TCP, "10.0.0.1", 40000, "192.0.2.1", 443);

		c.src_ip.word[0] = icmp.src_ip.word[0] = htonl(0x0b000000u + i);
		icmp.src_ip.family = 4;
		icmp.first_seen = icmp.last_seen = rig->now;
		started = cpu_time();
		rig_new_conn(rig, &c);
		rig_answer(rig, &c);
		rig_talk(rig, &c, 500, 500);
		rig_close(rig, &c);
		from_source(rig, i, "192.0.2.2", (uint16_t)(1 + i % 50000));
		ps_detect_icmp(rig->detect, &icmp, rig->now);
		spent += cpu_time() - started;
		records += 6;
		if (i % 50 == 0)
			(void)rig_syn(rig, "198.51.100.7", "192.0.2.3", (uint16_t)(1 + i / 50));
		/* a minute for all of them */
		rig->now += 60 * PS_NSEC / n;
		started = cpu_time();
		ps_detect_tick(rig->detect, rig->now);
		spent += cpu_time() - started;
	}
	rig_wait(rig, 5);
	ps_detect_totals(rig->detect, &busy);
	print_message(
		"%llu sources: %llu records, %llu ns each, %.1f MB, %llu tracks, %llu connections, %llu evicted\n",
		(unsigned long long)n, (unsigned long long)records, (unsigned long long)(spent / records),
		(double)busy.bytes / 1e6, (unsigned long long)busy.tracks, (unsigned long long)busy.connections,
		(unsigned long long)busy.evicted);
	assert_int_equal(ps_detect_count(rig->detect), 1);
	assert_int_equal(ps_detect_finding(rig->detect, 0)->kind, PS_FINDING_PORT_SCAN);
	assert_true(busy.bytes < 60u << 20);
	rig_wait(rig, 4000);
	ps_detect_totals(rig->detect, &idle);
	assert_int_equal(idle.tracks, 0);
	assert_int_equal(idle.connections, 0);
	assert_true(idle.bytes < busy.bytes / 2 && idle.bytes < 2u << 20);
	print_message("and when they have gone: %.1f MB\n", (double)idle.bytes / 1e6);
}

/* An attack from everywhere: full tables, and the memory stays within its bound. */
static void full_tables(void **state)
{
	struct rig *rig = *state;
	struct ps_detect_totals t;

	for (uint32_t i = 0; i < 300000; i++) {
		from_source(rig, i, "192.0.2.2", (uint16_t)(1 + i % 60000));
		if (i % 10000 == 0)
			rig_wait(rig, 1);
	}
	rig_wait(rig, 5);
	ps_detect_totals(rig->detect, &t);
	print_message("full: %.1f MB, %llu evicted\n", (double)t.bytes / 1e6, (unsigned long long)t.evicted);
	assert_true(t.evicted > 100000);
	assert_true(t.bytes < 60u << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_defaults_are_those_of_the_options),
		cmocka_unit_test(out_of_range_is_refused),
		cmocka_unit_test(the_documentation_lists_the_thresholds),
		cmocka_unit_test(the_documentation_names_every_kind),
		rig_test(what_came_before_a_silence),
		rig_test(finish_waits_for_nobody),
		rig_test(a_clock_that_is_put_back),
		rig_test(a_clock_that_trembles),
		rig_test(before_anything_was_heard),
		rig_test(many_sources),
		rig_test(full_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
