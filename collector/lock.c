#include "collector/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"

struct ps_lock_held {
	int file;
	int dir;
};

static int make_run_dir(const char *path, struct ps_error *err)
{
	_cleanup_free_ char *p = strdup(path);

	if (!p)
		return -ENOMEM;
	for (char *slash = strchr(p + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		(void)mkdir(p, 0755);
		*slash = '/';
	}
	if (mkdir(p, 0755) < 0 && errno != EEXIST)
		return ps_error_set(
			err, -errno, 500, "no_run_dir", "run-dir", "Cannot make %s: %s.", path, strerror(errno));
	return 0;
}

static int busy(int fd, const char *what, struct ps_error *err)
{
	char pid[16] = "";

	if (fd >= 0 && pread(fd, pid, sizeof(pid) - 1, 0) > 0)
		pid[strspn(pid, "0123456789")] = 0;
	return ps_error_set(err, -EWOULDBLOCK, 409, "already_running", "",
		"A collector%s%s already works on %s: stop it first, or give this one a --run-dir and --pin-root of "
		"its own.",
		pid[0] ? ", process " : "", pid, what);
}

int ps_lock_take(const char *run_dir, const char *pin_root, struct ps_lock_held **ret_lock, struct ps_error *err)
{
	_cleanup_close_ int file = -1, dir = -1;
	char path[4096], pid[16];
	int len;
	int r = make_run_dir(run_dir, err);

	if (r < 0)
		return r;
	if (snprintf(path, sizeof(path), "%s/collector.lock", run_dir) >= (int)sizeof(path))
		return ps_error_set(
			err, -ENAMETOOLONG, 400, "bad_value", "run-dir", "The run directory's name is too long.");
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (file < 0)
		return ps_error_set(
			err, -errno, 500, "no_lock", "run-dir", "Cannot open %s: %s.", path, strerror(errno));
	if (flock(file, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? busy(file, run_dir, err) : -errno;
	dir = open(pin_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 && errno != ENOENT)
		return ps_error_set(
			err, -errno, 500, "no_lock", "pin-root", "Cannot open %s: %s.", pin_root, strerror(errno));
	if (dir >= 0 && flock(dir, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? busy(-1, pin_root, err) : -errno;
	len = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(file, 0) < 0 || pwrite(file, pid, (size_t)len, 0) != len)
		return ps_error_set(
			err, -EIO, 500, "no_lock", "run-dir", "Cannot write %s: %s.", path, strerror(errno));

	*ret_lock = malloc(sizeof(**ret_lock));
	if (!*ret_lock)
		return -ENOMEM;
	(*ret_lock)->file = PS_TAKE_FD(file);
	(*ret_lock)->dir = PS_TAKE_FD(dir);
	return 0;
}

void ps_lock_release(struct ps_lock_held **lock)
{
	if (!*lock)
		return;
	ps_closep(&(*lock)->file);
	ps_closep(&(*lock)->dir);
	ps_freep(lock);
}
