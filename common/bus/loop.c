#include "common/bus/loop.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/bus/socket.h"

#define TURN_MAX 16   /* calls of one bus handler before the others and the timers have their turn */
#define ROOM_FIRST 16 /* entries of a list's first allocation */

struct source {
	int fd; /* -1 = a bus socket */
	struct ps_socket *socket;
	short events;  /* ZMQ_POLLIN, ZMQ_POLLOUT */
	ps_loop_fn fn; /* NULL = removed; swept before the next wait */
	void *arg;
};

struct timer {
	uint64_t interval; /* 0 = stopped */
	uint64_t due;      /* boot time */
	uint64_t slack;    /* that it may be late */
	bool beat;         /* due at multiples of the interval */
	ps_loop_fn fn;
	void *arg;
};

struct ps_loop {
	struct source *sources;
	zmq_pollitem_t *items; /* one for each source at the time of the wait */
	size_t n_sources, room_sources;
	struct timer *timers;
	size_t n_timers, room_timers;
	int signal_fd;
	ps_loop_fn on_hup;
	void *on_hup_arg;
	bool stop;
};

int ps_loop_new(struct ps_loop **ret_loop)
{
	struct ps_loop *loop = calloc(1, sizeof(*loop));
	if (!loop)
		return -ENOMEM;
	loop->signal_fd = -1;
	*ret_loop = loop;
	return 0;
}

void ps_loop_free(struct ps_loop **loop)
{
	if (!*loop)
		return;
	ps_closep(&(*loop)->signal_fd);
	free((*loop)->sources);
	free((*loop)->items);
	free((*loop)->timers);
	free(*loop);
	*loop = NULL;
}

/* --- sources ------------------------------------------------------------------------------------- */

/*
 * Entries are only appended while handlers run, so that the n-th source stays the one that the n-th poll item speaks
 * of; an fd whose number is used again is a new entry and never sees its predecessor's events.
 */
static int add_source(struct ps_loop *loop, struct source s)
{
	if (loop->n_sources == loop->room_sources) {
		size_t room = loop->room_sources ? 2 * loop->room_sources : ROOM_FIRST;
		struct source *sources = reallocarray(loop->sources, room, sizeof(*sources));
		if (!sources)
			return -ENOMEM;
		loop->sources = sources;
		zmq_pollitem_t *items = reallocarray(loop->items, room, sizeof(*items));
		if (!items)
			return -ENOMEM;
		loop->items = items;
		loop->room_sources = room;
	}
	loop->sources[loop->n_sources++] = s;
	return 0;
}

static void sweep(struct ps_loop *loop)
{
	size_t kept = 0;
	for (size_t i = 0; i < loop->n_sources; i++) {
		if (loop->sources[i].fn)
			loop->sources[kept++] = loop->sources[i];
	}
	loop->n_sources = kept;
}

void ps_loop_remove_fd(struct ps_loop *loop, int fd)
{
	for (size_t i = 0; i < loop->n_sources; i++) {
		if (!loop->sources[i].socket && loop->sources[i].fd == fd)
			loop->sources[i].fn = NULL;
	}
}

void ps_loop_remove_subscriber(struct ps_loop *loop, struct ps_subscriber *sub)
{
	const struct ps_socket *socket = ps_subscriber_socket(sub);
	for (size_t i = 0; i < loop->n_sources; i++) {
		if (loop->sources[i].socket == socket)
			loop->sources[i].fn = NULL;
	}
}

int ps_loop_add_fd_events(struct ps_loop *loop, int fd, short events, ps_loop_fn fn, void *arg)
{
	struct source s = {.fd = fd, .fn = fn, .arg = arg};
	if (fd < 0 || !fn)
		return -EINVAL;
	if (events & POLLIN)
		s.events |= ZMQ_POLLIN;
	if (events & POLLOUT)
		s.events |= ZMQ_POLLOUT;
	size_t before = loop->n_sources;
	int r = add_source(loop, s);
	if (r < 0)
		return r;
	for (size_t i = 0; i < before; i++) {
		if (!loop->sources[i].socket && loop->sources[i].fd == fd)
			loop->sources[i].fn = NULL;
	}
	return 0;
}

int ps_loop_add_fd(struct ps_loop *loop, int fd, ps_loop_fn fn, void *arg)
{
	return ps_loop_add_fd_events(loop, fd, POLLIN, fn, arg);
}

static int add_socket(struct ps_loop *loop, struct ps_socket *socket, ps_loop_fn fn, void *arg)
{
	if (!fn)
		return -EINVAL;
	return add_source(
		loop, (struct source){.fd = -1, .socket = socket, .events = ZMQ_POLLIN, .fn = fn, .arg = arg});
}

int ps_loop_add_subscriber(struct ps_loop *loop, struct ps_subscriber *sub, ps_loop_fn fn, void *arg)
{
	return add_socket(loop, ps_subscriber_socket(sub), fn, arg);
}

int ps_loop_add_publisher(struct ps_loop *loop, struct ps_publisher *pub, ps_loop_fn fn, void *arg)
{
	return add_socket(loop, ps_publisher_socket(pub), fn, arg);
}

int ps_loop_add_responder(struct ps_loop *loop, struct ps_responder *resp, ps_loop_fn fn, void *arg)
{
	return add_socket(loop, ps_responder_socket(resp), fn, arg);
}

int ps_loop_add_requester(struct ps_loop *loop, struct ps_requester *rq, ps_loop_fn fn, void *arg)
{
	return add_socket(loop, ps_requester_socket(rq), fn, arg);
}

/* --- timers -------------------------------------------------------------------------------------- */

