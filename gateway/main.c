/* packetscope-gateway: REST and the web page in front of the other parts. */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/program.h"
#include "common/base/secret.h"
#include "common/bus/bus.h"
#include "common/bus/loop.h"
#include "common/bus/service.h"
#include "gateway/events.h"
#include "gateway/exchange.h"
#include "gateway/listen.h"
#include "gateway/server.h"
#include "gateway/share.h"
#include "gateway/token.h"

struct settings {
	const char *api;
	const char *allow_host;
	const char *cors_origin;
	const char *tls_cert, *tls_key;
	bool require_token;
	bool insecure;
	bool health;
	const char *run_dir;
	const char *pin_root;
	const char *state_dir;
	const char *log_level;
	bool version;
};

static const struct ps_option options[] = {
	PS_OPT_STR("api", 'a', struct settings, api, "127.0.0.1:8080", "ADDRESS:PORT",
		"where to listen; :8080 = every address"),
	PS_OPT_STR("allow-host", 0, struct settings, allow_host, "", "NAME[,NAME…]",
		"names of this host that browsers may use"),
	PS_OPT_STR("cors-origin", 0, struct settings, cors_origin, "", "ORIGIN[,ORIGIN…]",
		"sites whose pages may call the API"),
	PS_OPT_STR("tls-cert", 0, struct settings, tls_cert, "", "FILE",
		"speak HTTPS with this certificate (PEM, chain included)"),
	PS_OPT_STR("tls-key", 0, struct settings, tls_key, "", "FILE",
		"and its key (PEM), which others must not be able to read"),
	PS_OPT_BOOL("require-token", 0, struct settings, require_token, "ask for the API token from this host too"),
	PS_OPT_BOOL("insecure", 0, struct settings, insecure, "no API token, whoever asks"),
	PS_OPT_STR("run-dir", 0, struct settings, run_dir, "/run/packetscope", "DIR", "where the sockets are"),
	PS_OPT_STR("state-dir", 0, struct settings, state_dir, "/var/lib/packetscope", "DIR",
		"where the API token is kept"),
	PS_OPT_STR(
		"pin-root", 0, struct settings, pin_root, "/sys/fs/bpf/packetscope", "DIR", "not used by the gateway"),
	PS_OPT_STR("log-level", 0, struct settings, log_level, "info", "LEVEL", "error, warn, info or debug"),
	PS_OPT_DEED("health", 0, struct settings, health, "ask the gateway that runs whether it answers"),
	PS_OPT_DEED("version", 0, struct settings, version, "print the version"),
	PS_OPT_END,
};

