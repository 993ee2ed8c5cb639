#include "collector/collector.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/detach.h"
#include "collector/lock.h"
#include "collector/maps.h"
#include "collector/object.h"
#include "collector/publish.h"
#include "collector/pump.h"
#include "collector/runtime.h"
#include "collector/takeover.h"
#include "collector/watch.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/default_route.h"
#include "common/bus/service.h"

struct collector {
	const struct ps_settings *settings;
	const char *ifaces; /* settings->iface, or the one chosen */
	char chosen[PS_IFACE_SIZE];
	struct ps_pins pins;
	struct ps_lock_held *lock;
	struct ps_maps *maps;
	int xdp_prog, tc_prog;
	struct ps_watch *watch;
	struct ps_runtime_link *runtime;
	struct ps_loop *loop;
	struct ps_bus *bus;
	struct ps_ledger *ledger;
	struct ps_publish *publish;
	struct ps_pump *pump;
	struct ps_record_env env;
	int takeover;           /* timer; runs while a former version's programs are still in our place */
	uint64_t waiting_since; /* boot time; 0 = they are not */
	bool told_waiting;
	uint64_t told_malformed;
	uint64_t told_strangers;
};

static void stop(struct collector *c)
{
	ps_pump_free(&c->pump);
	ps_publish_free(&c->publish);
	ps_bus_free(&c->bus);
	ps_loop_free(&c->loop);
	ps_runtime_close(&c->runtime);
	ps_watch_free(&c->watch);
	ps_maps_unmap((void **)&c->ledger, sizeof(struct ps_ledger));
	ps_maps_free(&c->maps);
	ps_closep(&c->xdp_prog);
	ps_closep(&c->tc_prog);
	ps_lock_release(&c->lock);
}

/* --- handlers ---------------------------------------------------------------------------------- */

/* Warns when there are twice as many as at the last warning. */
static void tell_malformed(struct collector *c)
{
	uint64_t n = ps_publish_malformed(c->publish);

	if (n == 0 || n < 2 * c->told_malformed)
		return;
	c->told_malformed = n;
	ps_log(PS_LOG_WARN, "events from the kernel that break the ABI were left out", "count=%llu",
		(unsigned long long)n);
}

static void tell_strangers(struct collector *c)
{
	uint64_t n = ps_bus_strangers(c->bus);

	if (n == 0 || n < 2 * c->told_strangers)
		return;
	c->told_strangers = n;
	ps_log(PS_LOG_WARN, "clients whose key is not on the list were turned away", "count=%llu allow=%s",
		(unsigned long long)n, c->settings->curve_allow);
}

static void refresh_clocks(struct collector *c)
{
	ps_runtime_refresh(c->runtime);
	c->env.wall_offset = ps_clock_wall_offset();
}

/* The aggregator tells from this whether we work: a process that is stopped still holds its sockets open. */
static void tell_alive(struct collector *c, uint64_t now)
{
	__atomic_store_n(&c->ledger->pid, now ? (uint64_t)getpid() : 0, __ATOMIC_RELAXED);
	__atomic_store_n(&c->ledger->alive, now, __ATOMIC_RELEASE);
}

/*
 * What peers made libzmq keep for a while is given back page by page, not only from the end of the heap. What the last
 * tick used stays: the next one would have to fetch it again.
 */
static void give_back(void)
{
	if (mallinfo2().fordblks > PS_KEEP_BYTES)
		(void)malloc_trim(PS_KEEP_BYTES);
}

static int on_tick(void *arg)
{
	struct collector *c = arg;
	uint64_t lost[PS_EV_TYPES];

	refresh_clocks(c);
	tell_alive(c, ps_clock_boot());
	if (ps_runtime_lost(c->maps, lost) == 0)
		ps_publish_set_lost(c->publish, lost);
	(void)ps_publish_flush(c->publish, ps_clock_boot(), false);
	ps_publish_mark(c->publish);
	tell_malformed(c);
	tell_strangers(c);
	give_back();
	ps_watch_tick(c->watch);
	/* Should the aggregator's call have gone astray. */
	ps_maps_make_room(c->maps);
	return 0;
}

