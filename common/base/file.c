#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"

int ps_file_read_fd(int fd, size_t max, struct ps_buf *out)
{
	size_t total = 0;

	for (;;) {
		uint8_t *p = ps_buf_reserve(out, 4096);
		ssize_t n;

		if (!p)
			return out->error;
		n = read(fd, p, 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		total += (size_t)n;
		if (total > max)
			return -EFBIG;
		out->len += (size_t)n;
	}
}

int ps_file_read(const char *path, size_t max, struct ps_buf *out)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return ps_file_read_fd(fd, max, out);
}

int ps_file_write_fd(int fd, const struct ps_buf *text)
{
	for (size_t done = 0; done < text->len;) {
		ssize_t n = write(fd, text->data + done, text->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* A rename is on the disk when its directory is. */
static int sync_directory(const char *path)
{
	char copy[PATH_MAX];
	_cleanup_close_ int dir = -1;

	(void)snprintf(copy, sizeof(copy), "%s", path);
	dir = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 || fsync(dir) < 0 ? -errno : 0;
}

int ps_file_replace(const char *path, mode_t mode, const struct ps_buf *text)
{
	_cleanup_close_ int fd = -1;
	char draft[PATH_MAX];
	int r;

	if (text->error)
		return text->error;
	if (snprintf(draft, sizeof(draft), "%s.new", path) >= (int)sizeof(draft))
		return -ENAMETOOLONG;
	(void)unlink(draft); /* one that was left may have another mode */
	fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return -errno;
	r = fchmod(fd, mode) < 0 ? -errno : ps_file_write_fd(fd, text);
	if (r == 0 && rename(draft, path) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlink(draft);
		return r;
	}
	return sync_directory(path);
}

static int new_name(const char *name, char ret_new[static NAME_MAX + 1])
{
	int n = snprintf(ret_new, NAME_MAX + 1, "%s.new", name);

	return n > 0 && n <= NAME_MAX ? 0 : -ENAMETOOLONG;
}

int ps_file_prepare_at(int dir, const char *name, const struct ps_buf *text)
{
	_cleanup_close_ int fd = -1;
	char other[NAME_MAX + 1];
	int r = new_name(name, other);

	if (r < 0)
		return r;
	fd = openat(dir, other, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		return -errno;
	r = ps_file_write_fd(fd, text);
	if (r < 0)
		(void)unlinkat(dir, other, 0);
	return r;
}

int ps_file_commit_at(int dir, const char *name)
{
	char other[NAME_MAX + 1];
	int r = new_name(name, other);

	if (r < 0)
		return r;
	if (renameat(dir, other, dir, name) < 0) {
		r = -errno;
		(void)unlinkat(dir, other, 0);
		return r;
	}
	return fsync(dir) < 0 ? -errno : 0;
}

int ps_file_replace_at(int dir, const char *name, const struct ps_buf *text)
{
	int r = ps_file_prepare_at(dir, name, text);

	return r < 0 ? r : ps_file_commit_at(dir, name);
}
