#include "cli/verb.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bpf/limits.h"
#include "cli/assign.h"
#include "cli/limits.h"
#include "cli/table.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/program.h"
#include "common/base/secret.h"

#define S struct ps_settings

/* Options that several verbs take. */
#define OPT_RUN_DIR PS_OPT_STR("run-dir", 0, S, run_dir, "/run/packetscope", "DIR", "directory of the sockets")
#define OPT_PIN_ROOT \
	PS_OPT_STR("pin-root", 0, S, pin_root, "/sys/fs/bpf/packetscope", "DIR", "directory of the kernel part's pins")
#define OPT_STATE_DIR \
	PS_OPT_STR("state-dir", 0, S, state_dir, "/var/lib/packetscope", "DIR", \
		"directory of the rules and their audit log")
#define OPT_CONFIG \
	PS_OPT_STR("config", 0, S, config, "", "FILE", "configuration file (" PS_CONFIG_FILE " if it exists)")
#define OPT_API \
	PS_OPT_STR("api", 'a', S, api, "127.0.0.1:8080", "ADDRESS", "where the gateway is: :8080 or http://host:8080")
#define OPT_TOKEN \
	PS_OPT_STR("token-file", 0, S, token_file, "", "FILE", \
		"the gateway's API token, if it asks for one (api-token in --state-dir)")
#define OPT_TLS \
	PS_OPT_STR( \
		"tls-cert", 0, S, tls_cert, "", "FILE", "the gateway of this host speaks HTTPS with this certificate")
#define OPT_JSON PS_OPT_BOOL("json", 'j', S, json, "JSON instead of text")
#define OPT_FIELDS PS_OPT_STR("fields", 'f', S, fields, "", "A,B…", "columns, by their names in JSON; all = every one")
#define OPT_LIMIT(n) PS_OPT_U64("limit", 'n', S, limit, n, 1, PS_CLI_RECORDS_MAX, "N", "at most this many")
#define OPT_LOG_LEVEL PS_OPT_STR("log-level", 0, S, log_level, "warn", "LEVEL", "error, warn, info or debug")
/* What every verb takes that talks to the gateway. */
#define OPT_GATEWAY OPT_API, OPT_TOKEN, OPT_TLS, OPT_STATE_DIR, OPT_JSON, OPT_CONFIG

static const struct ps_option up_options[] = {
	PS_OPT_STR("iface", 'i', S, iface, "", "NAME[,NAME…]", "interfaces to watch (the one with the default route)"),
	PS_OPT_SECONDS("interval", 't', S, interval, "5", 0, 86400 * PS_NSEC, "between two summaries; 0 = none"),
	PS_OPT_STR("api", 'a', S, api, "127.0.0.1:8080", "ADDRESS", "where the gateway listens; :8080 = every address"),
	PS_OPT_BOOL("keep", 'k', S, keep, "leave the kernel part attached and enforcing at the end"),
	PS_OPT_BOOL("quiet", 'q', S, quiet, "no summaries"),
	PS_OPT_U64("max-connections", 0, S, max_connections, NULL, PS_CONNECTIONS_MIN, PS_CONNECTIONS_MAX, "N",
		"size of the connection table"),
	PS_OPT_BOOL("ingress-only", 0, S, ingress_only, "do not watch what leaves"),
	PS_OPT_BOOL("trace", 0, S, trace, "write rule matches to the kernel's trace pipe (slow)"),
	PS_OPT_LIST(
		"protect", 0, S, protect, "", "CIDR[,CIDR…]", "networks whose traffic no rule may cut without force"),
	PS_OPT_LIST("ssh-port", 0, S, ssh_port, "", "PORT[,PORT…]",
		"ports whose sessions no rule may cut without force (22)"),
	PS_OPT_STR("allow-host", 0, S, allow_host, "", "NAME[,NAME…]", "names of this host that browsers may use"),
	PS_OPT_STR("cors-origin", 0, S, cors_origin, "", "ORIGIN[,ORIGIN…]", "sites whose pages may call the API"),
	PS_OPT_STR("tls-cert", 0, S, tls_cert, "", "FILE", "speak HTTPS with this certificate (PEM, chain included)"),
	PS_OPT_STR("tls-key", 0, S, tls_key, "", "FILE", "and its key (PEM)"),
	PS_OPT_BOOL("require-token", 0, S, require_token, "ask for the API token from this host too"),
	PS_OPT_BOOL("insecure", 0, S, insecure, "no API token, whoever asks; tcp taps without keys"),
	PS_OPT_STR("events-bind", 0, S, events_bind, "", "tcp://ADDRESS:PORT[,…]", "publish the events there too"),
	PS_OPT_STR("state-bind", 0, S, state_bind, "", "tcp://ADDRESS:PORT[,…]", "publish the state there too"),
	PS_OPT_STR("query-bind", 0, S, query_bind, "", "tcp://ADDRESS:PORT[,…]", "answer taps there (snapshots)"),
	PS_OPT_STR("curve-key", 0, S, curve_key, "", "FILE", "our secret key for tcp (packetscope keygen)"),
	PS_OPT_STR("curve-allow", 0, S, curve_allow, "", "DIR|FILE", "public keys of those who may tap over tcp"),
	OPT_JSON,
	OPT_LOG_LEVEL,
	OPT_RUN_DIR,
	OPT_PIN_ROOT,
	OPT_STATE_DIR,
	OPT_CONFIG,
	PS_OPT_END,
};

