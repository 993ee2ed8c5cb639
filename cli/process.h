/*
 * Other programs: found, started, watched and stopped. Every wait is bounded; signals go through a pidfd, so they never
 * hit a stranger who got the number of a process that has gone.
 */
#ifndef PS_PROCESS_H
#define PS_PROCESS_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/error.h"

/* The program of that name beside our own executable, else in PATH. -ENOENT fills err with what to do. */
int ps_program_find(const char *name, char ret_path[static PATH_MAX], struct ps_error *err);

struct ps_process {
	pid_t pid;
	int pidfd; /* readable once it has ended; -1 = none */
};

#define PS_PROCESS_NONE \
	(struct ps_process) \
	{ \
		.pid = 0, .pidfd = -1 \
	}

/* How a process ended. */
struct ps_process_end {
	bool signalled; /* code is a signal, else an exit code */
	int code;
};

/* "exit code 1", "signal 9 (Killed)". Returns buf. */
#define PS_PROCESS_END_TEXT 64
char *ps_process_describe(const struct ps_process_end *end, char buf[static PS_PROCESS_END_TEXT]);

enum ps_process_bond {
	PS_PROCESS_OUTLIVES, /* goes on when we are killed */
	PS_PROCESS_LEASHED,  /* gets SIGTERM when the calling thread ends, however that ends */
};

/*
 * Starts argv[0] (a path) in a process group of its own, so that a Ctrl-C at the terminal reaches only us, with no
 * signal blocked or ignored. Its standard input is empty; its standard output is `stdout_fd`, or our standard error
 * (-1). -errno of fork; a program that cannot be executed ends with code 127.
 */
int ps_process_start(char *const argv[], int stdout_fd, enum ps_process_bond bond, struct ps_process *ret_process);
/* The same with an environment of its own; NULL = ours. */
int ps_process_start_with(char *const argv[], char *const envp[], int stdout_fd, enum ps_process_bond bond,
	struct ps_process *ret_process);

/* A process that somebody else started: for signals only. -ESRCH: it has gone. */
int ps_process_adopt(pid_t pid, struct ps_process *ret_process);

void ps_process_signal(const struct ps_process *p, int signal);

/* Waits until it has ended and forgets it. -ETIMEDOUT: it has not. */
int ps_process_wait(struct ps_process *p, int timeout_ms, struct ps_process_end *ret_end);

/* SIGTERM, then SIGKILL after timeout_ms. Returns whether it had to be killed. */
bool ps_process_stop(struct ps_process *p, int timeout_ms);

/*
 * Runs a program to its end; what it writes to standard output is appended to `out` (NULL: it goes to our standard
 * error), at most PS_CLI_REPLY_MAX bytes. -ETIMEDOUT: it was stopped.
 */
int ps_process_run(char *const argv[], int timeout_ms, struct ps_buf *out, struct ps_process_end *ret_end);

#endif
