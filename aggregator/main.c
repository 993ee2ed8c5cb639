/*
 * packetscope-aggregator: options, sockets, and one event loop around aggregator.h.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "aggregator/aggregator.h"
#include "aggregator/control.h"
#include "aggregator/kernel_maps.h"
#include "aggregator/limits.h"
#include "aggregator/notice.h"
#include "aggregator/rule_text.h"
#include "bpf/abi.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/program.h"
#include "common/bus/bus.h"
#include "common/bus/loop.h"
#include "common/bus/service.h"

/* Exit status: the state directory is a newer version's; starting again would not help. */
#define PS_EXIT_NEWER 3

struct settings {
	const char *run_dir;
	const char *pin_root;
	const char *state_dir;
	const char *log_level;
	const char *protect, *ssh_port;
	const char *feed, *state, *control; /* endpoints; "" = under the run directory */
	bool health;
	const char *state_bind, *query_bind;
	const char *curve_key, *curve_allow;
	bool insecure;
	bool version;
	struct ps_timeouts timeouts;
};

static const struct ps_option options[] = {
	PS_OPT_STR("run-dir", 0, struct settings, run_dir, "/run/packetscope", "DIR", "directory of the sockets"),
	PS_OPT_STR("pin-root", 0, struct settings, pin_root, "/sys/fs/bpf/packetscope", "DIR",
		"directory of the pinned kernel maps"),
	PS_OPT_STR("state-dir", 0, struct settings, state_dir, "/var/lib/packetscope", "DIR",
		"directory of the rules and their audit"),
	PS_OPT_STR("log-level", 0, struct settings, log_level, "info", "LEVEL", "error, warn, info or debug"),
	PS_OPT_LIST("protect", 0, struct settings, protect, "", "CIDR[,CIDR…]",
		"networks whose traffic no rule may cut without force"),
	PS_OPT_LIST("ssh-port", 0, struct settings, ssh_port, "22", "PORT[,PORT…]",
		"ports whose sessions no rule may cut without force; 0 = none"),
	PS_OPT_STR("feed", 0, struct settings, feed, "", "ENDPOINT", "where the collector's feed is"),
	PS_OPT_STR("state", 0, struct settings, state, "", "ENDPOINT", "where to publish"),
	PS_OPT_STR("control", 0, struct settings, control, "", "ENDPOINT", "where to answer requests"),
	PS_OPT_DEED("health", 0, struct settings, health, "ask the aggregator that runs whether it is well"),
	PS_OPT_DEED("version", 0, struct settings, version, "print the version and exit"),
	PS_OPT_STR("state-bind", 0, struct settings, state_bind, "", "tcp://ADDRESS:PORT[,…]", "where else to publish"),
	PS_OPT_STR("query-bind", 0, struct settings, query_bind, "", "tcp://ADDRESS:PORT[,…]",
		"where to answer requests that change nothing"),
	PS_OPT_STR(
		"curve-key", 0, struct settings, curve_key, "", "FILE", "our secret key for tcp (packetscope keygen)"),
	PS_OPT_STR("curve-allow", 0, struct settings, curve_allow, "", "DIR|FILE",
		"public keys of those who may come in over tcp"),
	PS_OPT_BOOL("insecure", 0, struct settings, insecure, "bind tcp without keys, on any address"),
#define PS_TIMEOUT(name, option, fallback, help) \
	PS_OPT_SECONDS(option, 0, struct settings, timeouts.name, fallback, 1, 0, help),
#include "aggregator/timeout.def"
	PS_OPT_END,
};

struct program {
	struct ps_aggregator *agg;
	struct ps_publisher *state;
	struct ps_subscriber *feed;
	struct ps_bus *bus;
	struct ps_responder *control;
	struct ps_responder *query; /* the same for taps, and changes nothing; NULL = not asked for */
	uint64_t strangers;         /* turned away, as last logged */
	uint64_t ticks;
	struct ps_loop *loop;
	bool attached; /* as last logged */
	struct ps_notice trouble;
	size_t warnings; /* of the rule store, logged so far */
};

static struct ps_agg_time time_now(void)
{
	return (struct ps_agg_time){.boot = ps_clock_boot(), .wall_offset = ps_clock_wall_offset()};
}

/* --- what the aggregator tells ---------------------------------------------------------------------- */

