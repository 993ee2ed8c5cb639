#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/options.h"
#include "tempdir.h"

struct settings {
	const char *iface;
	const char *run_dir;
	const char *none;
	bool keep;
	uint64_t size;
	uint64_t interval;
	const char *config;
	bool version;
};

static const struct ps_option table[] = {
	PS_OPT_STR("iface", 'i', struct settings, iface, "", "NAME[,NAME…]", "interfaces to watch"),
	PS_OPT_STR("run-dir", 0, struct settings, run_dir, "/run/packetscope", "DIR", "sockets"),
	PS_OPT_STR("none", 0, struct settings, none, NULL, "X", "has no default"),
	PS_OPT_BOOL("keep", 'k', struct settings, keep, "leave the kernel part"),
	PS_OPT_U64("max-connections", 0, struct settings, size, "65536", 1024, 4194304, "N", "size of the table"),
	PS_OPT_SECONDS("interval", 0, struct settings, interval, "5", PS_NSEC / 10, 3600 * PS_NSEC, "of the summary"),
	PS_OPT_DEED("version", 0, struct settings, version, "print the version"),
	PS_OPT_STR("config", 0, struct settings, config, "", "FILE", "configuration"),
	PS_OPT_END,
};

#define WORDS_MAX 16
static char *words[WORDS_MAX];
static int n_words;

/* Splits `line` at blanks into words[] and parses them. */
static int parse_with(const char *file, const char *line, struct settings *s, struct ps_error *e)
{
	static char text[512];
	(void)snprintf(text, sizeof(text), "prog %s", line);
	n_words = 0;
	for (char *w = strtok(text, " "); w && n_words < WORDS_MAX - 1; w = strtok(NULL, " "))
		words[n_words++] = w;
	words[n_words] = NULL;
	return ps_options_parse(table, "collector", file, &n_words, words, s, e);
}

static int parse(const char *line, struct settings *s, struct ps_error *e)
{
	return parse_with(NULL, line, s, e);
}

static const char *write_file(const char *text)
{
	const char *path = tempdir_path("", "conf");
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	(void)fputs(text, f);
	(void)fclose(f);
	return path;
}

static void defaults(void **state)
{
	(void)state;
	struct settings s;
	struct ps_error e = {0};
	memset(&s, 0xff, sizeof(s));
	assert_int_equal(parse("", &s, &e), 0);
	assert_string_equal(s.iface, "");
	assert_string_equal(s.run_dir, "/run/packetscope");
	assert_null(s.none);
	assert_false(s.keep);
	assert_int_equal(s.size, 65536);
	assert_int_equal(s.interval, 5 * PS_NSEC);
	assert_int_equal(n_words, 1);
}

static void every_form_of_a_flag(void **state)
{
	(void)state;
	static const char *const forms[] = {
		"--iface eth0", "--iface=eth0", "-iface eth0", "-iface=eth0", "-i eth0", "-ieth0"};
	for (size_t i = 0; i < PS_ARRAY_SIZE(forms); i++) {
		struct settings s = {0};
		struct ps_error e = {0};
		assert_int_equal(parse(forms[i], &s, &e), 0);
		assert_string_equal(s.iface, "eth0");
		assert_int_equal(n_words, 1);
	}
	struct settings s = {0};
	struct ps_error e = {0};
	assert_int_equal(parse("-iface a,b -interval 0.5 -k --max-connections 4096", &s, &e), 0);
	assert_string_equal(s.iface, "a,b");
	assert_int_equal(s.interval, PS_NSEC / 2);
	assert_true(s.keep);
	assert_int_equal(s.size, 4096);
	assert_int_equal(parse("--keep --keep=no", &s, &e), 0);
	assert_false(s.keep);
	assert_int_equal(parse("--iface a --iface b", &s, &e), 0);
	assert_string_equal(s.iface, "b");
}

static void operands_remain(void **state)
{
	(void)state;
	struct settings s = {0};
	struct ps_error e = {0};
	assert_int_equal(parse("one --iface eth0 two --keep three -- --iface x", &s, &e), 0);
	assert_string_equal(s.iface, "eth0");
	assert_true(s.keep);
	assert_int_equal(n_words, 6);
	static const char *const expected[] = {"prog", "one", "two", "three", "--iface", "x"};
	for (int i = 0; i < n_words; i++)
		assert_string_equal(words[i], expected[i]);
	assert_null(words[n_words]);
}

static void seconds_have_units(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t ns;
	} rows[] = {{"0.1", PS_NSEC / 10}, {"120s", 120 * PS_NSEC}, {"5m", 300 * PS_NSEC}, {"1h", 3600 * PS_NSEC},
		{"0.5h", 1800 * PS_NSEC}, {"1.000000001", PS_NSEC + 1}, {"1.0000000019", PS_NSEC + 1},
		{"007", 7 * PS_NSEC}};
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		struct settings s = {0};
		struct ps_error e = {0};
		char line[64];
		(void)snprintf(line, sizeof(line), "--interval %s", rows[i].text);
		assert_int_equal(parse(line, &s, &e), 0);
		assert_int_equal(s.interval, rows[i].ns);
	}
}

