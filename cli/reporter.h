/*
 * The part of `up` that talks to the person in front of it: waits until everything is ready, gives the page's address,
 * prints a summary every interval. It asks the gateway and may wait for it, so it has a thread of its own and the
 * supervisor never waits. It shares nothing with that but the wish to stop.
 */
#ifndef PS_REPORTER_H
#define PS_REPORTER_H

#include "cli/settings.h"
#include "common/base/error.h"

struct ps_reporter;

/*
 * Uses api, iface, interval, json, quiet and what a client needs of the settings, which must live as long as the
 * reporter. Call it after signals were blocked. -EINVAL fills err (field "api").
 */
int ps_reporter_new(const struct ps_settings *settings, struct ps_reporter **ret_reporter, struct ps_error *err);

/* Says nothing more; does not wait. */
void ps_reporter_stop(struct ps_reporter *reporter);

/* Stops it and waits until it has given up a request that is under way. */
void ps_reporter_free(struct ps_reporter **reporter);

#endif