int ps_loop_add_timer(struct ps_loop *loop, uint64_t interval_ns, ps_loop_fn fn, void *arg, int *ret_timer)
{
	if (!fn || loop->n_timers == INT_MAX)
		return -EINVAL;
	if (loop->n_timers == loop->room_timers) {
		size_t room = loop->room_timers ? 2 * loop->room_timers : ROOM_FIRST;
		struct timer *timers = reallocarray(loop->timers, room, sizeof(*timers));
		if (!timers)
			return -ENOMEM;
		loop->timers = timers;
		loop->room_timers = room;
	}
	int id = (int)loop->n_timers++;
	loop->timers[id] = (struct timer){.fn = fn, .arg = arg};
	ps_loop_set_timer(loop, id, interval_ns);
	if (ret_timer)
		*ret_timer = id;
	return 0;
}

void ps_loop_set_timer(struct ps_loop *loop, int timer, uint64_t interval_ns)
{
	struct timer *t = &loop->timers[timer];
	t->interval = interval_ns;
	if (__builtin_add_overflow(ps_clock_boot(), interval_ns, &t->due))
		t->due = UINT64_MAX;
}

static uint64_t next_beat(uint64_t interval_ns)
{
	return (ps_clock_boot() / interval_ns + 1) * interval_ns;
}

int ps_loop_add_beat(struct ps_loop *loop, uint64_t interval_ns, uint64_t slack_ns, ps_loop_fn fn, void *arg)
{
	int id;

	if (interval_ns == 0)
		return -EINVAL;
	int r = ps_loop_add_timer(loop, interval_ns, fn, arg, &id);
	if (r < 0)
		return r;
	loop->timers[id].due = next_beat(interval_ns);
	loop->timers[id].slack = slack_ns;
	loop->timers[id].beat = true;
	return 0;
}

static int run_timers(struct ps_loop *loop)
{
	for (size_t i = 0; i < loop->n_timers && !loop->stop; i++) {
		struct timer *t = &loop->timers[i];
		uint64_t now = ps_clock_boot();
		if (t->interval == 0 || now < t->due)
			continue;
		t->due += t->interval; /* keeps its beat … */
		if (t->due <= now)
			t->due = t->beat ? next_beat(t->interval) : now + t->interval; /* … unless it has lost it */
		/* The handler may move the list or change this timer: nothing of t is used behind it. */
		int r = t->fn(t->arg);
		if (r != 0)
			return r;
	}
	return 0;
}

/* Milliseconds until the next timer, rounded up; -1 = none. */
static long next_timer(const struct ps_loop *loop)
{
	uint64_t due = UINT64_MAX;
	for (size_t i = 0; i < loop->n_timers; i++) {
		if (loop->timers[i].interval)
			due = PS_MIN(due, loop->timers[i].due + loop->timers[i].slack);
	}
	if (due == UINT64_MAX)
		return -1;
	uint64_t now = ps_clock_boot();
	uint64_t left = due > now ? due - now : 0;
	return (long)PS_MIN((left + 999999) / 1000000, (uint64_t)INT_MAX);
}

/* --- signals ------------------------------------------------------------------------------------- */

static int on_signal(void *arg)
{
	struct ps_loop *loop = arg;
	struct signalfd_siginfo info;
	if (read(loop->signal_fd, &info, sizeof(info)) != sizeof(info))
		return 0;
	if (info.ssi_signo == SIGHUP && loop->on_hup)
		return loop->on_hup(loop->on_hup_arg);
	loop->stop = true;
	return 0;
}

int ps_loop_handle_signals(struct ps_loop *loop, ps_loop_fn on_hup, void *arg)
{
	sigset_t set;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	int r = -pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (r < 0)
		return r;
	int fd = signalfd(loop->signal_fd, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	loop->signal_fd = fd;
	loop->on_hup = on_hup;
	loop->on_hup_arg = arg;
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -errno;
	return ps_loop_add_fd(loop, fd, on_signal, loop);
}

/* --- running ------------------------------------------------------------------------------------- */

static bool has_more(struct ps_socket *s)
{
	int events = 0;
	size_t len = sizeof(events);
	return s && zmq_getsockopt(s->handle, ZMQ_EVENTS, &events, &len) == 0 && (events & ZMQ_POLLIN);
}

/* Calls the i-th source's handler: once for an fd, up to its turn while a bus socket has something. */
static int run_source(struct ps_loop *loop, size_t i)
{
	for (int turn = 0; turn < TURN_MAX; turn++) {
		struct source s = loop->sources[i]; /* the handler may move the list */
		if (!s.fn || loop->stop)
			return 0;
		int r = s.fn(s.arg);
		if (r != 0)
			return r;
		if (!s.socket || !loop->sources[i].fn || !has_more(s.socket))
			return 0;
	}
	return 0;
}

static int run_once(struct ps_loop *loop)
{
	sweep(loop);
	size_t n = loop->n_sources;
	for (size_t i = 0; i < n; i++) {
		const struct source *s = &loop->sources[i];
		loop->items[i] = (zmq_pollitem_t){.socket = s->socket ? s->socket->handle : NULL,
			.fd = s->socket ? 0 : s->fd,
			.events = s->events};
	}
	int rc = zmq_poll(loop->items, (int)n, next_timer(loop));
	if (rc < 0)
		return errno == EINTR ? 0 : -errno;

	for (size_t i = 0; rc > 0 && i < n; i++) {
		int r = loop->items[i].revents ? run_source(loop, i) : 0;
		if (r != 0)
			return r;
	}
	return 0;
}

int ps_loop_run(struct ps_loop *loop)
{
	int r = 0;
	while (r == 0 && !loop->stop) {
		r = run_timers(loop);
		if (r == 0 && !loop->stop)
			r = run_once(loop);
	}
	loop->stop = false;
	return r;
}

void ps_loop_stop(struct ps_loop *loop)
{
	loop->stop = true;
}
