/*
 * The program as a service: what it tells whoever started it, and how it is asked whether it is well.
 */
#ifndef PS_SERVICE_H
#define PS_SERVICE_H

#include "common/base/error.h"
#include "common/bus/loop.h"

/*
 * Runs the loop (ps_loop_run) and tells the service manager that the program serves now, as often as the manager wants
 * it (WATCHDOG_USEC) that its loop still turns, and at last that it stops: the protocol of sd_notify(3). Started by
 * hand, without NOTIFY_SOCKET, it only runs the loop. A manager that does not listen is no error. -ENOMEM.
 */
int ps_service_run(struct ps_loop *loop);

/*
 * Asks the program that answers at `endpoint` for its `status`. 0 = it answered, and `field` of what it said, if not
 * NULL, is the word "ok". -errno fills err with what it said, or that it said nothing within timeout_ms.
 */
int ps_service_ask(const char *endpoint, const char *field, int timeout_ms, struct ps_error *err);

/* For `--health`, which containers run: prints "ok" or the reason, and returns the exit status (0 or 1). */
int ps_service_health(int r, const struct ps_error *err);

#endif
