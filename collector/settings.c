#include "collector/settings.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/limits.h"
#include "common/base/program.h"

#define ST struct ps_settings

const struct ps_option ps_settings_table[] = {
	PS_OPT_STR("iface", 'i', ST, iface, "", "NAME[,NAME…]", "interfaces to watch (the one with the default route)"),
	{"max-connections", 0, PS_OPTION_U64, offsetof(ST, max_connections), "65536", PS_CONNECTIONS_MIN,
		PS_CONNECTIONS_MAX, "N", "size of the connection table, fixed when its maps are made", false, false},
	PS_OPT_BOOL("ingress-only", 0, ST, ingress_only, "watch only what comes in"),
	PS_OPT_STR("xdp-mode", 0, ST, xdp_mode_name, "auto", "auto|native|generic", "how to attach to what comes in"),
	PS_OPT_STR("tc-mode", 0, ST, tc_mode_name, "auto", "auto|tcx|clsact", "how to attach to what goes out"),
	PS_OPT_BOOL("trace", 0, ST, trace, "write matches to the kernel's trace pipe"),
	PS_OPT_SECONDS("report-interval", 0, ST, report_interval, "1", 10000000, 30ull * 1000000000,
		"an active connection reports at most once in this time"),
	PS_OPT_STR("group", 0, ST, group, "", "NAME|GID",
		"group that may use the pinned maps and the sockets; default: that of the process"),
	{"keep-on-exit", 0, PS_OPTION_BOOL, offsetof(ST, keep_on_exit), "true", 0, 0, NULL,
		"leave programs and maps in the kernel (=false: detach)", false, false},
	PS_OPT_DEED("probe", 0, ST, probe, "print what this host can do as JSON, attach nothing"),
	PS_OPT_DEED("detach", 0, ST, detach, "remove the programs from all interfaces and end"),
	PS_OPT_DEED("purge", 0, ST, purge, "with --detach: remove the maps too, with counters and rules in them"),
	PS_OPT_DEED("janitor", 0, ST, janitor,
		"wait for the end; then, unless a collector is back, remove the programs (not with --keep-on-exit)"),
	PS_OPT_DEED("health", 0, ST, health, "ask whether the collector of this pin root is well"),
	PS_OPT_STR("events-bind", 0, ST, events_bind, "", "tcp://ADDRESS:PORT[,…]", "where else to publish the events"),
	PS_OPT_STR("curve-key", 0, ST, curve_key, "", "FILE", "our secret key for tcp (packetscope keygen)"),
	PS_OPT_STR("curve-allow", 0, ST, curve_allow, "", "DIR|FILE", "public keys of those who may come in over tcp"),
	PS_OPT_BOOL("insecure", 0, ST, insecure, "bind tcp without keys, on any address"),
	PS_OPT_STR("run-dir", 0, ST, run_dir, "/run/packetscope", "DIR", "sockets and lock"),
	PS_OPT_STR("pin-root", 0, ST, pin_root, "/sys/fs/bpf/packetscope", "DIR", "pins, on a BPF file system"),
	PS_OPT_STR("state-dir", 0, ST, state_dir, "/var/lib/packetscope", "DIR", "not used by the collector"),
	PS_OPT_STR("config", 0, ST, config, NULL, "FILE", "configuration file"),
	PS_OPT_STR("log-level", 0, ST, log_level, "info", "error|warn|info|debug", "what to log"),
	PS_OPT_DEED("version", 0, ST, version, "print the version"),
	PS_OPT_END,
};

static int find_group(const char *text, gid_t *ret_gid)
{
	struct group *g;
	char *end;
	unsigned long n;

	if (!*text) {
		*ret_gid = getegid();
		return 0;
	}
	errno = 0;
	n = strtoul(text, &end, 10);
	if (*text >= '0' && *text <= '9' && *end == 0 && errno == 0 && n < (gid_t)-1) {
		*ret_gid = (gid_t)n;
		return 0;
	}
	g = getgrnam(text);
	if (!g)
		return -EINVAL;
	*ret_gid = g->gr_gid;
	return 0;
}

static int bad(struct ps_error *err, const char *field, const char *text, const char *remedy)
{
	return ps_error_set(err, -EINVAL, 400, "bad_option", field, "'%s' is not %s.", text, remedy);
}

int ps_settings_read(int argc, char **argv, struct ps_settings *ret_settings, struct ps_error *err)
{
	bool check = ps_program_take("--check-config", &argc, argv);
	struct ps_settings s = {0};
	int r = ps_options_parse(ps_settings_table, "collector", PS_CONFIG_FILE, &argc, argv, &s, err);

	if (r < 0)
		return r;
	if (argc > 1)
		return bad(err, "", argv[1], "an option: see --help");
	if (ps_xdp_mode_parse(s.xdp_mode_name, &s.xdp_mode) < 0)
		return bad(err, "xdp-mode", s.xdp_mode_name, "auto, native or generic");
	if (ps_tc_mode_parse(s.tc_mode_name, &s.tc_mode) < 0)
		return bad(err, "tc-mode", s.tc_mode_name, "auto, tcx or clsact");
	if (ps_log_level_parse(s.log_level, &s.level) < 0)
		return bad(err, "log-level", s.log_level, "error, warn, info or debug");
	if (find_group(s.group, &s.gid) < 0)
		return bad(err, "group", s.group, "a group of this host or a number");
	if (s.purge && !s.detach)
		return bad(err, "purge", "--purge", "of use without --detach");
	s.check = check;
	*ret_settings = s;
	return 0;
}
