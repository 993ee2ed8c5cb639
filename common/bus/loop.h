/*
 * The event loop of every program: descriptors, bus sockets, timers and signals in one thread.
 */
#ifndef PS_LOOP_H
#define PS_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bus/bus.h"

struct ps_loop;

/* A handler's non-zero return ends ps_loop_run with that value. */
typedef int (*ps_loop_fn)(void *arg);

int ps_loop_new(struct ps_loop **ret_loop);
void ps_loop_free(struct ps_loop **loop);

/* Called while the descriptor is readable (level-triggered); a bus object: while it has something to take. */
int ps_loop_add_fd(struct ps_loop *loop, int fd, ps_loop_fn fn, void *arg);
/* The same with poll(2)'s events (POLLIN, POLLOUT); adding an fd again replaces it. */
int ps_loop_add_fd_events(struct ps_loop *loop, int fd, short events, ps_loop_fn fn, void *arg);
int ps_loop_add_subscriber(struct ps_loop *loop, struct ps_subscriber *sub, ps_loop_fn fn, void *arg);
/* The handler asks ps_publisher_called each time, which takes what there is. */
int ps_loop_add_publisher(struct ps_loop *loop, struct ps_publisher *pub, ps_loop_fn fn, void *arg);
int ps_loop_add_responder(struct ps_loop *loop, struct ps_responder *resp, ps_loop_fn fn, void *arg);
int ps_loop_add_requester(struct ps_loop *loop, struct ps_requester *rq, ps_loop_fn fn, void *arg);
void ps_loop_remove_fd(struct ps_loop *loop, int fd);
/* Before the subscriber is freed while the loop goes on. */
void ps_loop_remove_subscriber(struct ps_loop *loop, struct ps_subscriber *sub);

/* Repeats every interval_ns; a late timer fires once, not several times. Returns its handle in ret_timer (may be NULL).
 */
int ps_loop_add_timer(struct ps_loop *loop, uint64_t interval_ns, ps_loop_fn fn, void *arg, int *ret_timer);
/* Changes a timer's interval and starts it anew; 0 stops it. A stopped timer stays known. */
void ps_loop_set_timer(struct ps_loop *loop, int timer, uint64_t interval_ns);

/*
 * A timer that keeps step with those of other programs: due at each multiple of interval_ns of the boot clock, so that
 * a machine at rest wakes up once for all of them. With `slack_ns` it waits up to so long for a wake-up that comes
 * anyway.
 */
int ps_loop_add_beat(struct ps_loop *loop, uint64_t interval_ns, uint64_t slack_ns, ps_loop_fn fn, void *arg);

/*
 * SIGINT and SIGTERM end the loop with 0; SIGPIPE is ignored. Must be called before other threads start. `on_hup` is
 * called at SIGHUP; if it is NULL, SIGHUP ends the loop too (the terminal is gone). The signals are blocked: a child
 * must unblock them before it executes a program.
 */
int ps_loop_handle_signals(struct ps_loop *loop, ps_loop_fn on_hup, void *arg);

/* Runs until a handler returns non-zero (that value), a signal (0) or ps_loop_stop (0). */
int ps_loop_run(struct ps_loop *loop);
void ps_loop_stop(struct ps_loop *loop);

#endif
