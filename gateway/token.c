#include "gateway/token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"

static int failed(struct ps_error *err, int r, const char *path, const char *what)
{
	return ps_error_set(err, r, 500, "token_file", "state-dir",
		"Cannot %s the API token in %s: %s. Give a directory with --state-dir, or --insecure to do without.",
		what, path, strerror(-r));
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static int make(const char *path, struct ps_tokens *ret_tokens, struct ps_error *err)
{
	unsigned char random[PS_TOKEN_BYTES];
	char line[PS_TOKEN_TEXT + 1];
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *draft = NULL;
	int r;

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return failed(err, -EIO, path, "draw");
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(line + 2 * i, 3, "%02x", random[i]);
	ret_tokens->n = 1;
	ret_tokens->token[0].scope = PS_SCOPE_ADMIN;
	memcpy(ret_tokens->token[0].text, line, PS_TOKEN_TEXT);
	/* Written beside and linked into place: whoever finds the file finds it whole, and an existing one is never
	 * replaced. */
	if (asprintf(&draft, "%s.%d", path, (int)getpid()) < 0)
		return failed(err, -ENOMEM, path, "make");
	fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return failed(err, -errno, path, "make");
	line[PS_TOKEN_TEXT - 1] = '\n';
	r = write_all(fd, line, PS_TOKEN_TEXT);
	if (r == 0 && link(draft, path) < 0)
		r = -errno;
	(void)unlink(draft);
	if (r < 0)
		return failed(err, r, path, "make");
	return 1;
}

#define FILE_MAX (PS_TOKENS_MAX * (PS_TOKEN_MAX + 64ul)) /* bytes: tokens, scopes and some comments */

static int bad_line(struct ps_error *err, const char *path, unsigned line, const char *what)
{
	return ps_error_set(err, -EINVAL, 500, "token_file", "state-dir",
		"Line %u of the API tokens in %s %s. Mend it, or remove the file to have a new one made.", line, path,
		what);
}

/* "TOKEN [read|admin]" */
static int read_line(char *text, const char *path, unsigned line, struct ps_tokens *tokens, struct ps_error *err)
{
	char *save = NULL, *token = strtok_r(text, " \t\r", &save), *scope = strtok_r(NULL, " \t\r", &save);
	struct ps_token *t = &tokens->token[tokens->n];

	if (!token || token[0] == '#')
		return 0;
	if (tokens->n == PS_TOKENS_MAX)
		return bad_line(err, path, line, "is one too many: 32 are enough");
	if (strlen(token) < PS_TOKEN_MIN || strlen(token) > PS_TOKEN_MAX)
		return bad_line(err, path, line, "has a token that is not 16 to 256 characters long");
	if (scope && strcmp(scope, "admin") != 0 && strcmp(scope, "read") != 0)
		return bad_line(err, path, line, "has a scope that is neither read nor admin");
	if (scope && strtok_r(NULL, " \t\r", &save))
		return bad_line(err, path, line, "says something behind the scope");
	memcpy(t->text, token, strlen(token) + 1);
	t->scope = scope && !strcmp(scope, "read") ? PS_SCOPE_READ : PS_SCOPE_ADMIN;
	tokens->n++;
	return 0;
}

static int read_file(const char *path, struct ps_tokens *tokens, struct ps_error *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	unsigned line = 0;
	char *save = NULL;
	struct stat st;
	int r;

	if (fd < 0)
		return errno == ENOENT ? -ENOENT : failed(err, -errno, path, "read");
	if (fstat(fd, &st) < 0)
		return failed(err, -errno, path, "read");
	if (!S_ISREG(st.st_mode) || st.st_mode & 077)
		return ps_error_set(err, -EPERM, 500, "token_file", "state-dir",
			"Others may read the API tokens in %s; mend it with: chmod 600 %s", path, path);
	r = ps_file_read_fd(fd, FILE_MAX, &text);
	if (r < 0)
		return failed(err, r, path, "read");
	if (!ps_buf_str(&text))
		return failed(err, -ENOMEM, path, "read");
	tokens->n = 0;
	for (char *p = (char *)text.data; p; p = save) {
		save = strchr(p, '\n');
		if (save)
			*save++ = '\0';
		r = read_line(p, path, ++line, tokens, err);
		if (r < 0)
			return r;
	}
	if (!tokens->n)
		return ps_error_set(err, -EINVAL, 500, "token_file", "state-dir",
			"There is no API token in %s. Write one of %d to %d characters there, or remove the file to "
			"have one made.",
			path, PS_TOKEN_MIN, PS_TOKEN_MAX);
	return 0;
}

/* The last directory of the path, if it is missing; whether that went well shows when the file is made. */
static void make_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *dir = slash ? strndup(path, (size_t)(slash - path)) : NULL;

	if (dir)
		(void)mkdir(dir, 0750);
}

int ps_token_load(const char *path, struct ps_tokens *ret_tokens, struct ps_error *err)
{
	_cleanup_free_ struct ps_tokens *tokens = calloc(1, sizeof(*tokens));
	int r;

	if (!tokens)
		return failed(err, -ENOMEM, path, "read");
	r = read_file(path, tokens, err);
	if (r == -ENOENT) {
		make_directory(path);
		r = make(path, tokens, err);
	}
	if (r >= 0)
		*ret_tokens = *tokens;
	return r;
}

/* The length is no secret. */
static bool same(const char *a, const char *b)
{
	size_t len = strlen(a);
	unsigned char diff = 0;

	if (strlen(b) != len)
		return false;
	for (size_t i = 0; i < len; i++)
		diff |= (unsigned char)(a[i] ^ b[i]);
	__asm__ volatile("" : "+r"(diff)); /* the compiler must not find an early way out */
	return diff == 0;
}

enum ps_scope ps_token_scope(const struct ps_tokens *tokens, const char *given)
{
	enum ps_scope scope = PS_SCOPE_OPEN;

	for (size_t i = 0; i < tokens->n; i++) { /* all of them, whichever it is */
		if (same(tokens->token[i].text, given))
			scope = PS_MAX(scope, tokens->token[i].scope);
	}
	return scope;
}
