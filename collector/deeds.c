/* What the collector does besides running: collector.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "collector/alive.h"
#include "collector/collector.h"
#include "collector/detach.h"
#include "collector/host.h"
#include "collector/lock.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/bus/service.h"
#include "common/codec/json.h"

static enum ps_exit status_of(int r, const struct ps_error *err)
{
	if (r == -EWOULDBLOCK && strcmp(err->code, "already_running") == 0)
		return PS_EXIT_RUNNING;
	if ((r == -EBUSY && strncmp(err->code, "xdp_", 4) == 0) || strcmp(err->code, "newer_pins") == 0)
		return PS_EXIT_HELD;
	return err->status == 400 ? PS_EXIT_USAGE : PS_EXIT_FAILED;
}

enum ps_exit ps_collector_fail(const char *msg, int r, struct ps_error *err)
{
	if (!err->message[0])
		(void)ps_error_set(err, r, 500, "system", "", "%s", strerror(-r));
	ps_log_failure(msg, r, err);
	return status_of(r, err);
}

static void print_removed(void *arg, const char *what)
{
	(void)arg;
	(void)printf("removed %s\n", what);
}

enum ps_exit ps_collector_detach(const struct ps_settings *settings)
{
	_cleanup_(ps_lock_release) struct ps_lock_held *lock = NULL;
	struct ps_error err = {0};
	struct ps_pins pins;
	int r = ps_pins_init(&pins, settings->pin_root, settings->gid, &err);

	if (r == 0)
		r = ps_lock_take(settings->run_dir, pins.root, &lock, &err);
	if (r == 0)
		r = ps_detach_all(&pins, settings->purge, print_removed, NULL, &err);
	return r < 0 ? ps_collector_fail("cannot detach", r, &err) : PS_EXIT_OK;
}

enum ps_exit ps_collector_health(const struct ps_settings *settings)
{
	struct ps_error err = {0};
	struct ps_pins pins;
	int r = ps_pins_init(&pins, settings->pin_root, settings->gid, &err);

	if (r == 0)
		r = ps_alive(&pins, &err);
	return ps_service_health(r, &err) ? PS_EXIT_FAILED : PS_EXIT_OK;
}

enum ps_exit ps_collector_probe(const struct ps_settings *settings)
{
	_cleanup_(ps_value_free) struct ps_value *v = NULL;
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	struct ps_error err = {0};
	struct ps_pins pins;
	int r = ps_pins_init(&pins, settings->pin_root, settings->gid, &err);

	if (r < 0)
		return ps_collector_fail("cannot probe", r, &err);
	v = ps_host_probe(&pins, settings->iface);
	if (!v)
		return ps_collector_fail("cannot probe", -ENOMEM, &err);
	ps_json_write_pretty(&text, v);
	if (!ps_buf_str(&text))
		return ps_collector_fail("cannot probe", text.error, &err);
	(void)printf("%s\n", ps_buf_str(&text));
	return PS_EXIT_OK;
}
