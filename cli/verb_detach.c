/* `packetscope detach`: the kernel part goes away; the collector knows how. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/claim.h"
#include "cli/detach.h"
#include "cli/limits.h"
#include "cli/process.h"
#include "cli/verb.h"

int ps_cli_detach(const struct ps_settings *s, struct ps_error *err)
{
	char program[PATH_MAX], reason[PS_PROCESS_END_TEXT];
	char *argv[16];
	struct ps_process_end end;
	size_t n = 0;
	int r = ps_program_find("packetscope-collector", program, err);

	if (r < 0)
		return r;
	argv[n++] = program;
	argv[n++] = "--detach";
	argv[n++] = "--purge";
	argv[n++] = "--pin-root";
	argv[n++] = (char *)s->pin_root;
	argv[n++] = "--run-dir";
	argv[n++] = (char *)s->run_dir;
	if (*s->config) {
		argv[n++] = "--config";
		argv[n++] = (char *)s->config;
	}
	argv[n++] = "--log-level";
	argv[n++] = "warn";
	argv[n] = NULL;
	r = ps_process_run(argv, PS_UP_DETACH_MS, NULL, &end);
	if (r < 0)
		return ps_error_set(err, r, 500, "failed", "", "packetscope-collector --detach: %s",
			r == -ETIMEDOUT ? "did not end in time" : strerror(-r));
	if (end.signalled || end.code != 0)
		return ps_error_set(err, -EIO, 500, "failed", "",
			"the kernel part may still be attached: packetscope-collector --detach ended with %s (its "
			"reason is above); try again as root: "
			"packetscope detach",
			ps_process_describe(&end, reason));
	return 0;
}

int ps_verb_detach(const struct ps_settings *s, int n, char **operands)
{
	struct ps_error err = {0};
	pid_t holder;

	(void)operands;
	if (n > 0)
		return ps_cli_usage("detach", "takes no operands");
	holder = ps_claim_holder(s->run_dir);
	if (holder > 0 && !s->force) {
		(void)fprintf(stderr,
			"packetscope: `packetscope up` is running (process %d) and would attach again; stop it "
			"(Ctrl-C, or kill %d): "
			"without --keep it detaches by itself\n",
			(int)holder, (int)holder);
		return PS_EXIT_FAILED;
	}
	if (ps_cli_detach(s, &err) < 0)
		return ps_cli_fail(&err);
	(void)fputs(s->json ? "{\"detached\":true}\n"
			    : "The kernel part is detached; nothing is counted or filtered any more.\n",
		stdout);
	return PS_EXIT_OK;
}
