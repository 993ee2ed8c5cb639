#include "gateway/token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"

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

static int make(const char *path, char **ret_token, struct ps_error *err)
{
	unsigned char random[PS_TOKEN_BYTES];
	char line[PS_TOKEN_TEXT + 1];
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *token = NULL;
	_cleanup_free_ char *draft = NULL;
	int r;

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return failed(err, -EIO, path, "draw");
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(line + 2 * i, 3, "%02x", random[i]);
	token = strdup(line);
	/* Written beside and linked into place: whoever finds the file finds it whole, and an existing one is never
	 * replaced. */
	if (!token || asprintf(&draft, "%s.%d", path, (int)getpid()) < 0)
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
	*ret_token = PS_TAKE(token);
	return 1;
}

static int read_file(const char *path, char **ret_token, struct ps_error *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *token = NULL;
	char text[PS_TOKEN_MAX + 2];
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? -ENOENT : failed(err, -errno, path, "read");
	if (fstat(fd, &st) < 0)
		return failed(err, -errno, path, "read");
	if (!S_ISREG(st.st_mode) || st.st_mode & 077)
		return ps_error_set(err, -EPERM, 500, "token_file", "state-dir",
			"Others may read the API token in %s; mend it with: chmod 600 %s", path, path);
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return failed(err, -errno, path, "read");
	text[n] = '\0';
	text[strcspn(text, " \t\r\n")] = '\0';
	if (strlen(text) < PS_TOKEN_MIN || strlen(text) > PS_TOKEN_MAX) {
		return ps_error_set(err, -EINVAL, 500, "token_file", "state-dir",
			"The API token in %s must have %d to %d characters in one line; remove the file to have a new "
			"one made.",
			path, PS_TOKEN_MIN, PS_TOKEN_MAX);
	}
	token = strdup(text);
	if (!token)
		return failed(err, -ENOMEM, path, "read");
	*ret_token = PS_TAKE(token);
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

int ps_token_load(const char *path, char **ret_token, struct ps_error *err)
{
	int r = read_file(path, ret_token, err);

	if (r != -ENOENT)
		return r;
	make_directory(path);
	return make(path, ret_token, err);
}
