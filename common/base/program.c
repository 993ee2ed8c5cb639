#include "common/base/program.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/log.h"
#include "common/base/manual.h"

static int help(const struct ps_program *program)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;

	ps_options_help(program->options, &text);
	(void)printf("packetscope-%s [OPTION…]\n\n%s\n\n%s", program->name, program->about, ps_buf_str(&text) ?: "");
	return 0;
}

bool ps_program_take(const char *flag, int *argc, char **argv)
{
	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], flag) != 0)
			continue;
		memmove(&argv[i], &argv[i + 1], (size_t)(*argc - i) * sizeof(*argv));
		--*argc;
		return true;
	}
	return false;
}

int ps_program_print_config(const struct ps_option *options, const char *name)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;

	ps_options_template(options, name, &text);
	return printf("%s", ps_buf_str(&text) ?: "") < 0 || text.error;
}

int ps_program_print_manual(const struct ps_program *program)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	char name[64];

	(void)snprintf(name, sizeof(name), "packetscope-%s", program->name);
	ps_manual_head(&text, name, 8, program->about, "[OPTION…]");
	ps_buf_adds(&text, ".SH OPTIONS\n");
	ps_manual_options(&text, program->options);
	ps_manual_tail(&text);
	return printf("%s", ps_buf_str(&text) ?: "") < 0 || text.error;
}

int ps_program_begin(const struct ps_program *program, int argc, char **argv, void *settings,
	const char *const *log_level, const bool *version)
{
	enum ps_log_level level = PS_LOG_INFO;
	struct ps_error err = {0};
	/* One heap for our thread and libzmq's: what a burst of messages took is given back instead of kept by each. */
	(void)mallopt(M_ARENA_MAX, 1);
	/* Large blocks apart, whatever has been freed before: among small ones they would leave holes. */
	(void)mallopt(M_MMAP_THRESHOLD, 128 * 1024);
	bool check = ps_program_take("--check-config", &argc, argv);
	int r;

	if (ps_program_take("--print-config", &argc, argv))
		return ps_program_print_config(program->options, program->name);
	if (ps_program_take("--print-manual", &argc, argv))
		return ps_program_print_manual(program);
	ps_log_setup(program->name, level);
	r = ps_options_parse(program->options, program->name, PS_CONFIG_FILE, &argc, argv, settings, &err);
	if (r == -ECANCELED)
		return help(program);
	if (r == 0 && argc > 1)
		r = ps_error_set(
			&err, -EINVAL, 400, "bad_value", argv[1], "this program takes no operands; see --help");
	if (r == 0 && ps_log_level_parse(*log_level, &level) < 0)
		r = ps_error_set(&err, -EINVAL, 400, "bad_value", "log-level", "must be error, warn, info or debug");
	if (r < 0) {
		ps_log_failure("wrong option", r, &err);
		return 2;
	}
	if (check)
		return 0;
	if (*version) {
		(void)printf("packetscope-%s %s\n", program->name, PS_VERSION);
		return 0;
	}
	ps_log_setup(program->name, level);
	return PS_PROGRAM_GO;
}