static void publish_conn(void *arg, enum ps_topic topic, const struct ps_conn *c, uint64_t now)
{
	struct program *p = arg;

	(void)ps_publisher_record(p->state, topic, c, now);
}

static void publish_map(void *arg, enum ps_topic topic, const struct ps_value *v)
{
	struct program *p = arg;

	(void)ps_publisher_map(p->state, topic, v);
}

/* --- events of the loop ----------------------------------------------------------------------------- */

static void log_changes(struct program *p, uint64_t now)
{
	const struct ps_value *warnings = ps_rule_store_warnings(p->agg->rules);
	size_t n = ps_value_count(warnings);

	if (p->agg->attached != p->attached) {
		p->attached = p->agg->attached;
		if (p->attached)
			ps_log(PS_LOG_INFO, "kernel maps opened", "slots=%u generation=%u",
				ps_kernel_slots(&p->agg->view), ps_rule_store_generation(p->agg->rules));
		else
			ps_log(PS_LOG_WARN, "kernel maps are gone", NULL);
	}
	if (ps_notice_due(&p->trouble, ps_aggregator_trouble(p->agg), now))
		ps_log(p->attached ? PS_LOG_ERROR : PS_LOG_WARN,
			p->attached ? "the kernel part is not as it should be" : "waiting for the kernel part",
			"reason=\"%s\"", p->trouble.text);
	/* The list keeps the last few: when it is shorter than what was logged, it was cut. */
	for (size_t i = PS_MIN(p->warnings, n); i < n; i++)
		ps_log(PS_LOG_WARN, "rules", "reason=\"%s\"", ps_value_as_string(ps_value_at(warnings, i), ""));
	p->warnings = n;
	if (ps_bus_strangers(p->bus) > 2 * p->strangers) {
		p->strangers = ps_bus_strangers(p->bus);
		ps_log(PS_LOG_WARN, "clients whose key is not on the list were turned away", "count=%llu",
			(unsigned long long)p->strangers);
	}
}

/* What somebody made us hold who sends nonsense goes back, page by page. With many connections it would cost too much.
 */
static void give_back(struct program *p)
{
	bool nonsense = memcmp(&p->agg->thrown, &p->agg->booked, sizeof(p->agg->booked)) != 0;
	struct ps_conn_totals totals;

	ps_conn_table_totals(p->agg->conns, &totals);
	if (!nonsense && (++p->ticks % PS_TRIM_TICKS != 0 || totals.live >= PS_TRIM_LIVE_MAX))
		return;
	/* What the ticks themselves use stays: the next one would have to fetch it again. */
	if (mallinfo2().fordblks > PS_MALLOC_KEEP_BYTES)
		(void)malloc_trim(PS_MALLOC_KEEP_BYTES);
}

static int on_tick(void *arg)
{
	struct program *p = arg;
	const struct ps_agg_time now = time_now();

	p->agg->thrown = (struct ps_agg_thrown){
		.broken_messages = ps_subscriber_malformed(p->feed),
		.broken_requests =
			ps_responder_malformed(p->control) + (p->query ? ps_responder_malformed(p->query) : 0),
		.late_requests = ps_responder_late(p->control) + (p->query ? ps_responder_late(p->query) : 0),
	};
	give_back(p);
	ps_aggregator_tick(p->agg, &now);
	(void)ps_publisher_flush(p->state, now.boot, true);
	ps_publisher_mark(p->state, 1u << PS_TOPIC_CONN_UPDATE | 1u << PS_TOPIC_CONN_END);
	log_changes(p, now.boot);
	return 0;
}

/* The collector is asked for room in the kernel's maps. */
static void call_collector(void *arg)
{
	struct program *p = arg;

	if (p->feed)
		(void)ps_subscriber_call(p->feed);
}

static int on_feed(void *arg)
{
	struct program *p = arg;
	const struct ps_agg_time now = time_now();

	for (int i = 0; i < PS_FEED_BURST; i++) {
		_cleanup_(ps_message_free) struct ps_message m = {0};
		int r = ps_subscriber_next(p->feed, &m);

		if (r == 0)
			break;
		if (r < 0 || ps_aggregator_message(p->agg, &m, &now) < 0)
			ps_log(PS_LOG_DEBUG, "a message of the feed breaks the format", NULL);
	}
	return 0;
}