/* The aggregator has written what it wants to ps_runtime, and waits. A call that says nothing new costs two loads. */
static int on_call(void *arg)
{
	struct collector *c = arg;

	if (ps_publish_called(c->publish))
		ps_maps_make_room(c->maps);
	return 0;
}

static int on_clock_set(void *arg)
{
	struct collector *c = arg;

	ps_runtime_clock_set(c->runtime);
	refresh_clocks(c);
	return 0;
}

static int on_interfaces(void *arg)
{
	struct collector *c = arg;

	ps_watch_read(c->watch);
	return 0;
}

/* --- taking over -------------------------------------------------------------------------------- */

static void tell_waiting(struct collector *c, uint64_t since)
{
	c->waiting_since = since;
	__atomic_store_n(&c->ledger->waiting_since, since, __ATOMIC_RELAXED);
}

/* Our programs onto the interfaces, in the place of those that may be there. */
static int attach(struct collector *c, struct ps_error *err)
{
	uint32_t former = ps_takeover_version(ps_maps_takeover(c->maps));
	int r = ps_takeover_swap(ps_maps_takeover(c->maps));

	if (r < 0)
		ps_log(PS_LOG_WARN, "some of what the former version counted is lost", "version=%u reason=\"%s\"",
			former, strerror(-r));
	r = ps_watch_start(c->watch, err);
	if (r == 0)
		r = ps_loop_add_fd(c->loop, ps_watch_fd(c->watch), on_interfaces, c);
	if (r < 0)
		return r;
	ps_maps_settle(c->maps);
	tell_waiting(c, 0);
	if (former)
		ps_log(PS_LOG_INFO, "took over from a former version", "version=%u now=%u pins=%s", former,
			PS_ABI_VERSION, c->pins.maps);
	return 0;
}

static int on_takeover(void *arg)
{
	struct collector *c = arg;
	struct ps_error err = {0};
	int r;

	if (ps_takeover_waits(ps_maps_takeover(c->maps))) {
		ps_takeover_follow(ps_maps_takeover(c->maps));
		if (!c->told_waiting && ps_clock_boot() - c->waiting_since > PS_TAKEOVER_PATIENCE_NS) {
			c->told_waiting = true;
			ps_log(PS_LOG_WARN,
				"still waiting for an aggregator of this version to write the rules: the programs of "
				"the former one go on enforcing theirs",
				"version=%u", ps_takeover_version(ps_maps_takeover(c->maps)));
		}
		return 0;
	}
	ps_loop_set_timer(c->loop, c->takeover, 0);
	r = attach(c, &err);
	if (r < 0)
		ps_log_failure("cannot take over", r, &err);
	return r;
}

/* At once, or as soon as there are rules. */
static int begin_to_attach(struct collector *c, struct ps_error *err)
{
	if (!ps_takeover_waits(ps_maps_takeover(c->maps)))
		return attach(c, err);
	tell_waiting(c, ps_clock_boot());
	ps_log(PS_LOG_INFO,
		"the programs of a former version go on until the aggregator has written the rules in their new form",
		"version=%u now=%u", ps_takeover_version(ps_maps_takeover(c->maps)), PS_ABI_VERSION);
	return ps_loop_add_timer(c->loop, PS_TAKEOVER_NS, on_takeover, c, &c->takeover);
}

/* --- start ------------------------------------------------------------------------------------- */

static int open_pins(struct collector *c, struct ps_error *err)
{
	int r = ps_pins_init(&c->pins, c->settings->pin_root, c->settings->gid, err);

	if (r == 0)
		r = ps_pins_make(&c->pins, err);
	if (r == 0)
		r = ps_lock_take(c->settings->run_dir, c->pins.root, &c->lock, err);
	if (c->pins.mounted)
		ps_log(PS_LOG_INFO, "mounted the BPF file system", "path=/sys/fs/bpf");
	return r;
}

