/* What no program would read. The file itself: test_options.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "cli/config_check.h"
#include "common/base/cleanup.h"
#include "common/base/options.h"
#include "tempdir.h"

struct settings {
	const char *interval;
	bool json;
};

static const struct ps_option up[] = {
	PS_OPT_STR("interval", 0, struct settings, interval, "5", "SECONDS", "between two summaries"),
	PS_OPT_DEED("json", 0, struct settings, json, "JSON"),
	PS_OPT_END,
};

static const struct ps_config_section sections[] = {
	{.name = "collector", .template = "[collector]\n\n# interfaces\n#iface = \n"},
	{.name = "gateway", .template = "[gateway]\n\n# where\n#api = :8080\n\n# who\n#api-x = 1\n"},
	{.name = "up", .options = up},
};

static int check(const char *text, struct ps_error *err)
{
	const char *path = tempdir_path("", "conf");
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	*err = (struct ps_error){0};
	return ps_config_check(path, sections, PS_ARRAY_SIZE(sections), err);
}

static void takes_what_is_known(void **state)
{
	static const char *const good[] = {"", "[packetscope]\niface=eth0\napi=:1\ninterval=2\n",
		"[collector]\niface = x\n[gateway]\napi-x=2\n", "[up]\ninterval = 9\n", "[collector]\n"};
	struct ps_error err;

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(good); i++)
		assert_int_equal(check(good[i], &err), 0);
}

static void names_what_is_not(void **state)
{
	static const struct {
		const char *text, *field, *message;
	} bad[] = {
		{"[gatway]\napi = :1\n", "gatway", "conf:2: no program reads a section [gatway]"},
		{"[gateway]\n\nap = :1\n", "ap", "conf:3: there is no option ap; `packetscope-gateway"},
		{"[gateway]\niface = eth0\n", "iface", "no option iface"},
		{"[packetscope]\nifaces = eth0\n", "ifaces", "no option ifaces"},
		{"[up]\njson = true\n", "json", "no option json"},
		{"[collector]\niface\n", "", "expected key = value"},
	};
	struct ps_error err;

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(bad); i++) {
		assert_int_equal(check(bad[i].text, &err), -EINVAL);
		assert_string_equal(err.field, bad[i].field);
		if (!strstr(err.message, bad[i].message))
			fail_msg("\"%s\" says nothing of \"%s\"", err.message, bad[i].message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_what_is_known),
		cmocka_unit_test(names_what_is_not),
	};

	return cmocka_run_group_tests(tests, tempdir_make, tempdir_remove);
}
