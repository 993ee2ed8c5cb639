/* The files that HTTPS needs. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "gateway/tls.h"

#define PEM "-----BEGIN SOMETHING-----\nAAAA\n-----END SOMETHING-----\n"

static char path[2][64];

static void write_file(const char *name, const char *text, size_t len, mode_t mode)
{
	_cleanup_fclose_ FILE *f = fopen(name, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fchmod(fileno(f), mode), 0);
}

static int setup(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++)
		(void)snprintf(path[i], sizeof(path[i]), "/tmp/ps-tls-%d-%d", (int)getpid(), i);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)unlink(path[0]);
	(void)unlink(path[1]);
	return 0;
}

static void both_or_none(void **state)
{
	_cleanup_(ps_tls_free) struct ps_tls tls = {0};
	struct ps_error err = {0};

	(void)state;
	assert_int_equal(ps_tls_load("", "", &tls, NULL), 0);
	assert_null(tls.cert);
	assert_int_equal(ps_tls_load("cert", "", &tls, &err), -EINVAL);
	assert_string_equal(err.field, "tls-key");
	assert_int_equal(ps_tls_load("", "key", &tls, &err), -EINVAL);
	assert_string_equal(err.field, "tls-cert");
	write_file(path[0], PEM, strlen(PEM), 0644);
	write_file(path[1], PEM, strlen(PEM), 0640);
	assert_int_equal(ps_tls_load(path[0], path[1], &tls, NULL), 0);
	assert_string_equal(tls.cert, PEM);
	assert_string_equal(tls.key, PEM);
}

static void unfit_files(void **state)
{
	struct ps_tls tls = {0};
	struct ps_error err = {0};

	(void)state;
	assert_int_equal(ps_tls_load("/no/such", "/no/such", &tls, &err), -ENOENT);
	assert_string_equal(err.field, "tls-cert");
	write_file(path[0], PEM, strlen(PEM), 0644);
	write_file(path[1], PEM, strlen(PEM), 0644);
	assert_int_equal(ps_tls_load(path[0], path[1], &tls, &err), -EPERM);
	assert_non_null(strstr(err.message, "chmod o="));
	write_file(path[1], "hello", 5, 0600);
	assert_int_equal(ps_tls_load(path[0], path[1], &tls, &err), -EINVAL);
	assert_string_equal(err.field, "tls-key");
	write_file(path[1], PEM "\0x", sizeof(PEM "\0x"), 0600);
	assert_int_equal(ps_tls_load(path[0], path[1], &tls, &err), -EINVAL);
	assert_null(tls.cert);
	assert_null(tls.key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(both_or_none, setup, teardown),
		cmocka_unit_test_setup_teardown(unfit_files, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
