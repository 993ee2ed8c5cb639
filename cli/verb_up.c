/* `packetscope up`: the whole pipeline on this host, watched over until Ctrl-C. */
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/claim.h"
#include "cli/fetch.h"
#include "common/base/default_route.h"
#include "cli/detach.h"
#include "cli/limits.h"
#include "cli/reporter.h"
#include "cli/supervisor.h"
#include "cli/verb.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/secret.h"
#include "common/bus/loop.h"

/* Parts in the order in which they start; they stop the other way round. */
enum {
	COLLECTOR,
	AGGREGATOR,
	AI_WORKER,
	GATEWAY,
	PARTS
};

#define TO(part) (1u << (part))
#define TO_ALL (TO(PARTS) - 1)

static const char *const part_names[PARTS] = {
	[COLLECTOR] = "collector",
	[AGGREGATOR] = "aggregator",
	[AI_WORKER] = "ai-worker",
	[GATEWAY] = "gateway",
};

/* What is passed on to which part. A text that is empty, a flag that is off and a number that is 0 are not. */
static const struct {
	const char *flag;
	unsigned parts;
	enum ps_option_type type;
	size_t offset;
} passed[] = {
#define PASS(flag, parts, type, member) \
	{ \
		flag, parts, PS_OPTION_##type, offsetof(struct ps_settings, member) \
	}
	PASS("--iface", TO(COLLECTOR), STR, iface),
	PASS("--max-connections", TO(COLLECTOR), U64, max_connections),
	PASS("--ingress-only", TO(COLLECTOR), BOOL, ingress_only),
	PASS("--trace", TO(COLLECTOR), BOOL, trace),
	PASS("--protect", TO(AGGREGATOR), STR, protect),
	PASS("--ssh-port", TO(AGGREGATOR), STR, ssh_port),
	PASS("--api", TO(GATEWAY), STR, api),
	PASS("--allow-host", TO(GATEWAY), STR, allow_host),
	PASS("--cors-origin", TO(GATEWAY), STR, cors_origin),
	PASS("--tls-cert", TO(GATEWAY), STR, tls_cert),
	PASS("--tls-key", TO(GATEWAY), STR, tls_key),
	PASS("--require-token", TO(GATEWAY), BOOL, require_token),
	PASS("--insecure", TO(GATEWAY) | TO(COLLECTOR) | TO(AGGREGATOR), BOOL, insecure),
	PASS("--events-bind", TO(COLLECTOR), STR, events_bind),
	PASS("--state-bind", TO(AGGREGATOR), STR, state_bind),
	PASS("--query-bind", TO(AGGREGATOR), STR, query_bind),
	PASS("--curve-key", TO(COLLECTOR) | TO(AGGREGATOR), STR, curve_key),
	PASS("--curve-allow", TO(COLLECTOR) | TO(AGGREGATOR), STR, curve_allow),
	PASS("--run-dir", TO_ALL, STR, run_dir),
	PASS("--pin-root", TO_ALL, STR, pin_root),
	PASS("--state-dir", TO_ALL, STR, state_dir),
	PASS("--log-level", TO_ALL, STR, log_level),
	PASS("--config", TO_ALL, STR, config),
#undef PASS
};

struct up {
	struct ps_settings s;
	char iface[PS_IFACE_SIZE]; /* of the default route */
	struct ps_loop *loop;
	struct ps_claim *claim;
	struct ps_supervisor *supervisor;
	struct ps_reporter *reporter;
	struct ps_secret key_variable; /* "OPENAI_API_KEY=…", for the AI worker alone */
	char **ai_environment;         /* NULL = ours */
	bool proven[PARTS];            /* has lived for PS_BACKOFF_LIVED_NS once */
	bool found_attached;           /* the kernel part was there before we were */
	struct command {
		char program[PATH_MAX];
		char numbers[2][24]; /* texts of numeric options */
		char *argv[PS_PART_ARGS_MAX];
	} command[PARTS];
};

static void build_command(const struct ps_settings *s, unsigned part, struct command *c)
{
	size_t n = 0, numbers = 0;

	c->argv[n++] = c->program;
	for (size_t i = 0; i < PS_ARRAY_SIZE(passed) && n + 3 < PS_PART_ARGS_MAX; i++) {
		const void *at = (const char *)s + passed[i].offset;
		char *value = NULL;

		if (!(passed[i].parts & TO(part)))
			continue;
		if (passed[i].type == PS_OPTION_STR) {
			value = *(char *const *)at;
			if (!value || !*value)
				continue;
		} else if (passed[i].type == PS_OPTION_BOOL) {
			if (!*(const bool *)at)
				continue;
		} else {
			if (*(const uint64_t *)at == 0 || numbers == PS_ARRAY_SIZE(c->numbers))
				continue;
			value = c->numbers[numbers++];
			(void)snprintf(value, sizeof(c->numbers[0]), "%llu", (unsigned long long)*(const uint64_t *)at);
		}
		c->argv[n++] = (char *)passed[i].flag;
		if (value)
			c->argv[n++] = value;
	}
	c->argv[n] = NULL;
}

