#include "cli/supervisor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/backoff.h"
#include "cli/limits.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"

struct child {
	struct ps_supervisor *owner;
	const char *name;
	char *const *argv;
	char *const *envp; /* NULL = ours */
	struct ps_process process;
	struct ps_backoff backoff;
	unsigned starts;
	int timer; /* of its restart; -1 = none yet */
};

struct ps_supervisor {
	struct ps_loop *loop;
	ps_child_fn fn;
	void *arg;
	bool stopping;
	struct child child[PS_PARTS_MAX];
	size_t n;
};

static int child_wait(struct child *c, uint64_t wait);

static int child_died(void *arg)
{
	struct child *c = arg;
	struct ps_supervisor *s = c->owner;
	uint64_t now = ps_clock_boot();
	struct ps_child_note note = {
		.event = PS_CHILD_DIED, .name = c->name, .pid = c->process.pid, .starts = c->starts};
	int fd = c->process.pidfd, r;

	r = ps_process_wait(&c->process, 0, &note.end);
	if (r == -ETIMEDOUT)
		return 0;
	ps_loop_remove_fd(s->loop, fd);
	if (r < 0) {
		/* Somebody else took its exit status; it has gone all the same. */
		ps_closep(&c->process.pidfd);
		note.end = (struct ps_process_end){.code = -1};
	}
	note.lived = now - c->backoff.started_at;
	note.wait = ps_backoff_died(&c->backoff, now);
	r = s->fn(s->arg, &note);
	if (r || s->stopping)
		return r;
	return child_wait(c, note.wait);
}

static int child_start(struct child *c)
{
	struct ps_supervisor *s = c->owner;
	struct ps_child_note note = {.event = PS_CHILD_STARTED, .name = c->name};
	int r = ps_process_start_with(c->argv, c->envp, -1, PS_PROCESS_OUTLIVES, &c->process);

	ps_backoff_started(&c->backoff, ps_clock_boot());
	if (r < 0)
		return r;
	c->starts++;
	r = ps_loop_add_fd(s->loop, c->process.pidfd, child_died, c);
	if (r < 0) {
		(void)ps_process_stop(&c->process, PS_UP_STOP_MS);
		return r;
	}
	note.pid = c->process.pid;
	note.starts = c->starts;
	return s->fn(s->arg, &note);
}

static int child_due(void *arg)
{
	struct child *c = arg;

	ps_loop_set_timer(c->owner->loop, c->timer, 0);
	return child_wait(c, 0);
}

/* Starts it now or later. A fork that fails (no memory, no processes) is one more death. */
static int child_wait(struct child *c, uint64_t wait)
{
	struct ps_supervisor *s = c->owner;

	if (s->stopping || c->process.pidfd >= 0)
		return 0;
	if (wait == 0) {
		int r = child_start(c);

		if (r != -EAGAIN && r != -ENOMEM)
			return r;
		wait = ps_backoff_died(&c->backoff, ps_clock_boot());
		wait = PS_MAX(wait, PS_BACKOFF_FIRST_NS);
	}
	if (c->timer < 0)
		return ps_loop_add_timer(s->loop, wait, child_due, c, &c->timer);
	ps_loop_set_timer(s->loop, c->timer, wait);
	return 0;
}

int ps_supervisor_new(struct ps_loop *loop, ps_child_fn fn, void *arg, struct ps_supervisor **ret_supervisor)
{
	struct ps_supervisor *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->fn = fn;
	s->arg = arg;
	*ret_supervisor = s;
	return 0;
}

void ps_supervisor_free(struct ps_supervisor **supervisor)
{
	if (!*supervisor)
		return;
	(void)ps_supervisor_stop(*supervisor, PS_UP_STOP_MS);
	free(*supervisor);
	*supervisor = NULL;
}

int ps_supervisor_add(struct ps_supervisor *s, const char *name, char *const *argv)
{
	return ps_supervisor_add_with(s, name, argv, NULL);
}

int ps_supervisor_add_with(struct ps_supervisor *s, const char *name, char *const *argv, char *const *envp)
{
	struct child *c = &s->child[s->n];

	if (s->n == PS_PARTS_MAX)
		return -ENOSPC;
	*c = (struct child){
		.owner = s, .name = name, .argv = argv, .envp = envp, .process = PS_PROCESS_NONE, .timer = -1};
	s->n++;
	return child_start(c);
}

unsigned ps_supervisor_stop(struct ps_supervisor *s, int timeout_ms)
{
	unsigned killed = 0;

	s->stopping = true;
	for (size_t i = s->n; i-- > 0;) {
		struct child *c = &s->child[i];

		if (c->timer >= 0)
			ps_loop_set_timer(s->loop, c->timer, 0);
		if (c->process.pidfd < 0)
			continue;
		ps_loop_remove_fd(s->loop, c->process.pidfd);
		killed += ps_process_stop(&c->process, timeout_ms);
	}
	return killed;
}

pid_t ps_supervisor_pid(const struct ps_supervisor *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->child[i].name, name) == 0)
			return s->child[i].process.pidfd >= 0 ? s->child[i].process.pid : 0;
	}
	return 0;
}