static const struct ps_option api_options[] = {OPT_GATEWAY, PS_OPT_END};

static const struct ps_option conns_options[] = {
	OPT_LIMIT("100"),
	PS_OPT_STR("sort", 's', S, sort, "", "FIELD", "sort by this field (last_seen)"),
	PS_OPT_STR("order", 'o', S, order, "", "asc|desc", "direction of the sort (desc)"),
	PS_OPT_STR("proto", 'p', S, proto, "", "tcp|udp", "only this protocol"),
	PS_OPT_STR("state", 0, S, state, "", "STATE", "only this state: established, syn_sent, replied …"),
	PS_OPT_STR("ip", 0, S, ip, "", "ADDRESS", "only with this address at either end"),
	PS_OPT_STR("port", 0, S, port, "", "PORT", "only with this port at either end"),
	PS_OPT_STR("query", 0, S, query, "", "TEXT", "only where this text occurs"),
	OPT_FIELDS,
	OPT_GATEWAY,
	PS_OPT_END,
};

static const struct ps_option top_options[] = {
	PS_OPT_SECONDS("interval", 't', S, interval, "2", 100 * PS_NSEC / 1000, 3600 * PS_NSEC, "between two pictures"),
	PS_OPT_STR("sort", 's', S, sort, "", "FIELD", "sort by this field (last_seen); the key s takes the next"),
	PS_OPT_U64("count", 'c', S, count, "0", 0, 0, "N", "print this many pictures and end, instead of a screen"),
	OPT_LIMIT("20"),
	OPT_FIELDS,
	OPT_GATEWAY,
	PS_OPT_END,
};

static const struct ps_option icmp_options[] = {OPT_LIMIT("100"), OPT_FIELDS, OPT_GATEWAY, PS_OPT_END};

static const struct ps_option filters_options[] = {
	PS_OPT_STR("file", 0, S, file, "", "FILE", "read the rule or rules from there; - = standard input"),
	OPT_GATEWAY,
	PS_OPT_END,
};

static const struct ps_option ai_options[] = {
	PS_OPT_STR("type", 't', S, analyze_type, "", "TYPE", "security, performance, balanced or custom"),
	PS_OPT_STR("prompt", 0, S, prompt, "", "TEXT", "what to look for (custom_prompt)"),
	PS_OPT_BOOL("no-tcp", 0, S, no_tcp, "leave TCP connections out"),
	PS_OPT_BOOL("no-icmp", 0, S, no_icmp, "leave ICMP out"),
	PS_OPT_BOOL("no-stats", 0, S, no_stats, "leave the counters out"),
	PS_OPT_STR("key-file", 0, S, key_file, "", "FILE",
		"config: the API key is this file's first line; - = standard input"),
	OPT_GATEWAY,
	PS_OPT_END,
};

static const struct ps_option watch_options[] = {
	PS_OPT_STR("topics", 't', S, topics, "conn.new,conn.update,conn.end,icmp,drop,rule,finding", "A,B…",
		"topics to show; also stats, snapshot; all = every one"),
	PS_OPT_STR(
		"where", 'w', S, where, "", "FIELD=VALUE[,…]", "only records of which this holds; also != < > <= >="),
	PS_OPT_U64("count", 'c', S, count, "0", 0, 0, "N", "end after this many records; 0 = never"),
	PS_OPT_BOOL("table", 0, S, table, "first all live connections, then each change once, without a gap"),
	PS_OPT_STR("events", 0, S, events, "", "ENDPOINT", "the collector's events, if elsewhere: tcp://host:port"),
	PS_OPT_STR("state", 0, S, state_at, "", "ENDPOINT", "the aggregator's state, if elsewhere"),
	PS_OPT_STR("query", 0, S, control, "", "ENDPOINT", "where snapshots are asked for, if elsewhere"),
	PS_OPT_STR("curve-key", 0, S, curve_key, "", "FILE", "our secret key for tcp (packetscope keygen)"),
	PS_OPT_STR("server-key", 0, S, server_key, "", "FILE", "the public key of the other side"),
	OPT_FIELDS,
	OPT_JSON,
	OPT_RUN_DIR,
	OPT_CONFIG,
	PS_OPT_END,
};