static int check_ifaces(const char *list, struct ps_error *err)
{
	while (*list) {
		size_t len = strcspn(list, ",");
		char name[IF_NAMESIZE];

		if (len >= sizeof(name))
			return ps_error_set(err, -EINVAL, 400, "bad_value", "iface",
				"%.*s is too long for an interface's name", (int)PS_MIN(len, (size_t)64), list);
		(void)snprintf(name, sizeof(name), "%.*s", (int)len, list);
		if (len > 0 && if_nametoindex(name) == 0)
			return ps_error_set(err, -ENODEV, 400, "bad_value", "iface",
				"there is no interface %s here; `ip -brief link` lists them", name);
		list += len + (list[len] == ',');
	}
	return 0;
}

/* Is a link pinned? Then an earlier run has left its kernel part, and it enforces rules. */
static bool is_attached(const char *pin_root)
{
	char path[PATH_MAX];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "%s/link", pin_root);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir)))
		found = entry->d_name[0] != '.';
	if (dir)
		(void)closedir(dir);
	return found;
}

/* Our environment and the key, which we have taken out of it. */
static int build_ai_environment(struct up *up)
{
	const struct ps_secret *key = ps_cli_openai_key();
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	size_t n = 0;
	int r;

	if (!key->text)
		return 0;
	while (environ[n])
		n++;
	up->ai_environment = calloc(n + 2, sizeof(char *));
	ps_buf_addf(&text, "OPENAI_API_KEY=%s", key->text);
	if (!up->ai_environment || !ps_buf_str(&text))
		return -ENOMEM;
	r = ps_secret_set(&up->key_variable, (const char *)text.data, text.len);
	explicit_bzero(text.data, text.cap);
	memcpy(up->ai_environment, environ, n * sizeof(char *));
	up->ai_environment[n] = up->key_variable.text;
	return r;
}

/* Settings, programs and command lines. Nothing is started or changed yet. */
static int prepare(struct up *up, struct ps_error *err)
{
	char base[PS_FETCH_BASE_SIZE];
	int r = 0;

	if (!*up->s.iface) {
		r = ps_default_route(up->iface, err);
		up->s.iface = up->iface;
	}
	if (r == 0)
		r = check_ifaces(up->s.iface, err);
	if (r == 0 && ps_fetch_address(up->s.api, base) < 0)
		r = ps_error_set(err, -EINVAL, 400, "bad_value", "api",
			"\"%s\" is no address to listen at; write 127.0.0.1:8080, or :8080 for every address",
			up->s.api);
	for (unsigned i = 0; i < PARTS && r == 0; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "packetscope-%s", part_names[i]);
		r = ps_program_find(name, up->command[i].program, err);
		build_command(&up->s, i, &up->command[i]);
	}
	if (r == 0 && build_ai_environment(up) < 0)
		r = ps_error_set(err, -ENOMEM, 500, "no_memory", "", "out of memory");
	return r;
}

/*
 * What is not going to mend itself: at the very first start the configuration (2), a foreign program (3), a twin (4);
 * later a part that fails by itself at every start, such as a gateway whose port is taken.
 */
static bool is_refusal(struct up *up, const struct ps_child_note *note)
{
	unsigned part = 0;

	while (part + 1 < PARTS && strcmp(part_names[part], note->name) != 0)
		part++;
	up->proven[part] = up->proven[part] || note->lived >= PS_BACKOFF_LIVED_NS;
	if (note->end.signalled)
		return false;
	if (note->starts == 1 && note->lived < PS_UP_REFUSAL_NS && note->end.code >= 2 && note->end.code <= 4)
		return true;
	return !up->proven[part] && note->starts >= PS_UP_TRIES;
}