/* The tokens, when anybody may need one. */
static int load_tokens(
	const struct settings *s, const struct ps_listen *listen, struct ps_tokens *ret_tokens, struct ps_error *err)
{
	_cleanup_free_ char *path = NULL;
	int r;

	if (s->insecure) {
		if (!ps_listen_is_loopback(listen)) {
			ps_log(PS_LOG_WARN,
				"anybody who reaches this address can read the traffic and change the rules",
				"api=%s reason=\"--insecure\"", s->api);
		}
		return 0;
	}
	if (ps_listen_is_loopback(listen) && !s->require_token)
		return 0;
	if (asprintf(&path, "%s/api-token", s->state_dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	r = ps_token_load(path, ret_tokens, err);
	if (r < 0)
		return r;
	/* Whoever starts it for the first time must hear where it is. */
	ps_log(r ? PS_LOG_WARN : PS_LOG_INFO, r ? "API token made; requests from elsewhere need it" : "API tokens read",
		"path=\"%s\" tokens=%zu", path, ret_tokens->n);
	return 0;
}

/* Above this a buffer is mapped by itself and goes back at once: glibc's own threshold creeps up to 32 MiB and keeps.
 */
#define MAP_ALONE (256 << 10)
/* What is free at the end of the heap stays ours up to this much, four answers of 100 connections with all that they
 * are made of: to get its pages anew for each would cost a tenth of the time. */
#define KEEP (1 << 20)

/* What the server still takes leave of when it ends finds nobody to send to. */
static void forget_forward(struct ps_gateway **gateway)
{
	if (*gateway)
		(*gateway)->forward = NULL;
}

static void forget_answers(struct ps_gateway **gateway)
{
	if (*gateway)
		ps_shares_free(*gateway);
}

static int serve(const struct settings *s, struct ps_error *err)
{
	_cleanup_(ps_bus_free) struct ps_bus *bus = NULL;
	_cleanup_(ps_loop_free) struct ps_loop *loop = NULL;
	static struct ps_tokens tokens;
	_cleanup_free_ struct ps_gateway *gateway = calloc(1, sizeof(*gateway)); /* 16 kB: not for the stack */
	_cleanup_(forget_answers) struct ps_gateway *keeps = gateway;            /* when nobody is answered any more */
	_cleanup_(ps_events_free) struct ps_events *events = NULL;
	_cleanup_(ps_server_free) struct ps_server *server = NULL;
	_cleanup_(forget_forward) struct ps_gateway *forgets = gateway;
	_cleanup_(ps_forward_free) struct ps_forward *forward = NULL; /* goes first: it answers what still waits */
	_cleanup_(ps_tls_free) struct ps_tls tls = {0};
	_cleanup_close_ int fd = -1;
	char hostname[256] = "", url[PS_LISTEN_URL];
	struct ps_endpoints endpoints;
	struct ps_listen listen;
	uint16_t port = 0;
	int r = ps_listen_parse(s->api, &listen, err);

	if (!gateway)
		return -ENOMEM;
	if (r < 0)
		return r;
	r = ps_access_check_origins(s->cors_origin, err);
	if (r < 0)
		return r;
	r = ps_endpoints_default(s->run_dir, &endpoints);
	if (r < 0)
		return ps_error_set(err, r, 400, "bad_value", "run-dir", "The name of the run directory is too long.");
	r = ps_tls_load(s->tls_cert, s->tls_key, &tls, err);
	if (r < 0)
		return r;
	r = load_tokens(s, &listen, &tokens, err);
	if (r < 0)
		return r;
	(void)gethostname(hostname, sizeof(hostname) - 1);

	if ((r = ps_loop_new(&loop)) < 0 || (r = ps_loop_handle_signals(loop, NULL, NULL)) < 0 ||
		(r = ps_bus_new(&bus)) < 0)
		return r;
	r = ps_forward_new(bus, loop, &endpoints, &forward, err);
	if (r < 0)
		return r;
	r = ps_events_new(bus, loop, &endpoints, &events);
	if (r < 0)
		return r;
	gateway->started = ps_clock_boot();
	gateway->forward = forward;
	gateway->events = events;
	gateway->collector = endpoints.events;
	gateway->access = (struct ps_access){
		.hostname = hostname,
		.allow_host = s->allow_host,
		.cors_origin = s->cors_origin,
		.tokens = tokens.n ? &tokens : NULL,
		.token_always = s->require_token,
	};
	r = ps_listen_open(&listen, &fd, &port, err);
	if (r < 0)
		return r;
	r = ps_server_new(loop, gateway, PS_TAKE_FD(fd), tls.cert ? &tls : NULL, &server, err);
	if (r < 0)
		return r;
	ps_log(PS_LOG_INFO, "ready", "url=%s", ps_listen_url(&listen, port, tls.cert, url));
	return ps_service_run(loop);
}

static int ask_health(const struct settings *s)
{
	struct ps_error err = {0};
	struct ps_listen listen;
	int r = ps_listen_parse(s->api, &listen, &err);

	if (r == 0)
		r = ps_listen_ask(&listen, *s->tls_cert, PS_REQUEST_TIMEOUT_MS, &err);
	return ps_service_health(r, &err);
}

static const struct ps_program program = {
	.name = "gateway",
	.about = "REST and the web page in front of the other parts of Packet Scope.",
	.options = options,
};

int main(int argc, char **argv)
{
	struct settings settings = {0};
	struct ps_error err = {0};
	int r = ps_program_begin(&program, argc, argv, &settings, &settings.log_level, &settings.version);

	if (r != PS_PROGRAM_GO)
		return r;
	if (settings.health)
		return ask_health(&settings);
	ps_secret_no_dump(); /* tokens and the key of an LLM pass through */
	(void)mallopt(M_MMAP_THRESHOLD, MAP_ALONE);
	(void)mallopt(M_TRIM_THRESHOLD, KEEP);
	r = serve(&settings, &err);
	if (r < 0) {
		ps_log_failure("cannot serve", r, &err);
		return err.status == 400 ? 2 : 1; /* 2: starting again will not help */
	}
	ps_log(PS_LOG_INFO, "stopped", NULL);
	return 0;
}
