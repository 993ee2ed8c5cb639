/*
 * The collector's options and what it was told.
 */
#ifndef PS_SETTINGS_H
#define PS_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "collector/tc.h"
#include "collector/xdp.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/options.h"

struct ps_settings {
	/* as given */
	const char *iface;
	const char *run_dir;
	const char *pin_root;
	const char *state_dir; /* common to all programs; the collector keeps no state */
	const char *config;
	const char *log_level;
	const char *xdp_mode_name;
	const char *tc_mode_name;
	const char *group;
	const char *events_bind;
	const char *curve_key, *curve_allow;
	bool insecure;
	uint64_t max_connections;
	uint64_t report_interval; /* ns */
	bool ingress_only;
	bool trace;
	bool keep_on_exit;
	bool probe;
	bool detach;
	bool purge;
	bool health;
	bool janitor;
	bool check; /* --check-config */
	bool version;
	/* what it means */
	enum ps_xdp_mode xdp_mode;
	enum ps_tc_mode tc_mode;
	enum ps_log_level level;
	gid_t gid;
};

extern const struct ps_option ps_settings_table[];

/* Reads the command line, the environment and the file. Errors as ps_options_parse; an operand that is left over is
 * one. */
int ps_settings_read(int argc, char **argv, struct ps_settings *ret_settings, struct ps_error *err);

#endif
