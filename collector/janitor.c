#include "collector/janitor.h"

#include <errno.h>
#include <string.h>

#include "collector/detach.h"
#include "collector/limits.h"
#include "collector/lock.h"
#include "common/base/cleanup.h"
#include "common/bus/service.h"

static void tell_removed(void *arg, const char *what)
{
	(void)arg;
	ps_log(PS_LOG_INFO, "removed", "what=\"%s\"", what);
}

static int stop(void *arg)
{
	ps_loop_stop(arg);
	return 0;
}

/* A whole restart gives all containers their signal at once, and the collector is back before this has passed. */
static int wait_for_a_collector(void)
{
	_cleanup_(ps_loop_free) struct ps_loop *loop = NULL;
	int r = ps_loop_new(&loop);

	if (r == 0)
		r = ps_loop_add_timer(loop, PS_JANITOR_WAIT_NS, stop, loop, NULL);
	return r == 0 ? ps_loop_run(loop) : r;
}

static int clean_up(const struct ps_settings *settings, struct ps_error *err)
{
	_cleanup_(ps_lock_release) struct ps_lock_held *lock = NULL;
	struct ps_pins pins;
	int r = ps_pins_init(&pins, settings->pin_root, settings->gid, err);

	if (r == 0)
		r = wait_for_a_collector();
	if (r == 0)
		r = ps_lock_take(settings->run_dir, pins.root, &lock, err);
	if (r == -EWOULDBLOCK) {
		ps_log(PS_LOG_INFO, "a collector works here: nothing is taken off", NULL);
		return 0;
	}
	return r == 0 ? ps_detach_all(&pins, false, tell_removed, NULL, err) : r;
}

enum ps_exit ps_janitor_run(const struct ps_settings *settings)
{
	_cleanup_(ps_loop_free) struct ps_loop *loop = NULL;
	struct ps_error err = {0};
	int r = ps_loop_new(&loop);

	if (r == 0)
		r = ps_loop_handle_signals(loop, NULL, NULL);
	if (r == 0) {
		ps_log(PS_LOG_INFO, "ready", "keep=%s", settings->keep_on_exit ? "yes" : "no");
		r = ps_service_run(loop);
	}
	if (r == 0 && !settings->keep_on_exit)
		r = clean_up(settings, &err);
	if (r < 0) {
		ps_log_failure("cannot clean up", r, &err);
		return PS_EXIT_FAILED;
	}
	ps_log(PS_LOG_INFO, "stopped", NULL);
	return PS_EXIT_OK;
}
