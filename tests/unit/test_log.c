#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/log.h"

static int real_stderr = -1, captured = -1;

static void capture(void)
{
	captured = memfd_create("log", MFD_CLOEXEC);
	real_stderr = dup(STDERR_FILENO);
	assert_true(captured >= 0 && real_stderr >= 0);
	assert_true(dup2(captured, STDERR_FILENO) >= 0);
}

static const char *release(void)
{
	static char text[16384];
	(void)dup2(real_stderr, STDERR_FILENO);
	(void)close(real_stderr);
	ssize_t n = pread(captured, text, sizeof(text) - 1, 0);
	(void)close(captured);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void assert_matches(const char *text, const char *pattern)
{
	regex_t re;
	assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	int r = regexec(&re, text, 0, NULL, 0);
	regfree(&re);
	if (r != 0)
		fail_msg("\"%s\" does not match %s", text, pattern);
}

static void a_line_is_key_value(void **state)
{
	(void)state;
	capture();
	ps_log_setup("collector", PS_LOG_INFO);
	ps_log(PS_LOG_INFO, "attached", "iface=%s mode=%s", "eth0", "native");
	ps_log(PS_LOG_DEBUG, "not written", NULL);
	assert_matches(release(), "^ts=[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z level=info "
				  "prog=collector msg=\"attached\" iface=eth0 mode=native\n$");
}

static void levels(void **state)
{
	(void)state;
	enum ps_log_level level = PS_LOG_INFO;
	assert_int_equal(ps_log_level_parse("debug", &level), 0);
	assert_int_equal(level, PS_LOG_DEBUG);
	assert_int_equal(ps_log_level_parse("error", &level), 0);
	assert_int_equal(level, PS_LOG_ERROR);
	assert_int_equal(ps_log_level_parse("Error", &level), -EINVAL);
	assert_int_equal(level, PS_LOG_ERROR);

	capture();
	ps_log_setup("p", PS_LOG_ERROR);
	ps_log(PS_LOG_WARN, "quiet", NULL);
	ps_log(PS_LOG_ERROR, "loud", NULL);
	assert_matches(release(), "^[^\n]* msg=\"loud\"\n$");
}

static void nobody_can_forge_a_line(void **state)
{
	(void)state;
	capture();
	ps_log_setup("p", PS_LOG_INFO);
	ps_log(PS_LOG_INFO, "say \"hi\"\\", "who=\"%s\"", "a\nlevel=error \x1b[2J\x7f\xc2\x9b é");
	assert_matches(release(),
		"msg=\"say \\\\\"hi\\\\\"\\\\\\\\\" who=\"a\\\\nlevel=error \\\\x1b\\[2J\\\\x7f\\\\u009b é\"\n$");
}

static void a_failure_tells_all_it_knows(void **state)
{
	(void)state;
	struct ps_error e;
	(void)ps_error_set(&e, -EBUSY, 409, "busy", "iface", "eth0 is \"taken\"");
	capture();
	ps_log_setup("p", PS_LOG_INFO);
	ps_log_failure("cannot attach", -EBUSY, &e);
	ps_log_failure("cannot start", -ENOMEM, NULL);
	assert_matches(release(),
		"^[^\n]*level=error prog=p msg=\"cannot attach\" errno=\"Device or resource busy\" code=\"busy\" "
		"field=\"iface\" reason=\"eth0 is \\\\\"taken\\\\\"\"\n"
		"[^\n]* msg=\"cannot start\" errno=\"Cannot allocate memory\"\n$");
}

static void a_long_line_is_cut_but_ends(void **state)
{
	(void)state;
	static char big[10000];
	memset(big, '\n', sizeof(big) - 1);
	capture();
	ps_log_setup("p", PS_LOG_INFO);
	ps_log(PS_LOG_INFO, big, "x=%s", big);
	ps_log(PS_LOG_INFO, "next", NULL);
	const char *text = release();
	const char *end = strchr(text, '\n');
	assert_non_null(end);
	assert_true(end - text < 4096);
	assert_matches(end, "^\nts=[^\n]* msg=\"next\"\n$");
}

static void the_journal_has_its_own_time(void **state)
{
	(void)state;
	char stream[64];
	struct stat st;
	capture();
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	(void)snprintf(
		stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	(void)setenv("JOURNAL_STREAM", stream, 1);
	ps_log_setup("p", PS_LOG_INFO);
	ps_log(PS_LOG_INFO, "journal", NULL);
	(void)setenv("JOURNAL_STREAM", "1:2", 1); /* inherited, but standard error goes elsewhere */
	ps_log_setup("p", PS_LOG_INFO);
	ps_log(PS_LOG_INFO, "elsewhere", NULL);
	(void)unsetenv("JOURNAL_STREAM");
	assert_matches(release(), "^level=info prog=p msg=\"journal\"\nts=[^\n]*\"elsewhere\"\n$");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_key_value),
		cmocka_unit_test(levels),
		cmocka_unit_test(nobody_can_forge_a_line),
		cmocka_unit_test(a_failure_tells_all_it_knows),
		cmocka_unit_test(a_long_line_is_cut_but_ends),
		cmocka_unit_test(the_journal_has_its_own_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
