/* `packetscope check-config`: would every program start with this configuration file? */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/config_check.h"
#include "cli/limits.h"
#include "cli/process.h"
#include "cli/verb.h"
#include "common/base/cleanup.h"
#include "common/base/program.h"

#define PARTS 4

static const char *const parts[PARTS] = {"collector", "aggregator", "gateway", "ai-worker"};

struct part {
	char program[PATH_MAX];
	struct ps_buf template;
};

static void parts_free(struct part (*p)[PARTS])
{
	for (unsigned i = 0; i < PARTS; i++)
		ps_buf_free(&(*p)[i].template);
}

/* What the part would take from the file. */
static int ask_template(const char *name, struct part *p, struct ps_error *err)
{
	char *argv[] = {p->program, "--print-config", NULL};
	struct ps_process_end end;
	char program[64];
	int r;

	(void)snprintf(program, sizeof(program), "packetscope-%s", name);
	r = ps_program_find(program, p->program, err);
	if (r < 0)
		return r;
	r = ps_process_run(argv, PS_DOCTOR_PROBE_MS, &p->template, &end);
	if (r < 0 || end.signalled || end.code != 0)
		return ps_error_set(err, r < 0 ? r : -EIO, 500, "no_answer", program,
			"%s does not tell its options: is it of another version?", p->program);
	return 0;
}

/* Values: each part reads the file as it would at start, and says on standard error what it doesn't take. */
static bool accepts(const struct part *p, const char *path)
{
	char *argv[] = {(char *)p->program, "--check-config", "--config", (char *)path, NULL};
	struct ps_process_end end;

	return ps_process_run(argv, PS_DOCTOR_PROBE_MS, NULL, &end) == 0 && !end.signalled && end.code == 0;
}

int ps_verb_check_config(const struct ps_settings *s, int n, char **operands)
{
	_cleanup_(parts_free) struct part found[PARTS] = {0};
	struct ps_config_section sections[PARTS + PS_VERBS_MAX];
	const char *path = n > 0 ? operands[0] : *s->config ? s->config : PS_CONFIG_FILE;
	struct ps_error err = {0};
	unsigned known = 0;
	int r = 0, code = PS_EXIT_OK;

	if (n > 1)
		return ps_cli_usage("check-config", "takes one file");
	if (n == 0 && !*s->config && access(path, F_OK) < 0) {
		(void)printf("%s is not there: every program starts with its defaults\n", path);
		return PS_EXIT_OK;
	}
	for (unsigned i = 0; i < PARTS && r == 0; i++) {
		r = ask_template(parts[i], &found[i], &err);
		sections[known++] =
			(struct ps_config_section){.name = parts[i], .template = ps_buf_str(&found[i].template) ?: ""};
	}
	for (unsigned i = 0; i < ps_verbs_count && i < PS_VERBS_MAX; i++)
		sections[known++] =
			(struct ps_config_section){.name = ps_verbs[i].name, .options = ps_verbs[i].options};
	if (r == 0)
		r = ps_config_check(path, sections, known, &err);
	if (r < 0)
		return ps_cli_fail(&err);
	for (unsigned i = 0; i < PARTS; i++) {
		if (!accepts(&found[i], path))
			code = PS_EXIT_USAGE;
	}
	if (s->json)
		(void)printf("{\"ok\":%s}\n", code == PS_EXIT_OK ? "true" : "false");
	else if (code == PS_EXIT_OK)
		(void)printf("%s: ok\n", path);
	return code;
}