/* In the middle of a tick. */
static void breathe(void *arg)
{
	(void)on_feed(arg);
}

static int take_request(struct program *p, struct ps_responder *from)
{
	_cleanup_(ps_request_free) struct ps_request req = {0};
	_cleanup_(ps_answer_free) struct ps_answer answer = {0};
	const struct ps_agg_time now = time_now();
	const uint8_t *payload = NULL;
	size_t len = 0;

	if (ps_responder_next(from, &req) <= 0)
		return 0;
	if (from == p->query && !ps_control_only_reads(req.op)) {
		answer.status = 403;
		(void)ps_error_set(&answer.error, -EPERM, 403, "read_only", "op",
			"\"%.40s\" is not answered here: this socket is for requests that change nothing", req.op);
	} else {
		ps_control_answer(p->agg, p->state, &req, &now, &answer);
	}
	if (answer.status < 400 && answer.has_records)
		ps_batch_payload(&answer.records, &payload, &len);
	(void)ps_responder_reply(from, &req, answer.status, answer.body, payload, len, &answer.error);
	(void)ps_publisher_flush(p->state, now.boot, true);
	/* 503 is the operator's to see in `status`, and told once when it begins. */
	if (answer.status >= 500 && answer.status != 503)
		ps_log(PS_LOG_WARN, "request failed", "op=\"%s\" status=%d code=%s reason=\"%s\"", req.op,
			answer.status, answer.error.code, answer.error.message);
	return 0;
}

static int on_control(void *arg)
{
	struct program *p = arg;

	return take_request(p, p->control);
}

static int on_query(void *arg)
{
	struct program *p = arg;

	return take_request(p, p->query);
}

/* --- start ------------------------------------------------------------------------------------------ */

static void take_endpoint(char to[static 128], const char *given)
{
	size_t len = strlen(given);

	if (len && len < 128)
		memcpy(to, given, len + 1);
}

static int open_sockets(struct program *p, struct ps_bus *bus, const struct settings *s, struct ps_error *err)
{
	struct ps_endpoints ep;
	int r = ps_endpoints_default(s->run_dir, &ep);

	if (r < 0)
		return ps_error_set(err, r, 400, "bad_value", "run-dir", "the name is too long");
	take_endpoint(ep.feed, s->feed);
	take_endpoint(ep.state, s->state);
	take_endpoint(ep.control, s->control);
	if (mkdir(s->run_dir, 0750) < 0 && errno != EEXIST)
		return ps_error_set(
			err, -errno, 500, "run_dir", "run-dir", "cannot make %s: %s", s->run_dir, strerror(errno));
	r = ps_publisher_new(bus, ep.state, false, &p->state, err);
	if (r >= 0)
		r = ps_responder_new(bus, ep.control, &p->control, err);
	if (r >= 0)
		r = ps_publisher_bind(p->state, s->state_bind, err);
	if (r >= 0 && *s->query_bind)
		r = ps_responder_new(bus, "", &p->query, err);
	if (r >= 0 && p->query)
		r = ps_responder_bind(p->query, s->query_bind, err);
	if (r >= 0)
		r = ps_subscriber_new(bus, ep.feed, PS_FEED_TOPICS, &p->feed, err);
	return r;
}

static int open_loop(struct program *p)
{
	int r = ps_loop_add_subscriber(p->loop, p->feed, on_feed, p);

	if (r >= 0)
		r = ps_loop_add_responder(p->loop, p->control, on_control, p);
	if (r >= 0 && p->query)
		r = ps_loop_add_responder(p->loop, p->query, on_query, p);
	if (r >= 0)
		r = ps_loop_add_beat(p->loop, PS_SWEEP_NS, 0, on_tick, p);
	return r;
}

static void program_free(struct program *p)
{
	ps_loop_free(&p->loop);
	ps_subscriber_free(&p->feed);
	ps_responder_free(&p->control);
	ps_responder_free(&p->query);
	if (p->state)
		(void)ps_publisher_flush(p->state, ps_clock_boot(), true);
	ps_publisher_free(&p->state);
	ps_aggregator_free(&p->agg);
}

static void read_host(void *impl, struct ps_host_facts *ret_facts)
{
	(void)impl;
	ps_host_facts_read(ret_facts);
}

