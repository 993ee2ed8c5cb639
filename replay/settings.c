#include "replay/settings.h"

#include <errno.h>
#include <string.h>

#include "bpf/limits.h"

#define ST struct ps_replay_settings

const struct ps_option ps_replay_options[] = {
	PS_OPT_BOOL("json", 'j', ST, json, "one JSON object instead of tables"),
	PS_OPT_STR("filters", 'f', ST, filters, "", "FILE", "rules (JSON) to be in force; - = standard input"),
	PS_OPT_STR("local", 'l', ST, local_list, "", "NET[,NET…]",
		"addresses and networks of the host: what they send is seen as leaving it"),
	PS_OPT_U64("limit", 'n', ST, limit, "100", 1, 0, "N", "connections in the table"),
	PS_OPT_U64("max-connections", 0, ST, max_connections, "65536", PS_CONNECTIONS_MIN, PS_CONNECTIONS_MAX, "N",
		"size of the connection table"),
#define PS_TIMEOUT(name, option, fallback, help) PS_OPT_SECONDS(option, 0, ST, timeouts.name, fallback, 1, 0, help),
#include "aggregator/timeout.def"
#define PS_THRESHOLD_NUMBER(...) PS_DETECT_OPTION_NUMBER(ST, detect, __VA_ARGS__)
#define PS_THRESHOLD_SECONDS(...) PS_DETECT_OPTION_SECONDS(ST, detect, __VA_ARGS__)
#include "common/detect/threshold.def"
	PS_OPT_STR("config", 0, ST, config, NULL, "FILE", "configuration file"),
	PS_OPT_STR("log-level", 0, ST, log_level, "warn", "error|warn|info|debug", "what to log"),
	PS_OPT_BOOL("version", 0, ST, version, "print the version"),
	PS_OPT_END,
};

int ps_replay_settings_read(int argc, char **argv, struct ps_replay_settings *ret_settings, struct ps_error *err)
{
	struct ps_replay_settings s = {0};
	int r = ps_options_parse(ps_replay_options, "replay", NULL, &argc, argv, &s, err);

	if (r < 0)
		return r;
	if (ps_log_level_parse(s.log_level, &s.level) < 0)
		return ps_error_set(
			err, -EINVAL, 400, "bad_value", "log-level", "log-level must be error, warn, info or debug");
	if (!s.version && argc != 2)
		return ps_error_set(
			err, -EINVAL, 400, "bad_value", "FILE", "name one capture file (- = standard input)");
	s.file = argv[1];
	if (!s.version && strcmp(s.file, "-") == 0 && strcmp(s.filters, "-") == 0)
		return ps_error_set(err, -EINVAL, 400, "bad_value", "filters",
			"capture and rules can't both come from standard input; name a file for one of them");
	r = ps_local_parse(s.local_list, &s.local, err);
	if (r == 0)
		*ret_settings = s;
	return r;
}
