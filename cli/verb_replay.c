/* `packetscope replay FILE`: packetscope-replay takes our place, so that the terminal and its Ctrl-C are its own. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/process.h"
#include "cli/verb.h"

int ps_verb_replay(const struct ps_settings *s, int n, char **operands)
{
	char program[PATH_MAX], limit[24], max_connections[24];
	char *argv[20];
	struct ps_error err = {0};
	size_t k = 0;

	if (n != 1)
		return ps_cli_usage("replay", "takes one capture file (- = standard input)");
	if (ps_program_find("packetscope-replay", program, &err) < 0)
		return ps_cli_fail(&err);
	(void)snprintf(limit, sizeof(limit), "%llu", (unsigned long long)s->limit);
	(void)snprintf(max_connections, sizeof(max_connections), "%llu", (unsigned long long)s->max_connections);
	argv[k++] = program;
	if (s->json)
		argv[k++] = "--json";
	argv[k++] = "--filters";
	argv[k++] = (char *)s->filters;
	argv[k++] = "--local";
	argv[k++] = (char *)s->local;
	argv[k++] = "--limit";
	argv[k++] = limit;
	argv[k++] = "--max-connections";
	argv[k++] = max_connections;
	argv[k++] = "--log-level";
	argv[k++] = (char *)s->log_level;
	if (*s->config) {
		argv[k++] = "--config";
		argv[k++] = (char *)s->config;
	}
	argv[k++] = "--";
	argv[k++] = operands[0];
	argv[k] = NULL;
	(void)execv(program, argv);
	(void)ps_error_set(&err, -errno, 500, "failed", "", "cannot start %s: %s", program, strerror(errno));
	return ps_cli_fail(&err);
}