static int on_child(void *arg, const struct ps_child_note *note)
{
	struct up *up = arg;
	char how[PS_PROCESS_END_TEXT];

	if (note->event == PS_CHILD_STARTED) {
		ps_claim_part(up->claim, note->name, note->pid);
		ps_log(note->starts > 1 ? PS_LOG_WARN : PS_LOG_INFO, note->starts > 1 ? "part is back" : "part started",
			"part=%s pid=%d starts=%u", note->name, (int)note->pid, note->starts);
		return 0;
	}
	(void)ps_process_describe(&note->end, how);
	if (is_refusal(up, note)) {
		ps_log(PS_LOG_ERROR, "part refuses to start; its reason is above", "part=%s end=\"%s\"", note->name,
			how);
		return note->end.code == PS_EXIT_USAGE ? PS_EXIT_USAGE : PS_EXIT_FAILED;
	}
	ps_log(PS_LOG_WARN, "part died", "part=%s pid=%d end=\"%s\" lived=%.1fs restart_in=%.1fs", note->name,
		(int)note->pid, how, (double)note->lived / 1e9, (double)note->wait / 1e9);
	return 0;
}

/* Signals wait from here on, so that one which comes early finds its way through wind_up too. */
static int claim(struct up *up, struct ps_error *err)
{
	int r = ps_loop_new(&up->loop);

	if (r == 0)
		r = ps_loop_handle_signals(up->loop, NULL, NULL);
	if (r < 0)
		return ps_error_set(err, r, 500, "failed", "", "cannot start: %s", strerror(-r));
	return ps_claim_take(up->s.run_dir, &up->claim, err);
}

/* Until a signal (0), a refusal (an exit code) or a failure (-errno). */
static int watch_over(struct up *up, struct ps_error *err)
{
	int r = ps_supervisor_new(up->loop, on_child, up, &up->supervisor);

	for (unsigned i = 0; i < PARTS && r == 0; i++)
		r = ps_supervisor_add_with(
			up->supervisor, part_names[i], up->command[i].argv, i == AI_WORKER ? up->ai_environment : NULL);
	if (r == 0)
		r = ps_reporter_new(&up->s, &up->reporter, err);
	if (r == 0)
		r = ps_loop_run(up->loop);
	if (r < 0 && !err->message[0])
		(void)ps_error_set(err, r, 500, "failed", "", "cannot start: %s", strerror(-r));
	return r;
}

static void say_kept(const struct ps_settings *s)
{
	if (s->json)
		(void)puts("{\"kept\":true}");
	else
		(void)printf("The kernel part stays attached to %s: it goes on counting and enforcing the rules.\n"
			     "`packetscope detach` removes it; `packetscope up` takes it over.\n",
			s->iface);
}

/*
 * Nothing of ours may be left when this returns, but for the kernel part with --keep. A start that was refused also
 * leaves what an earlier run had left: a wrong option must not end the enforcement of rules.
 */
static int wind_up(struct up *up, int r)
{
	struct ps_error err = {0};
	unsigned killed;

	if (up->reporter)
		ps_reporter_stop(up->reporter);
	killed = up->supervisor ? ps_supervisor_stop(up->supervisor, PS_UP_STOP_MS) : 0;
	if (killed > 0)
		ps_log(PS_LOG_WARN, "parts did not stop in time and were killed", "count=%u", killed);
	ps_reporter_free(&up->reporter);
	if (r == 0 && up->s.keep)
		say_kept(&up->s);
	else if ((r == 0 || !up->found_attached) && ps_cli_detach(&up->s, &err) < 0)
		r = ps_cli_fail(&err);
	ps_supervisor_free(&up->supervisor);
	ps_loop_free(&up->loop);
	ps_claim_release(&up->claim);
	free(up->ai_environment);
	up->ai_environment = NULL;
	ps_secret_free(&up->key_variable);
	return r;
}

int ps_verb_up(const struct ps_settings *s, int n, char **operands)
{
	static struct up up; /* too large for the stack */
	struct ps_error err = {0};
	enum ps_log_level level;
	int r;

	(void)operands;
	if (n > 0)
		return ps_cli_usage("up", "takes no operands; interfaces go to --iface");
	if (ps_log_level_parse(s->log_level, &level) < 0)
		return ps_cli_usage("up", "log-level: must be error, warn, info or debug");
	ps_log_setup("up", level);
	up.s = *s;
	r = prepare(&up, &err);
	if (r < 0)
		return ps_cli_fail(&err) ? PS_EXIT_USAGE : PS_EXIT_OK;
	r = claim(&up, &err);
	if (r < 0) {
		ps_loop_free(&up.loop);
		return ps_cli_fail(&err);
	}
	up.found_attached = is_attached(s->pin_root);
	r = watch_over(&up, &err);
	if (r < 0) {
		(void)ps_cli_fail(&err);
		r = PS_EXIT_FAILED;
	}
	return wind_up(&up, r);
}
