/*
 * Keeps programs alive: starts them, starts again what dies (cli/backoff.h says when), and stops them in order.
 *
 * All in the thread of its loop. It logs nothing; what happens is told to a callback.
 */
#ifndef PS_SUPERVISOR_H
#define PS_SUPERVISOR_H

#include <stdint.h>

#include "cli/process.h"
#include "common/bus/loop.h"

struct ps_supervisor;

enum ps_child_event {
	PS_CHILD_STARTED,
	PS_CHILD_DIED,
};

struct ps_child_note {
	enum ps_child_event event;
	const char *name;
	pid_t pid;
	unsigned starts; /* how often it has been started, this one included */
	/* PS_CHILD_DIED: */
	struct ps_process_end end;
	uint64_t lived; /* ns */
	uint64_t wait;  /* ns until it is started again */
};

/* A non-zero return ends the loop with that value. */
typedef int (*ps_child_fn)(void *arg, const struct ps_child_note *note);

int ps_supervisor_new(struct ps_loop *loop, ps_child_fn fn, void *arg, struct ps_supervisor **ret_supervisor);
/* Stops what still runs. */
void ps_supervisor_free(struct ps_supervisor **supervisor);

/*
 * Starts a program and looks after it from now on; at most PS_PARTS_MAX. argv must live as long as the supervisor.
 * -errno when the first start fails, or the value of a callback that wanted an end.
 */
int ps_supervisor_add(struct ps_supervisor *s, const char *name, char *const *argv);
/* The same with an environment of its own, which must live as long; NULL = ours. */
int ps_supervisor_add_with(struct ps_supervisor *s, const char *name, char *const *argv, char *const *envp);

/*
 * Stops all, the last one first, each with SIGTERM and after timeout_ms SIGKILL. Nothing is started again. Returns how
 * many had to be killed.
 */
unsigned ps_supervisor_stop(struct ps_supervisor *s, int timeout_ms);

/* 0 = it does not run now. */
pid_t ps_supervisor_pid(const struct ps_supervisor *s, const char *name);

#endif