static void wrong_values_name_the_option_and_change_nothing(void **state)
{
	(void)state;
	static const struct {
		const char *line, *field, *message;
	} rows[] = {
		{"--interval 0.09", "interval", "from 0.1 to 3600"},
		{"--interval 2h", "interval", "\"2h\" (the command line)"},
		{"--interval 5x", "interval", "seconds"},
		{"--interval .5", "interval", "seconds"},
		{"--interval 5.", "interval", "seconds"},
		{"--interval -1", "interval", "seconds"},
		{"--interval 99999999999999999999", "interval", "seconds"},
		{"--interval 18446744073.8", "interval", "seconds"},
		{"--interval 18446744074", "interval", "seconds"}, /* 0.29 s, modulo 2^64 ns */
		{"--max-connections 1023", "max-connections", "a whole number from 1024 to 4194304"},
		{"--max-connections 4194305", "max-connections", "4194304"},
		{"--max-connections 0x1000", "max-connections", "whole"},
		{"--max-connections 18446744073709551617", "max-connections", "whole"},
		{"--keep=maybe", "keep", "true or false"},
		{"--nonsense", "nonsense", "no option --nonsense"},
		{"-z", "z", "no option -z"},
		{"--iface", "iface", "needs a value"},
		{"--i eth0", "i", "ambiguous"},
		{"--config /nowhere/at/all", "config", "/nowhere/at/all"},
	};
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		struct settings s = {.iface = "before", .size = 1};
		struct ps_error e = {0};
		assert_int_equal(parse(rows[i].line, &s, &e), -EINVAL);
		assert_string_equal(e.field, rows[i].field);
		assert_int_equal(e.status, 400);
		if (!strstr(e.message, rows[i].message))
			fail_msg("%s: \"%s\" says nothing of \"%s\"", rows[i].line, e.message, rows[i].message);
		assert_string_equal(s.iface, "before");
		assert_int_equal(s.size, 1);
	}
}

static void flag_beats_environment_beats_file(void **state)
{
	(void)state;
	struct settings s = {0};
	struct ps_error e = {0};
	const char *path = write_file("# comment\n"
				      "[packetscope]\n"
				      "  run-dir = /common\n"
				      "iface=common0\n"
				      "other-program-s-key = 1\n"
				      "\n"
				      "[collector]\n"
				      "\tiface = \"file0\"\n"
				      "keep = yes\r\n"
				      "[ packetscope ]\n"
				      "iface = later0\n"
				      "[gateway]\n"
				      "whatever is here; it is the gateway's\n");
	assert_int_equal(parse_with(path, "", &s, &e), 0);
	assert_string_equal(s.run_dir, "/common");
	assert_string_equal(s.iface, "file0");
	assert_true(s.keep);

	(void)setenv("PACKETSCOPE_IFACE", "env0", 1);
	(void)setenv("PACKETSCOPE_RUN_DIR", "", 1);
	(void)setenv("PACKETSCOPE_KEEP", "0", 1);
	assert_int_equal(parse_with(path, "", &s, &e), 0);
	assert_string_equal(s.iface, "env0");
	assert_string_equal(s.run_dir, "/common");
	assert_false(s.keep);
	assert_int_equal(parse_with(path, "--iface flag0 --keep", &s, &e), 0);
	assert_string_equal(s.iface, "flag0");
	assert_true(s.keep);

	(void)setenv("PACKETSCOPE_INTERVAL", "soon", 1);
	assert_int_equal(parse_with(path, "", &s, &e), -EINVAL);
	assert_non_null(strstr(e.message, "PACKETSCOPE_INTERVAL"));
	(void)unsetenv("PACKETSCOPE_IFACE");
	(void)unsetenv("PACKETSCOPE_RUN_DIR");
	(void)unsetenv("PACKETSCOPE_KEEP");
	(void)unsetenv("PACKETSCOPE_INTERVAL");
}

static void which_file_is_read(void **state)
{
	(void)state;
	struct settings s = {0};
	struct ps_error e = {0};
	char line[160];
	const char *path = write_file("[collector]\niface = file0\n");
	assert_int_equal(parse_with(tempdir_path("", "not-there"), "", &s, &e), 0);
	assert_string_equal(s.iface, "");
	(void)snprintf(line, sizeof(line), "--config %s", path);
	assert_int_equal(parse_with(tempdir_path("", "not-there"), line, &s, &e), 0);
	assert_string_equal(s.iface, "file0");
	assert_string_equal(s.config, path);
	(void)setenv("PACKETSCOPE_CONFIG", path, 1);
	assert_int_equal(parse("", &s, &e), 0);
	assert_string_equal(s.iface, "file0");
	assert_int_equal(parse("--config /nowhere", &s, &e), -EINVAL);
	(void)unsetenv("PACKETSCOPE_CONFIG");
}