static const struct ps_option doctor_options[] = {
	PS_OPT_STR(
		"iface", 'i', S, iface, "", "NAME[,NAME…]", "interfaces to look at (the one with the default route)"),
	PS_OPT_STR("api", 'a', S, api, "127.0.0.1:8080", "ADDRESS", "where the gateway would listen"),
	OPT_JSON,
	OPT_RUN_DIR,
	OPT_PIN_ROOT,
	OPT_STATE_DIR,
	OPT_CONFIG,
	PS_OPT_END,
};

static const struct ps_option detach_options[] = {
	PS_OPT_BOOL("force", 0, S, force, "also while `packetscope up` runs"),
	OPT_JSON,
	OPT_RUN_DIR,
	OPT_PIN_ROOT,
	OPT_STATE_DIR,
	OPT_CONFIG,
	PS_OPT_END,
};

static const struct ps_option replay_options[] = {
	PS_OPT_STR("filters", 'f', S, filters, "", "FILE", "rules (JSON) to be in force; - = standard input"),
	PS_OPT_STR("local", 'l', S, local, "", "NET[,NET…]",
		"addresses and networks of the host: what they send leaves it"),
	OPT_LIMIT("100"),
	PS_OPT_U64("max-connections", 0, S, max_connections, "65536", PS_CONNECTIONS_MIN, PS_CONNECTIONS_MAX, "N",
		"size of the connection table"),
	OPT_JSON,
	OPT_LOG_LEVEL,
	OPT_CONFIG,
	PS_OPT_END,
};

static const struct ps_option config_options[] = {OPT_JSON, OPT_CONFIG, PS_OPT_END};

static const struct ps_option plain_options[] = {OPT_JSON, PS_OPT_END};

#define FILTERS_SYNOPSIS \
	"list | show ID… | add --FIELD VALUE… | set ID --FIELD VALUE… | rm ID… | enable ID… | disable ID… |\n" \
	"       preview [ID] --FIELD VALUE… | import FILE | export [json|list] | replace FILE | confirm [ID…] |\n" \
	"       promote ID… | protect [list|add|rm|set] CIDR…"

const struct ps_verb ps_verbs[] = {
	{"up", "[-iface eth0[,eth1]] [-interval 5] [-api :8080] [--keep]",
		"start everything on this host and watch over it", up_options, ps_verb_up},
	{"status", "", "health of each part, interfaces, table fill, rules", api_options, ps_verb_status},
	{"conns", "[ID] [--sort orig_bytes] [--proto tcp] [--limit N]", "connections", conns_options, ps_verb_conns},
	{"icmp", "[--limit N]", "ICMP traffic", icmp_options, ps_verb_icmp},
	{"top", "[--interval 2] [--sort FIELD]", "rates and the busiest connections, drawn again and again",
		top_options, ps_verb_top},
	{"filters", FILTERS_SYNOPSIS, "filter rules: look at them, try them, change them", filters_options,
		ps_verb_filters},
	{"ai", "status | config [NAME=VALUE…] [--key-file FILE] | generate | analyze | findings",
		"what the AI worker finds, says and proposes", ai_options, ps_verb_ai},
	{"stats", "", "every counter", api_options, ps_verb_stats},
	{"watch", "[--topics conn.new,drop] [--where dst_port=443] [--table] [--count N]",
		"what happens, as it happens", watch_options, ps_verb_watch},
	{"replay", "FILE [--filters rules.json] [--local 192.0.2.7]",
		"a capture (pcap, pcapng) through the same pipeline", replay_options, ps_verb_replay},
	{"doctor", "[--iface eth0]", "what this host lacks, and the command that mends it", doctor_options,
		ps_verb_doctor},
	{"keygen", "NAME", "a pair of keys for taps over tcp", plain_options, ps_verb_keygen},
	{"detach", "", "remove the kernel part from every interface", detach_options, ps_verb_detach},
	{"check-config", "[FILE]", "would every program start with this configuration file?", config_options,
		ps_verb_check_config},
	{"completion", "bash | zsh | man", "completion for a shell, or the manual page", plain_options,
		ps_verb_completion},
	{"help", "[VERB]", "this list, or one verb's options", plain_options, ps_verb_help},
	{"version", "", "the version", plain_options, ps_verb_version},
};
const unsigned ps_verbs_count = PS_ARRAY_SIZE(ps_verbs);

