#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/program.h"

struct settings {
	const char *log_level;
	const char *word;
	bool version;
};

static const struct ps_option options[] = {
	PS_OPT_STR("log-level", 0, struct settings, log_level, "info", "LEVEL", "how much is said"),
	PS_OPT_STR("word", 0, struct settings, word, "none", "WORD", "a word"),
	PS_OPT_BOOL("version", 0, struct settings, version, "print the version"),
	PS_OPT_END,
};

static const struct ps_program program = {.name = "test-program", .about = "Is tested.", .options = options};

static void starts_and_refuses(void **state)
{
	static const struct {
		const char *flag;
		int status;
	} rows[] = {
		{"--word=given", PS_PROGRAM_GO},
		{"--log-level=debug", PS_PROGRAM_GO},
		{"--help", 0},
		{"--version", 0},
		{"--check-config", 0},
		{"--print-config", 0},
		{"--log-level=loud", 2},
		{"--no-such-option", 2},
		{"operand", 2},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		char name[] = "test-program", flag[32];
		char *argv[] = {name, flag, NULL};
		struct settings s = {0};

		(void)snprintf(flag, sizeof(flag), "%s", rows[i].flag);
		if (ps_program_begin(&program, 2, argv, &s, &s.log_level, &s.version) != rows[i].status)
			fail_msg("%s did not give %d", rows[i].flag, rows[i].status);
		if (i == 0)
			assert_string_equal(s.word, "given");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_and_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
