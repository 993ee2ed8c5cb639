/*
 * packetscope-collector: loads and attaches the kernel part, and carries its events to the bus.
 */
#include <errno.h>
#include <stdio.h>

#include "collector/collector.h"
#include "collector/janitor.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/program.h"

#define ABOUT "Loads and attaches the kernel part, and carries its events to the bus."

static int help(void)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;

	ps_options_help(ps_settings_table, &text);
	(void)printf("packetscope-collector --iface NAME[,NAME…]: from the kernel to the bus\n\n%s",
		ps_buf_str(&text) ?: "");
	return PS_EXIT_OK;
}

int main(int argc, char **argv)
{
	struct ps_settings settings;
	struct ps_error err = {0};
	int r;

	if (ps_program_take("--print-config", &argc, argv))
		return ps_program_print_config(ps_settings_table, "collector");
	if (ps_program_take("--print-manual", &argc, argv))
		return ps_program_print_manual(&(struct ps_program){"collector", ABOUT, ps_settings_table});
	ps_log_setup("collector", PS_LOG_INFO);
	r = ps_settings_read(argc, argv, &settings, &err);
	if (r == -ECANCELED)
		return help();
	if (r < 0) {
		ps_log_failure("bad option", r, &err);
		return PS_EXIT_USAGE;
	}
	ps_log_setup("collector", settings.level);
	if (settings.check)
		return PS_EXIT_OK;
	if (settings.version)
		return printf("packetscope-collector %s\n", PS_VERSION) < 0 ? PS_EXIT_FAILED : PS_EXIT_OK;
	if (settings.janitor)
		return (int)ps_janitor_run(&settings);
	if (settings.health)
		return (int)ps_collector_health(&settings);
	if (settings.probe)
		return (int)ps_collector_probe(&settings);
	if (settings.detach)
		return (int)ps_collector_detach(&settings);
	return (int)ps_collector_run(&settings);
}
