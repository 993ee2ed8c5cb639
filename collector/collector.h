/*
 * The collector put together: lock, pins, object, interfaces, rings, bus, in one event loop.
 */
#ifndef PS_COLLECTOR_H
#define PS_COLLECTOR_H

#include "collector/settings.h"

/* Exit statuses of the program. */
enum ps_exit {
	PS_EXIT_OK = 0,
	PS_EXIT_FAILED = 1,
	PS_EXIT_USAGE = 2,   /* the command line, the environment or the configuration file */
	PS_EXIT_HELD = 3,    /* an interface holds another XDP program, or a newer version is at work */
	PS_EXIT_RUNNING = 4, /* another collector works on this pin root or run directory */
};

/* Runs until SIGINT or SIGTERM. Links and maps stay unless !settings->keep_on_exit. */
enum ps_exit ps_collector_run(const struct ps_settings *settings);

/* --detach: prints what was removed, one a line. */
enum ps_exit ps_collector_detach(const struct ps_settings *settings);

/* --health: prints "ok", or what is wrong and fails. */
enum ps_exit ps_collector_health(const struct ps_settings *settings);

/* --probe: prints a JSON object. */
enum ps_exit ps_collector_probe(const struct ps_settings *settings);

/* Logs why something could not be done (an error without words gets those of -r), and says with what to exit. */
enum ps_exit ps_collector_fail(const char *msg, int r, struct ps_error *err);

#endif
