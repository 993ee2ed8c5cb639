/*
 * The options of packetscope-replay.
 */
#ifndef PS_REPLAY_SETTINGS_H
#define PS_REPLAY_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "aggregator/expiry.h"
#include "common/base/log.h"
#include "common/base/options.h"
#include "common/detect/detect.h"
#include "replay/local.h"

struct ps_replay_settings {
	const char *file; /* the operand */
	const char *filters;
	const char *local_list;
	const char *config;
	const char *log_level;
	uint64_t max_connections;
	uint64_t limit;
	struct ps_timeouts timeouts;
	struct ps_detect_config detect;
	bool json;
	bool version;
	/* what it means */
	struct ps_local local;
	enum ps_log_level level;
};

extern const struct ps_option ps_replay_options[];

/* Reads the command line, the environment and the file. -EINVAL fills err; -ECANCELED: --help was asked for. */
int ps_replay_settings_read(int argc, char **argv, struct ps_replay_settings *ret_settings, struct ps_error *err);

#endif
