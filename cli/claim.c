#include "cli/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "cli/limits.h"
#include "cli/process.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"

#define PATH_SIZE 512
#define POLL_US 20000

struct ps_claim {
	char up_path[PATH_SIZE], parts_path[PATH_SIZE];
	int up_fd, parts_fd;
	struct {
		const char *name;
		pid_t pid;
	} part[PS_PARTS_MAX];
	size_t n;
};

/* Every missing directory of the path, as `mkdir -p`. */
static int make_directory(const char *path)
{
	char text[PATH_SIZE];

	if (snprintf(text, sizeof(text), "%s", path) >= (int)sizeof(text))
		return -ENAMETOOLONG;
	for (char *p = text + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(text, 0755) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return mkdir(text, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/* A file that was removed between open and lock is nobody's: begin again. */
static int lock_file(const char *path, int flags, int *ret_fd)
{
	for (;;) {
		_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | flags, 0644);
		struct stat mine, there;

		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0)
			return -errno;
		if (fstat(fd, &mine) < 0)
			return -errno;
		if (stat(path, &there) == 0 && mine.st_ino == there.st_ino && mine.st_dev == there.st_dev) {
			*ret_fd = PS_TAKE_FD(fd);
			return 0;
		}
	}
}

pid_t ps_claim_holder(const char *run_dir)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	char path[PATH_SIZE];
	_cleanup_close_ int fd = -1;

	(void)snprintf(path, sizeof(path), "%s/up.lock", run_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return 0;
	if (ps_file_read_fd(fd, 64, &text) < 0)
		return 0;
	return (pid_t)strtol(ps_buf_str(&text) ? ps_buf_str(&text) : "", NULL, 10);
}

/* When a process began, in the kernel's ticks: with its number, that names it once and for all. */
static unsigned long long start_time(pid_t pid)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	unsigned long long ticks;
	char path[64];
	const char *p;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (ps_file_read(path, 4096, &text) < 0 || !ps_buf_str(&text))
		return 0;
	p = strrchr(ps_buf_str(&text), ')');
	if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
			  &ticks) != 1)
		return 0;
	return ticks;
}

/* To the parts of an earlier `up` that parts.lock names and that are still the same processes. */
static void signal_orphans(const char *path, int signal)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	const char *line;

	if (ps_file_read(path, 4096, &text) < 0)
		return;
	for (line = ps_buf_str(&text); line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		struct ps_process orphan = PS_PROCESS_NONE;
		unsigned long long ticks;

		if (sscanf(line, "%*31s %d %llu", &orphan.pid, &ticks) != 2 || orphan.pid <= 1)
			continue;
		if (ps_process_adopt(orphan.pid, &orphan) < 0)
			continue;
		if (ticks > 0 && start_time(orphan.pid) == ticks)
			ps_process_signal(&orphan, signal);
		ps_closep(&orphan.pidfd);
	}
}

static int lock_parts(const char *path, int *ret_fd)
{
	uint64_t patience = ps_clock_boot() + PS_UP_ORPHANS_MS * 1000000ull;
	uint64_t end = patience + PS_UP_ORPHANS_MS * 1000000ull;
	bool told = false;
	int r;

	while ((r = lock_file(path, 0, ret_fd)) == -EWOULDBLOCK && ps_clock_boot() < end) {
		if (!told || ps_clock_boot() >= patience)
			signal_orphans(path, told ? SIGKILL : SIGTERM);
		told = true;
		(void)usleep(POLL_US);
	}
	return r;
}

/*
 * A part that an `up` was just starting when it was killed holds the lock until it has become its program: then nobody
 * is at the number in the file any more.
 */
static int lock_up(struct ps_claim *c, const char *run_dir, struct ps_error *err)
{
	uint64_t end = ps_clock_boot() + PS_UP_ORPHANS_MS * 1000000ull;
	pid_t holder;
	int r;

	while ((r = lock_file(c->up_path, O_CLOEXEC, &c->up_fd)) == -EWOULDBLOCK && ps_clock_boot() < end) {
		holder = ps_claim_holder(run_dir);
		if (holder > 0 && (kill(holder, 0) == 0 || errno == EPERM))
			break;
		(void)usleep(POLL_US);
	}
	if (r == -EWOULDBLOCK)
		return ps_error_set(err, r, 409, "already_running", "run-dir",
			"packetscope up is already running here (process %d, %s); stop that one, or use another "
			"--run-dir and --pin-root",
			(int)ps_claim_holder(run_dir), c->up_path);
	if (r < 0)
		return ps_error_set(
			err, r, 500, "cannot_lock", "run-dir", "cannot make %s: %s", c->up_path, strerror(-r));
	if (ftruncate(c->up_fd, 0) < 0 || dprintf(c->up_fd, "%d\n", (int)getpid()) < 0)
		return ps_error_set(
			err, -errno, 500, "cannot_lock", "run-dir", "cannot write %s: %s", c->up_path, strerror(errno));
	return 0;
}

int ps_claim_take(const char *run_dir, struct ps_claim **ret_claim, struct ps_error *err)
{
	_cleanup_(ps_claim_release) struct ps_claim *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return ps_error_set(err, -ENOMEM, 500, "no_memory", "", "out of memory");
	c->up_fd = c->parts_fd = -1;
	if (snprintf(c->up_path, sizeof(c->up_path), "%s/up.lock", run_dir) >= (int)sizeof(c->up_path) ||
		snprintf(c->parts_path, sizeof(c->parts_path), "%s/parts.lock", run_dir) >= (int)sizeof(c->parts_path))
		return ps_error_set(err, -ENAMETOOLONG, 400, "bad_value", "run-dir", "the path is too long");
	r = make_directory(run_dir);
	if (r < 0)
		return ps_error_set(err, r, 500, "cannot_create", "run-dir", "cannot make the directory %s: %s%s",
			run_dir, strerror(-r), r == -EACCES ? "; run it as root (sudo packetscope up)" : "");
	r = lock_up(c, run_dir, err);
	if (r < 0)
		return r;
	r = lock_parts(c->parts_path, &c->parts_fd);
	if (r < 0)
		return ps_error_set(err, r, 500, "cannot_lock", "run-dir",
			"parts of an earlier run hold %s and do not end: %s", c->parts_path, strerror(-r));
	*ret_claim = PS_TAKE(c);
	return 0;
}

void ps_claim_part(struct ps_claim *c, const char *name, pid_t pid)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	size_t i;

	for (i = 0; i < c->n && strcmp(c->part[i].name, name) != 0; i++)
		;
	if (i == PS_PARTS_MAX)
		return;
	c->n = PS_MAX(c->n, i + 1);
	c->part[i].name = name;
	c->part[i].pid = pid;
	for (i = 0; i < c->n; i++)
		ps_buf_addf(&text, "%s %d %llu\n", c->part[i].name, (int)c->part[i].pid, start_time(c->part[i].pid));
	if (!text.error && ftruncate(c->parts_fd, 0) == 0)
		(void)!pwrite(c->parts_fd, text.data, text.len, 0);
}

void ps_claim_release(struct ps_claim **claim)
{
	struct ps_claim *c = *claim;

	if (!c)
		return;
	/* Removed before the lock is let go: whoever waits for it finds that its file is nobody's. */
	if (c->parts_fd >= 0)
		(void)unlink(c->parts_path);
	ps_closep(&c->parts_fd);
	if (c->up_fd >= 0)
		(void)unlink(c->up_path);
	ps_closep(&c->up_fd);
	free(c);
	*claim = NULL;
}