static void wrong_files_name_the_line(void **state)
{
	(void)state;
	static const struct {
		const char *text, *message;
	} rows[] = {
		{"iface = eth0\n", "conf:1: "},
		{"[collector]\n\n# x\nifaec = eth0\n", "conf:4: there is no option ifaec"},
		{"[collector]\niface\n", "conf:2: expected key = value"},
		{"[packetscope]\nmax-connections = many\n", "conf:2)"},
		{"[collector\niface = x\n", "conf:1: "},
	};
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		struct settings s = {0};
		struct ps_error e = {0};
		assert_int_equal(parse_with(write_file(rows[i].text), "", &s, &e), -EINVAL);
		if (!strstr(e.message, rows[i].message))
			fail_msg("\"%s\" says nothing of \"%s\"", e.message, rows[i].message);
	}
}

static void lines_of_any_length(void **state)
{
	(void)state;
	char text[2048] = "[collector]\niface = ";
	for (int i = 0; i < 200; i++)
		strcat(text, "eth0,");
	strcat(text, "last\n");
	struct settings s = {0};
	struct ps_error e = {0};
	assert_int_equal(parse_with(write_file(text), "", &s, &e), 0);
	assert_int_equal(strlen(s.iface), 1004);
}

/* PACKETSCOPE_VERSION is what a compose file may well set for its images. */
static void deeds_are_flags_only(void **state)
{
	(void)state;
	struct settings s = {0};
	struct ps_error e = {0};
	assert_int_equal(setenv("PACKETSCOPE_VERSION", "1.2", 1), 0);
	assert_int_equal(parse("", &s, &e), 0);
	assert_false(s.version);
	assert_int_equal(unsetenv("PACKETSCOPE_VERSION"), 0);
	assert_int_equal(parse_with(write_file("[packetscope]\nversion = true\n"), "", &s, &e), 0);
	assert_false(s.version);
	assert_int_equal(parse_with(write_file("[collector]\nversion = true\n"), "", &s, &e), -EINVAL);
	assert_int_equal(parse("--version", &s, &e), 0);
	assert_true(s.version);
}

static void template_is_read_back(void **state)
{
	(void)state;
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	struct settings s = {0};
	struct ps_error e = {0};
	ps_options_template(table, "collector", &out);
	char *text = strdup(ps_buf_str(&out));
	assert_non_null(text);
	assert_non_null(strstr(text, "[collector]\n"));
	assert_non_null(strstr(text, "\n#run-dir = /run/packetscope\n"));
	assert_null(strstr(text, "version"));
	assert_null(strstr(text, "#config"));
	/* Every line that names an option may lose its mark. */
	for (char *p = strstr(text, "\n#"); p; p = strstr(p + 1, "\n#")) {
		if (p[2] != ' ')
			p[1] = ' ';
	}
	assert_int_equal(parse_with(write_file(text), "", &s, &e), 0);
	assert_string_equal(s.run_dir, "/run/packetscope");
	assert_int_equal(s.interval, 5 * PS_NSEC);
	free(text);
}

static void help(void **state)
{
	(void)state;
	struct settings s = {.iface = "before"};
	struct ps_error e = {0};
	assert_int_equal(parse("--iface x --help", &s, &e), -ECANCELED);
	assert_int_equal(parse("-h", &s, &e), -ECANCELED);
	assert_string_equal(s.iface, "before");

	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	ps_options_help(table, &out);
	const char *text = ps_buf_str(&out);
	assert_non_null(strstr(text, "  -i, --iface NAME[,NAME…]    interfaces to watch\n"));
	assert_non_null(strstr(text, "      --run-dir DIR           sockets (/run/packetscope)\n"));
	assert_non_null(strstr(text, "  -k, --keep                  leave the kernel part\n"));
	assert_non_null(strstr(text, "      --interval SECONDS      of the summary (5)\n"));
	assert_non_null(strstr(text, "  -h, --help                  show this\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(every_form_of_a_flag),
		cmocka_unit_test(operands_remain),
		cmocka_unit_test(seconds_have_units),
		cmocka_unit_test(wrong_values_name_the_option_and_change_nothing),
		cmocka_unit_test(flag_beats_environment_beats_file),
		cmocka_unit_test(which_file_is_read),
		cmocka_unit_test(wrong_files_name_the_line),
		cmocka_unit_test(lines_of_any_length),
		cmocka_unit_test(deeds_are_flags_only),
		cmocka_unit_test(template_is_read_back),
		cmocka_unit_test(help),
	};
	return cmocka_run_group_tests(tests, tempdir_make, tempdir_remove);
}
