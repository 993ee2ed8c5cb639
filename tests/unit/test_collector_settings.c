#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/limits.h"
#include "collector/settings.h"
#include "collector/watch.h"

static struct ps_settings settings;
static struct ps_error err;

static int read_words(const char *a, const char *b)
{
	char *words[4] = {(char *)"packetscope-collector", (char *)a, (char *)b, NULL};

	memset(&err, 0, sizeof(err));
	return ps_settings_read(b ? 3 : a ? 2 : 1, words, &settings, &err);
}

static void defaults(void **state)
{
	(void)state;
	assert_int_equal(read_words(NULL, NULL), 0);
	assert_int_equal(settings.max_connections, PS_CONNECTIONS_DEFAULT);
	assert_int_equal(settings.report_interval, PS_REPORT_INTERVAL_NS);
	assert_int_equal(settings.gid, getegid());
	assert_int_equal(settings.xdp_mode, PS_XDP_AUTO);
	assert_int_equal(settings.tc_mode, PS_TC_AUTO);
	assert_true(settings.keep_on_exit);
	assert_string_equal(settings.pin_root, "/sys/fs/bpf/packetscope");
	assert_string_equal(settings.run_dir, "/run/packetscope");
}

static void words(void **state)
{
	(void)state;
	assert_int_equal(read_words("--xdp-mode", "generic"), 0);
	assert_int_equal(settings.xdp_mode, PS_XDP_GENERIC);
	assert_int_equal(read_words("--tc-mode=clsact", NULL), 0);
	assert_int_equal(settings.tc_mode, PS_TC_CLSACT);
	assert_int_equal(read_words("--group", "990"), 0);
	assert_int_equal(settings.gid, 990);
	assert_int_equal(read_words("--group", "root"), 0);
	assert_int_equal(settings.gid, 0);
	assert_int_equal(read_words("--keep-on-exit=false", NULL), 0);
	assert_false(settings.keep_on_exit);
	assert_int_equal(read_words("--report-interval", "0.5"), 0);
	assert_int_equal(settings.report_interval, 500000000);
	assert_int_equal(read_words("--purge", "--detach"), 0);
}

static void refusals(void **state)
{
	static const struct {
		const char *a, *b, *field;
	} cases[] = {
		{"--xdp-mode", "offload", "xdp-mode"},
		{"--tc-mode", "tc", "tc-mode"},
		{"--log-level", "loud", "log-level"},
		{"--group", "nobody-has-this-name", "group"},
		{"--group", "-1", "group"},
		{"--group", "4294967295", "group"},
		{"--group", "99999999999999999999", "group"},
		{"--max-connections", "1", "max-connections"},
		{"--max-connections", "99999999999", "max-connections"},
		{"--report-interval", "0", "report-interval"},
		{"--purge", NULL, "purge"},
		{"operand", NULL, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(read_words(cases[i].a, cases[i].b), -EINVAL);
		assert_string_equal(err.field, cases[i].field);
		assert_int_equal(err.status, 400);
	}
	assert_int_equal(read_words("--help", NULL), -ECANCELED);
}

static int names(const char *text, struct ps_watch **ret_watch)
{
	const struct ps_watch_config config = {.names = text};

	memset(&err, 0, sizeof(err));
	return ps_watch_new(&config, NULL, NULL, ret_watch, &err);
}

static void interface_names(void **state)
{
	static const char *const bad[] = {
		"",
		",",
		"a,a",
		"a/b",
		"abcdefghijklmnop",
		"a b",
		".",
		"..",
		"x=\"y",
		"eth0,a\nb",
	};
	struct ps_watch *w = NULL;
	char out[PS_NAME_SIZE], many[PS_IFACES_MAX * 4 + 8] = "";
	unsigned wanted;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(names(bad[i], &w), -EINVAL);
		assert_string_equal(err.field, "iface");
		assert_null(w);
	}
	assert_int_equal(names("eth0,eth0.100,abcdefghijklmno,", &w), 0);
	assert_int_equal(ps_watch_attached(w, &wanted), 0);
	assert_int_equal(wanted, 3);
	assert_string_equal(ps_watch_name(w, 77, out), "if77");
	ps_watch_free(&w);
	for (unsigned i = 0; i <= PS_IFACES_MAX; i++)
		(void)sprintf(many + strlen(many), "e%02u,", i);
	assert_int_equal(names(many, &w), -EINVAL);
	many[PS_IFACES_MAX * 4] = 0;
	assert_int_equal(names(many, &w), 0);
	ps_watch_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(words),
		cmocka_unit_test(refusals),
		cmocka_unit_test(interface_names),
	};

	(void)setenv("PACKETSCOPE_CONFIG", "/dev/null", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
