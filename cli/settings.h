/*
 * Options of every verb, in one struct; each verb's table (verb.c) says which of them it takes.
 */
#ifndef PS_SETTINGS_H
#define PS_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

struct ps_settings {
	/* where things are */
	const char *run_dir;
	const char *pin_root;
	const char *state_dir;
	const char *config;
	const char *log_level;
	const char *api;
	const char *token_file;
	bool json;

	/* up */
	const char *iface;
	uint64_t interval; /* ns; 0 = no summary */
	bool keep;
	bool quiet;
	bool ingress_only;
	bool trace;
	bool require_token, insecure;
	const char *allow_host, *cors_origin, *tls_cert, *tls_key;
	const char *events_bind, *state_bind, *query_bind; /* tcp endpoints of the bus */
	const char *curve_key, *curve_allow;
	const char *protect, *ssh_port;
	uint64_t max_connections; /* 0: the collector's default */

	/* conns, icmp, filters, watch */
	const char *fields;
	uint64_t limit;
	const char *sort, *order;
	const char *proto, *state, *ip, *port, *query;
	const char *file;
	const char *topics;
	const char *where;
	const char *events, *state_at, *control; /* endpoints of a tap */
	const char *server_key;
	bool table;
	uint64_t count; /* 0 = no end */

	/* ai */
	const char *analyze_type, *prompt, *key_file;
	bool no_tcp, no_icmp, no_stats;

	/* replay */
	const char *filters, *local;

	/* detach */
	bool force;
};

#endif
