#include "cli/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/limits.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

int ps_program_find(const char *name, char ret_path[static PATH_MAX], struct ps_error *err)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	const char *dirs = getenv("PATH");
	char *slash;

	if (n > 0) {
		path[n] = '\0';
		slash = strrchr(path, '/');
		if (slash && snprintf(slash + 1, sizeof(path) - (size_t)(slash + 1 - path), "%s", name) > 0 &&
			access(path, X_OK) == 0) {
			memcpy(ret_path, path, sizeof(path));
			return 0;
		}
	}
	while (dirs && *dirs) {
		size_t len = strcspn(dirs, ":");

		/* An empty entry would mean the current directory: never for a program that runs as root. */
		if (len > 0 && snprintf(path, sizeof(path), "%.*s/%s", (int)len, dirs, name) < (int)sizeof(path) &&
			access(path, X_OK) == 0) {
			memcpy(ret_path, path, sizeof(path));
			return 0;
		}
		dirs += len + (dirs[len] == ':');
	}
	return ps_error_set(err, -ENOENT, 500, "not_installed", "",
		"%s is neither beside this program nor in PATH; build everything with `make`, or install the whole "
		"package",
		name);
}

char *ps_process_describe(const struct ps_process_end *end, char buf[static PS_PROCESS_END_TEXT])
{
	if (end->signalled)
		(void)snprintf(buf, PS_PROCESS_END_TEXT, "signal %d (%s)", end->code, strsignal(end->code));
	else
		(void)snprintf(buf, PS_PROCESS_END_TEXT, "exit code %d", end->code);
	return buf;
}

/* Between fork and exec, perhaps beside other threads: nothing but system calls. */
static void become(char *const argv[], char *const envp[], int stdout_fd, enum ps_process_bond bond, pid_t parent)
{
	static const char failed[] = "packetscope: cannot execute ";
	struct sigaction plain = {.sa_handler = SIG_DFL};
	sigset_t none;
	int null;

	if (bond == PS_PROCESS_LEASHED) {
		(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != parent)
			_exit(127);
	}
	(void)setpgid(0, 0);
	/* ignored signals outlive exec: ours, and those that whoever started us had ignored, as a shell does for its
	 * jobs */
	for (int sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, &plain, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null >= 0)
		(void)dup2(null, STDIN_FILENO);
	(void)dup2(stdout_fd >= 0 ? stdout_fd : STDERR_FILENO, STDOUT_FILENO);
	(void)execve(argv[0], argv, envp ? envp : environ);
	(void)!write(STDERR_FILENO, failed, sizeof(failed) - 1);
	(void)!write(STDERR_FILENO, argv[0], strlen(argv[0]));
	(void)!write(STDERR_FILENO, "\n", 1);
	_exit(127);
}

int ps_process_start(char *const argv[], int stdout_fd, enum ps_process_bond bond, struct ps_process *ret_process)
{
	return ps_process_start_with(argv, NULL, stdout_fd, bond, ret_process);
}

int ps_process_start_with(char *const argv[], char *const envp[], int stdout_fd, enum ps_process_bond bond,
	struct ps_process *ret_process)
{
	pid_t parent = getpid();
	pid_t pid = fork();
	int pidfd;

	if (pid < 0)
		return -errno;
	if (pid == 0)
		become(argv, envp, stdout_fd, bond, parent);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		int r = -errno;

		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		return r;
	}
	*ret_process = (struct ps_process){.pid = pid, .pidfd = pidfd};
	return 0;
}

int ps_process_adopt(pid_t pid, struct ps_process *ret_process)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (pidfd < 0)
		return -errno;
	*ret_process = (struct ps_process){.pid = pid, .pidfd = pidfd};
	return 0;
}

void ps_process_signal(const struct ps_process *p, int signal)
{
	if (p->pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, p->pidfd, signal, NULL, 0);
}

/* Milliseconds that are left until a moment of boot time. */
static int left_ms(uint64_t deadline)
{
	uint64_t now = ps_clock_boot();

	return now >= deadline ? 0 : (int)((deadline - now) / 1000000 + 1);
}

int ps_process_wait(struct ps_process *p, int timeout_ms, struct ps_process_end *ret_end)
{
	uint64_t deadline = ps_clock_boot() + (uint64_t)timeout_ms * 1000000u;
	struct pollfd pfd = {.fd = p->pidfd, .events = POLLIN};
	siginfo_t info = {0};
	int r;

	if (p->pidfd < 0)
		return -ECHILD;
	do {
		r = poll(&pfd, 1, left_ms(deadline));
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	if (r == 0)
		return -ETIMEDOUT;
	if (waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED) < 0)
		return -errno;
	*ret_end = (struct ps_process_end){.signalled = info.si_code != CLD_EXITED, .code = info.si_status};
	ps_closep(&p->pidfd);
	p->pid = 0;
	return 0;
}

bool ps_process_stop(struct ps_process *p, int timeout_ms)
{
	struct ps_process_end end;

	ps_process_signal(p, SIGTERM);
	ps_process_signal(p, SIGCONT);
	if (ps_process_wait(p, timeout_ms, &end) != -ETIMEDOUT)
		return false;
	ps_process_signal(p, SIGKILL);
	/* Only the kernel is in the way now: uninterruptible work ends. */
	(void)ps_process_wait(p, timeout_ms, &end);
	return true;
}

/* Until the writers have closed the pipe, or the deadline. */
static int drain(int fd, uint64_t deadline, struct ps_buf *out)
{
	for (;;) {
		struct pollfd pfd = {.fd = fd, .events = POLLIN};
		int r = poll(&pfd, 1, left_ms(deadline));
		uint8_t *room = ps_buf_reserve(out, 4096);
		ssize_t n;

		if (r == 0)
			return -ETIMEDOUT;
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (!room || out->len > PS_CLI_REPLY_MAX)
			return -E2BIG;
		n = read(fd, room, 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		out->len += (size_t)n;
	}
}

int ps_process_run(char *const argv[], int timeout_ms, struct ps_buf *out, struct ps_process_end *ret_end)
{
	uint64_t deadline = ps_clock_boot() + (uint64_t)timeout_ms * 1000000u;
	_cleanup_close_ int reader = -1, writer = -1;
	struct ps_process p = PS_PROCESS_NONE;
	int r, ends[2];

	if (out) {
		if (pipe2(ends, O_CLOEXEC) < 0)
			return -errno;
		reader = ends[0];
		writer = ends[1];
	}
	r = ps_process_start(argv, writer, PS_PROCESS_LEASHED, &p);
	if (r < 0)
		return r;
	ps_closep(&writer);
	r = out ? drain(reader, deadline, out) : 0;
	if (r == 0)
		r = ps_process_wait(&p, left_ms(deadline), ret_end);
	if (r < 0)
		(void)ps_process_stop(&p, PS_UP_STOP_MS);
	return r;
}
