/* Files read whole: appended, bounded, and the reason when they cannot be. */
#include "common/base/file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "tests/unit/tempdir.h"

static void write_file(const char *path, size_t n)
{
	_cleanup_fclose_ FILE *f = fopen(path, "we");

	assert_non_null(f);
	for (size_t i = 0; i < n; i++)
		assert_int_not_equal(fputc('a' + (int)(i % 26), f), EOF);
}

static void test_appends(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf b = PS_BUF_INIT;
	const char *path = tempdir_path("", "whole");

	(void)state;
	write_file(path, 10000);
	ps_buf_adds(&b, "before");
	assert_int_equal(ps_file_read(path, 10000, &b), 0);
	assert_int_equal(b.len, 10006);
	assert_memory_equal(b.data, "beforeabcdef", 12);
	assert_int_equal(b.data[10005], 'a' + 9999 % 26);
}

static void test_bounded(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf b = PS_BUF_INIT;
	const char *path = tempdir_path("", "large");

	(void)state;
	write_file(path, 10001);
	assert_int_equal(ps_file_read(path, 10000, &b), -EFBIG);
	assert_true(b.len <= 10000);
}

static void test_missing(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf b = PS_BUF_INIT;
	const char *path = tempdir_path("", "missing");

	(void)state;
	assert_int_equal(ps_file_read(path, 10, &b), -ENOENT);
	assert_int_equal(ps_file_read(tempdir, 10, &b), -EISDIR);
	assert_int_equal(b.len, 0);
}

static void test_replace(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf b = PS_BUF_INIT, back = PS_BUF_INIT;
	const char *path = tempdir_path("", "kept");
	struct stat st;

	(void)state;
	for (int i = 0; i < 2; i++) {
		ps_buf_reset(&b);
		ps_buf_reset(&back);
		ps_buf_addf(&b, "content %d", i);
		assert_int_equal(ps_file_replace(path, 0600, &b), 0);
		assert_int_equal(ps_file_read(path, 100, &back), 0);
		assert_string_equal(ps_buf_str(&back), ps_buf_str(&b));
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
	assert_int_equal(ps_file_replace(tempdir_path("", "no/such/directory"), 0600, &b), -ENOENT);
	assert_int_equal(ps_file_replace(tempdir, 0600, &b), -EISDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_appends),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_replace),
	};

	return cmocka_run_group_tests(tests, tempdir_make, tempdir_remove);
}