/* What libbpf and the verifier said, line by line. */
static void tell_log(struct ps_buf *log)
{
	const char *text = ps_buf_str(log);

	for (const char *p = text ? text : ""; *p; p += strcspn(p, "\n"), p += *p == '\n')
		if (strcspn(p, "\n") > 0)
			ps_log(PS_LOG_ERROR, "libbpf", "text=\"%.*s\"", (int)strcspn(p, "\n"), p);
}

static int load(struct collector *c, struct ps_error *err)
{
	_cleanup_(ps_object_free) struct ps_object *object = NULL;
	_cleanup_(ps_buf_free) struct ps_buf log = PS_BUF_INIT;
	const struct ps_meta *meta;
	int r = ps_object_open(c->settings->trace, &object, err);

	if (r == 0)
		r = ps_object_load(object, &c->pins, (uint32_t)c->settings->max_connections, &c->maps, &log, err);
	if (r < 0) {
		tell_log(&log);
		return r;
	}
	c->xdp_prog = ps_object_xdp(object);
	c->tc_prog = ps_object_tc(object);
	meta = ps_maps_meta(c->maps);
	ps_log(PS_LOG_INFO, ps_maps_reused(c->maps) ? "took the maps that were there" : "made the maps",
		"pins=%s max_connections=%u rings=%u ring_bytes=%u trace=%s", c->pins.maps, meta->max_connections,
		meta->cpus, meta->ring_bytes, c->settings->trace ? "yes" : "no");
	if (meta->max_connections != c->settings->max_connections)
		ps_log(PS_LOG_WARN,
			"the maps keep the size they were made with: 'packetscope-collector --detach --purge' first, "
			"then start, "
			"for the new one",
			"max_connections=%u asked=%llu", meta->max_connections,
			(unsigned long long)c->settings->max_connections);
	return 0;
}

/* The bus makes its sockets 0660: the aggregator and the taps come in through the group. */
static int own_socket(const struct collector *c, const char *endpoint, struct ps_error *err)
{
	static const char ipc[] = "ipc://";

	if (strncmp(endpoint, ipc, strlen(ipc)) != 0 || chown(endpoint + strlen(ipc), (uid_t)-1, c->pins.gid) == 0)
		return 0;
	return ps_error_set(err, -errno, 500, "no_group", "group", "Cannot give %s to its group: %s.",
		endpoint + strlen(ipc), strerror(errno));
}

static int open_bus(struct collector *c, struct ps_error *err)
{
	struct ps_endpoints where;
	void *ledger = NULL;
	int r = ps_endpoints_default(c->settings->run_dir, &where);

	if (r < 0)
		return ps_error_set(err, r, 400, "bad_option", "run-dir", "The run directory's name is too long.");
	r = ps_bus_new(&c->bus);
	if (r == 0)
		r = ps_bus_secure(c->bus, c->settings->curve_key, c->settings->curve_allow, c->settings->insecure, err);
	if (r == 0)
		r = ps_maps_mmap(c->maps, "ps_ledger", sizeof(struct ps_ledger), &ledger, err);
	c->ledger = ledger;
	if (r == 0)
		r = ps_publish_new(c->bus, &where, c->ledger, &c->publish, err);
	if (r == 0)
		r = ps_publish_bind(c->publish, c->settings->events_bind, err);
	if (r == 0)
		r = own_socket(c, where.events, err);
	if (r == 0)
		r = own_socket(c, where.feed, err);
	return r;
}

static int open_watch(struct collector *c, struct ps_error *err)
{
	const struct ps_watch_config config = {
		.names = c->ifaces,
		.xdp_mode = c->settings->xdp_mode,
		.tc_mode = c->settings->tc_mode,
		.ingress_only = c->settings->ingress_only,
		.xdp_prog = c->xdp_prog,
		.tc_prog = c->tc_prog,
	};
	int r = ps_watch_new(&config, &c->pins, c->maps, &c->watch, err);

	if (r == 0)
		r = ps_runtime_open(c->maps, c->settings->report_interval, &c->runtime, err);
	if (r == 0)
		r = begin_to_attach(c, err);
	if (r < 0)
		return r;
	c->env.iface_name = ps_watch_name;
	c->env.arg = c->watch;
	refresh_clocks(c);
	return 0;
}

