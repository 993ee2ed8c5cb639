/* The API token's file. */
#include <errno.h>
#include <fcntl.h>
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
#include "gateway/token.h"

struct place {
	char dir[32];
	char path[64];
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	if (!p)
		return -1;
	strcpy(p->dir, "/tmp/ps-token-XXXXXX");
	if (!mkdtemp(p->dir))
		return -1;
	(void)snprintf(p->path, sizeof(p->path), "%s/api-token", p->dir);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	(void)unlink(p->path);
	assert_int_equal(rmdir(p->dir), 0); /* no draft is left behind */
	free(p);
	return 0;
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);

	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void made_once(void **state)
{
	struct place *p = *state;
	struct ps_tokens first = {0}, second = {0};
	struct stat st;

	assert_int_equal(ps_token_load(p->path, &first, NULL), 1);
	assert_int_equal(first.n, 1);
	assert_int_equal(first.token[0].scope, PS_SCOPE_ADMIN);
	assert_int_equal(strlen(first.token[0].text), 2 * PS_TOKEN_BYTES);
	assert_int_equal(strspn(first.token[0].text, "0123456789abcdef"), 2 * PS_TOKEN_BYTES);
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(ps_token_load(p->path, &second, NULL), 0);
	assert_string_equal(first.token[0].text, second.token[0].text);
}

static void two_are_not_alike(void **state)
{
	struct place *p = *state;
	struct ps_tokens first = {0}, second = {0};

	assert_int_equal(ps_token_load(p->path, &first, NULL), 1);
	assert_int_equal(unlink(p->path), 0);
	assert_int_equal(ps_token_load(p->path, &second, NULL), 1);
	assert_string_not_equal(first.token[0].text, second.token[0].text);
}

static void written_by_hand(void **state)
{
	struct place *p = *state;
	struct ps_tokens t = {0};

	write_file(p->path,
		"# ours\r\ncorrect-horse-battery\r\n\n  the-wall-in-the-hall  read\nthe-night-shift-too admin", 0600);
	assert_int_equal(ps_token_load(p->path, &t, NULL), 0);
	assert_int_equal(t.n, 3);
	assert_int_equal(ps_token_scope(&t, "correct-horse-battery"), PS_SCOPE_ADMIN);
	assert_int_equal(ps_token_scope(&t, "the-wall-in-the-hall"), PS_SCOPE_READ);
	assert_int_equal(ps_token_scope(&t, "the-night-shift-too"), PS_SCOPE_ADMIN);
	assert_int_equal(ps_token_scope(&t, "the-night-shift-to"), PS_SCOPE_OPEN);
	assert_int_equal(ps_token_scope(&t, ""), PS_SCOPE_OPEN);
}

static void unfit_files(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"short\n", "Line 1"},
		{"", "There is no API token"},
		{"# nothing\n\n", "There is no API token"},
		{"correct-horse-battery\ncorrect-horse-staples write\n", "Line 2"},
		{"correct-horse-battery read it\n", "behind the scope"},
	};
	struct place *p = *state;
	struct ps_tokens t = {0};

	for (size_t i = 0; i < PS_ARRAY_SIZE(cases); i++) {
		struct ps_error err = {0};

		write_file(p->path, cases[i].text, 0600);
		assert_int_equal(ps_token_load(p->path, &t, &err), -EINVAL);
		assert_non_null(strstr(err.message, cases[i].says));
		assert_non_null(strstr(err.message, "remove the file to have"));
	}
	struct ps_error err = {0};

	write_file(p->path, "correct-horse-battery\n", 0644);
	assert_int_equal(ps_token_load(p->path, &t, &err), -EPERM);
	assert_non_null(strstr(err.message, "chmod 600"));
	assert_int_equal(t.n, 0);
}

static void directory_made(void **state)
{
	struct place *p = *state;
	struct ps_tokens t;

	(void)snprintf(p->path, sizeof(p->path), "%s/state/api-token", p->dir);
	assert_int_equal(ps_token_load(p->path, &t, NULL), 1);
	assert_int_equal(unlink(p->path), 0);
	*strrchr(p->path, '/') = '\0';
	assert_int_equal(rmdir(p->path), 0);
}

static void directory_missing(void **state)
{
	struct ps_tokens t = {0};
	struct ps_error err = {0};

	(void)state;
	assert_int_equal(ps_token_load("/tmp/ps-no-such-directory/deep/api-token", &t, &err), -ENOENT);
	assert_string_equal(err.field, "state-dir");
	assert_int_equal(t.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(made_once, setup, teardown),
		cmocka_unit_test_setup_teardown(two_are_not_alike, setup, teardown),
		cmocka_unit_test_setup_teardown(written_by_hand, setup, teardown),
		cmocka_unit_test_setup_teardown(unfit_files, setup, teardown),
		cmocka_unit_test_setup_teardown(directory_made, setup, teardown),
		cmocka_unit_test_setup_teardown(directory_missing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