/* Which boot this is: what a reboot undoes is told by it. */
static void read_boot_id(char to[static PS_BOOT_ID_SIZE])
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;

	if (ps_file_read("/proc/sys/kernel/random/boot_id", PS_BOOT_ID_SIZE, &text) >= 0 && text.len < PS_BOOT_ID_SIZE)
		memcpy(to, text.data, text.len);
	to[strcspn(to, "\n")] = '\0';
}

static int run(const struct settings *s, struct ps_error *err)
{
	_cleanup_(ps_ports_clear) struct ps_ports ssh = {0};
	_cleanup_(ps_kernel_maps_free) struct ps_kernel_maps *maps = NULL;
	_cleanup_(ps_bus_free) struct ps_bus *bus = NULL;
	_cleanup_(program_free) struct program p = {0};
	const struct ps_agg_time now = time_now();
	char boot_id[PS_BOOT_ID_SIZE] = "";
	struct ps_agg_config config = {
		.state_dir = s->state_dir,
		.boot_id = boot_id,
		.protect = s->protect,
		.host = {.read = read_host},
		.timeouts = s->timeouts,
		.breathe = breathe,
		.breathe_arg = &p,
		.listener = {.conn = publish_conn, .map = publish_map, .arg = &p},
	};
	int r;

	r = ps_kernel_maps_new(s->pin_root, &maps);
	if (r < 0)
		return ps_error_set(err, r, 400, "bad_value", "pin-root", "%s", strerror(-r));
	ps_kernel_maps_on_room(maps, call_collector, &p);
	config.kernel = ps_kernel_maps_ops(maps);
	read_boot_id(boot_id);
	r = ps_ports_parse(s->ssh_port, strlen(s->ssh_port), "ssh-port", &ssh, err);
	config.ssh = ssh;
	if (r >= 0)
		r = ps_aggregator_new(&config, &now, &p.agg, err);
	if (r >= 0)
		r = ps_loop_new(&p.loop);
	if (r >= 0)
		r = ps_loop_handle_signals(p.loop, NULL, NULL);
	if (r >= 0)
		r = ps_bus_new(&bus);
	if (r >= 0)
		r = ps_bus_secure(bus, s->curve_key, s->curve_allow, s->insecure, err);
	p.bus = bus;
	if (r >= 0)
		r = open_sockets(&p, bus, s, err);
	if (r >= 0)
		r = open_loop(&p);
	if (r < 0)
		return r;
	(void)on_tick(&p);
	ps_log(PS_LOG_INFO, "ready", "kernel=\"%s\"", p.attached ? "ok" : "waiting");
	return ps_service_run(p.loop);
}

/* Messages of the feed come and go at a high rate and must not be mapped anew each time. */
static void set_up_malloc(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, PS_MALLOC_MAP_BYTES);
	(void)mallopt(M_TRIM_THRESHOLD, PS_MALLOC_KEEP_BYTES);
}

/* The sockets are there before the kernel part is: "ok" is what a container waits for. */
static int ask_health(const struct settings *s)
{
	struct ps_error err = {0};
	struct ps_endpoints ep;
	int r = ps_endpoints_default(s->run_dir, &ep);

	if (r == 0) {
		take_endpoint(ep.control, s->control);
		r = ps_service_ask(ep.control, "kernel", PS_REQUEST_TIMEOUT_MS, &err);
	}
	return ps_service_health(r, &err);
}

static const struct ps_program program = {
	.name = "aggregator",
	.about = "Keeps the tables of connections and ICMP traffic, owns the filter rules, answers requests.",
	.options = options,
};

int main(int argc, char **argv)
{
	struct settings s = {0};
	struct ps_error err = {0};
	int r = ps_program_begin(&program, argc, argv, &s, &s.log_level, &s.version);

	if (r != PS_PROGRAM_GO)
		return r;
	if (s.health)
		return ask_health(&s);
	set_up_malloc();
	r = run(&s, &err);
	if (r < 0) {
		ps_log_failure("cannot go on", r, &err);
		return strcmp(err.code, "newer_file") == 0 ? PS_EXIT_NEWER : 1;
	}
	ps_log(PS_LOG_INFO, "stopped", NULL);
	return 0;
}