static int open_loop(struct collector *c, struct ps_error *err)
{
	size_t n;
	const int *rings = ps_maps_rings(c->maps, &n);
	int r = ps_pump_new(c->loop, rings, n, ps_maps_meta(c->maps)->ring_bytes, c->publish, &c->env, &c->pump, err);

	if (r == 0)
		r = ps_loop_add_fd(c->loop, ps_runtime_fd(c->runtime), on_clock_set, c);
	if (r == 0)
		r = ps_loop_add_beat(c->loop, PS_TICK_NS, 0, on_tick, c);
	if (r == 0)
		r = ps_publish_listen(c->publish, c->loop, on_call, c);
	return r;
}

/* Without a name, the interface with the default route; a name that cannot be is said before anything is made. */
static int choose_names(struct collector *c, struct ps_error *err)
{
	struct ps_watch_config config = {.names = c->settings->iface};
	_cleanup_(ps_watch_free) struct ps_watch *watch = NULL;

	if (!*config.names) {
		int r = ps_default_route(c->chosen, err);

		/* It may come with the network: a start a moment later can find it. */
		if (r < 0)
			return ps_error_set(err, r, 503, "no_default_route", "iface",
				"There is no default route (yet), so no interface could be chosen; name those to watch "
				"with --iface, 'ip -br link' lists them.");
		config.names = c->chosen;
	}
	c->ifaces = config.names;
	return ps_watch_new(&config, NULL, NULL, &watch, err);
}

static int start(struct collector *c, struct ps_error *err)
{
	int r = choose_names(c, err);

	if (r == 0)
		r = ps_loop_new(&c->loop);
	/* Before libzmq starts its thread, which is to leave the signals to us. */
	if (r == 0)
		r = ps_loop_handle_signals(c->loop, NULL, NULL);
	if (r == 0)
		r = open_pins(c, err);
	if (r == 0)
		r = load(c, err);
	if (r == 0)
		r = open_bus(c, err);
	if (r == 0)
		r = open_watch(c, err);
	if (r == 0)
		r = open_loop(c, err);
	return r;
}

static void detach_at_end(struct collector *c)
{
	struct ps_error err = {0};
	int r = ps_detach_all(&c->pins, false, NULL, NULL, &err);

	if (r < 0)
		ps_log_failure("cannot detach", r, &err);
	else
		ps_log(PS_LOG_INFO, "detached", NULL);
}

enum ps_exit ps_collector_run(const struct ps_settings *settings)
{
	_cleanup_(stop) struct collector c = {.settings = settings, .xdp_prog = -1, .tc_prog = -1};
	struct ps_error err = {0};
	unsigned wanted, attached;
	int r;

	/* One heap for our thread and libzmq's: what a burst took is given back instead of kept by each. */
	(void)mallopt(M_ARENA_MAX, 1);
	r = start(&c, &err);
	if (r < 0)
		return ps_collector_fail("cannot start", r, &err);
	/* libbpf has left; what it needed goes back to the system. */
	(void)malloc_trim(0);
	tell_alive(&c, ps_clock_boot());
	attached = ps_watch_attached(c.watch, &wanted);
	ps_log(PS_LOG_INFO, "ready", "attached=%u wanted=%u pid=%d", attached, wanted, (int)getpid());
	r = ps_service_run(c.loop);
	if (!settings->keep_on_exit)
		detach_at_end(&c);
	ps_pump_finish(c.pump);
	tell_alive(&c, 0);
	if (r < 0)
		return ps_collector_fail("event loop failed", r, &err);
	ps_log(PS_LOG_INFO, "stopped", "programs=%s", settings->keep_on_exit ? "attached" : "detached");
	return PS_EXIT_OK;
}
