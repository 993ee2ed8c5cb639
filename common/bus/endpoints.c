#include <errno.h>
#include <stdio.h>
#include <sys/un.h>

#include "common/bus/bus.h"

#define SCHEME "ipc://"

/* Longest path a Unix socket can have, its NUL excluded. */
#define PATH_MAX_BYTES (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

int ps_endpoints_default(const char *run_dir, struct ps_endpoints *ret_ep)
{
	struct ps_endpoints ep = {0};
	const struct {
		char *to;
		const char *name;
	} rows[] = {
		{ep.events, "events"},
		{ep.feed, "feed"},
		{ep.state, "state"},
		{ep.control, "control"},
		{ep.ai, "ai"},
		{ep.findings, "findings"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int n = snprintf(rows[i].to, sizeof(ep.events), SCHEME "%s/%s.sock", run_dir, rows[i].name);
		if (n < 0 || (size_t)n >= sizeof(ep.events) || (size_t)n > sizeof(SCHEME) - 1 + PATH_MAX_BYTES)
			return -ENAMETOOLONG;
	}
	*ret_ep = ep;
	return 0;
}