const struct ps_verb *ps_verb_find(const char *name)
{
	for (size_t i = 0; i < PS_ARRAY_SIZE(ps_verbs); i++) {
		if (strcmp(ps_verbs[i].name, name) == 0)
			return &ps_verbs[i];
	}
	return NULL;
}

int ps_cli_fail(const struct ps_error *err)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	bool colour = isatty(STDERR_FILENO) && !getenv("NO_COLOR");

	ps_style_add(&text, PS_STYLE_BAD, colour, "packetscope: ");
	if (err->field[0] && strcmp(err->field, "api") != 0) {
		ps_style_add(&text, PS_STYLE_PLAIN, false, err->field);
		ps_buf_adds(&text, ": ");
	}
	ps_style_add(&text, PS_STYLE_PLAIN, false, err->message);
	ps_buf_addc(&text, '\n');
	(void)fwrite(text.data, 1, text.len, stderr);
	if (strcmp(err->code, "unreachable") == 0 || strcmp(err->code, "no_answer") == 0)
		return PS_EXIT_UNREACHABLE;
	return PS_EXIT_FAILED;
}

int ps_cli_usage(const char *verb, const char *fmt, ...)
{
	const struct ps_verb *v = ps_verb_find(verb);
	va_list ap;

	(void)fprintf(stderr, "packetscope %s: ", verb);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "\nUsage: packetscope %s %s\n`packetscope help %s` lists its options.\n", verb,
		v ? v->synopsis : "", verb);
	return PS_EXIT_USAGE;
}

int ps_cli_print(struct ps_buf *text, int code)
{
	if (text->error) {
		(void)fputs("packetscope: out of memory\n", stderr);
		return PS_EXIT_FAILED;
	}
	if ((text->len && fwrite(text->data, 1, text->len, stdout) != text->len) || fflush(stdout) != 0) {
		(void)fprintf(stderr, "packetscope: cannot write to standard output: %s\n", strerror(errno));
		return PS_EXIT_FAILED;
	}
	return code;
}

size_t ps_cli_width(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : SIZE_MAX;
}

bool ps_cli_colour(void)
{
	const char *term = getenv("TERM");
	const char *no_colour = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) && !(no_colour && *no_colour) && term && strcmp(term, "dumb") != 0;
}

static int run_verb(const struct ps_verb *verb, int argc, char **argv)
{
	struct ps_settings settings = {0};
	struct ps_error err = {0};
	char *help[] = {(char *)verb->name, NULL};
	int r;

	/* the fields of a rule are flags too: "--src-ip 10.0.0.0/8" is the word "src_ip=10.0.0.0/8" */
	r = verb->options == filters_options ? ps_assign_flags(&argc, argv, &err) : 0;
	if (r < 0)
		return ps_cli_usage(verb->name, "%s", err.message);
	r = ps_options_parse(verb->options, verb->name, PS_CONFIG_FILE, &argc, argv, &settings, &err);
	if (r == -ECANCELED)
		return ps_verb_help(&settings, 1, help);
	if (r < 0)
		return ps_cli_usage(verb->name, "%s", err.message);
	return verb->run(&settings, argc - 1, argv + 1);
}

static struct ps_secret openai_key;

const struct ps_secret *ps_cli_openai_key(void)
{
	return &openai_key;
}

int ps_cli_main(int argc, char **argv)
{
	const struct ps_verb *verb;
	const char *name = argc > 1 ? argv[1] : "help";

	(void)ps_secret_take_env("OPENAI_API_KEY", &openai_key);

	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "-help") == 0)
		name = "help";
	else if (strcmp(name, "--version") == 0 || strcmp(name, "-version") == 0)
		name = "version";
	else if (strcmp(name, "--check-config") == 0)
		name = "check-config";
	else if (name[0] == '-')
		return run_verb(ps_verb_find("up"), argc, argv);
	verb = ps_verb_find(name);
	if (!verb) {
		(void)fprintf(stderr, "packetscope: there is no verb \"%s\"; `packetscope help` lists them.\n", name);
		return PS_EXIT_USAGE;
	}
	if (argc < 2) {
		(void)run_verb(verb, argc, argv);
		return PS_EXIT_USAGE;
	}
	return run_verb(verb, argc - 1, argv + 1);
}
