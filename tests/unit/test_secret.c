/* Secrets: kept, wiped, taken out of the environment and out of texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/secret.h"

#define KEY "sk-planted-0123456789"

static void set_and_replace(void **state)
{
	_cleanup_(ps_secret_free) struct ps_secret s = {0};
	char large[10000];

	(void)state;
	assert_int_equal(ps_secret_set(&s, KEY, strlen(KEY)), 0);
	assert_string_equal(s.text, KEY);
	memset(large, 'x', sizeof(large));
	assert_int_equal(ps_secret_set(&s, large, sizeof(large)), 0);
	assert_int_equal(s.len, sizeof(large));
	assert_int_equal(strlen(s.text), sizeof(large));
	ps_secret_free(&s);
	assert_null(s.text);
	ps_secret_free(&s);
}

static bool environ_shows(const char *word)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;

	assert_int_equal(ps_file_read("/proc/self/environ", 1 << 20, &text), 0);
	return memmem(text.data, text.len, word, strlen(word)) != NULL;
}

/* The kernel shows what the program was started with: main starts this one again with the variable set. */
static void taken_from_the_environment(void **state)
{
	_cleanup_(ps_secret_free) struct ps_secret s = {0};

	(void)state;
	assert_true(environ_shows(KEY));
	assert_int_equal(ps_secret_take_env("PS_TEST_KEY", &s), 1);
	assert_string_equal(s.text, KEY);
	assert_null(getenv("PS_TEST_KEY"));
	assert_false(environ_shows(KEY));
	assert_int_equal(ps_secret_take_env("PS_TEST_KEY", &s), 0);
	assert_string_equal(s.text, KEY);
	assert_int_equal(setenv("PS_TEST_KEY", "", 1), 0);
	assert_int_equal(ps_secret_take_env("PS_TEST_KEY", &s), 0);
}

static const char *redacted(const char *key, const char *text, struct ps_buf *out)
{
	_cleanup_(ps_secret_free) struct ps_secret s = {0};

	ps_buf_reset(out);
	if (key)
		assert_int_equal(ps_secret_set(&s, key, strlen(key)), 0);
	ps_secret_redact(&s, out, text, strlen(text));
	return ps_buf_str(out);
}

static void taken_out_of_texts(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	(void)state;
	assert_string_equal(redacted(KEY, "Bearer " KEY ", again " KEY, &out), "Bearer [key], again [key]");
	assert_string_equal(redacted(KEY, KEY, &out), "[key]");
	assert_string_equal(redacted(KEY, "sk-planted", &out), "sk-planted");
	assert_string_equal(redacted(NULL, "nothing to hide", &out), "nothing to hide");
	assert_string_equal(redacted("ollama", "http://ollama:11434", &out), "http://ollama:11434");
}

static void no_dump(void **state)
{
	(void)state;
	ps_secret_no_dump();
	assert_int_equal(prctl(PR_GET_DUMPABLE), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_and_replace),
		cmocka_unit_test(taken_from_the_environment),
		cmocka_unit_test(taken_out_of_texts),
		cmocka_unit_test(no_dump),
	};

	if (argc == 1) {
		char *again[] = {argv[0], "again", NULL};

		(void)setenv("PS_TEST_KEY", KEY, 1);
		(void)execv("/proc/self/exe", again);
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
