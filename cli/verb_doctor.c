/* `packetscope doctor`: what this host lacks, and the command that mends it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/default_route.h"
#include "cli/doctor.h"
#include "cli/limits.h"
#include "cli/process.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"

/* What the collector can tell of kernel and interfaces. NULL: nothing, and then our own checks must do. */
static struct ps_value *probe(const struct ps_settings *s, const char *ifaces)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	struct ps_value *value = NULL;
	struct ps_process_end end;
	char program[PATH_MAX];
	char *argv[] = {
		program, "--probe", "--pin-root", (char *)s->pin_root, "--log-level", "error", NULL, NULL, NULL};

	if (*ifaces) {
		argv[6] = "--iface";
		argv[7] = (char *)ifaces;
	}
	if (ps_program_find("packetscope-collector", program, NULL) < 0)
		return NULL;
	if (ps_process_run(argv, PS_DOCTOR_PROBE_MS, &text, &end) < 0 || end.signalled || end.code != 0)
		return NULL;
	if (ps_json_parse((const char *)text.data, text.len, &value, NULL) < 0)
		return NULL;
	return value;
}

static int print_text(const struct ps_doctor *d, int code)
{
	static const enum ps_style styles[] = {
		[PS_HEALTH_OK] = PS_STYLE_GOOD, [PS_HEALTH_WARN] = PS_STYLE_WARN, [PS_HEALTH_FAIL] = PS_STYLE_BAD};
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	bool colour = ps_cli_colour();

	for (size_t i = 0; i < ps_value_count(d->findings); i++) {
		const struct ps_value *f = ps_value_at(d->findings, i);
		const char *health = ps_value_get_string(f, "health", "");
		const char *remedy = ps_value_get_string(f, "remedy", NULL);
		enum ps_health h = PS_HEALTH_OK;

		while (strcmp(ps_health_name(h), health) != 0 && h < PS_HEALTH_FAIL)
			h++;
		ps_style_add(&out, styles[h], colour, health);
		ps_buf_addf(&out, "%*s%-16s ", (int)(6 - strlen(health)), "", ps_value_get_string(f, "check", ""));
		ps_style_add(&out, PS_STYLE_PLAIN, false, ps_value_get_string(f, "message", ""));
		ps_buf_addc(&out, '\n');
		if (remedy)
			ps_buf_addf(&out, "%23s→ %s\n", "", remedy);
	}
	return ps_cli_print(&out, code);
}

static int print_json(const struct ps_doctor *d, int code)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	ps_buf_addf(&out, "{\"health\":\"%s\",\"findings\":", ps_health_name(d->worst));
	ps_json_write(&out, d->findings);
	ps_buf_adds(&out, ",\"probe\":");
	ps_json_write(&out, d->probe);
	ps_buf_adds(&out, "}\n");
	return ps_cli_print(&out, code);
}

int ps_verb_doctor(const struct ps_settings *s, int n, char **operands)
{
	_cleanup_(ps_value_free) struct ps_value *findings = ps_value_list(), *probe_result = NULL;
	struct ps_doctor d = {.settings = s, .ifaces = s->iface, .findings = findings};
	char iface[PS_IFACE_SIZE];
	int code;

	(void)operands;
	if (n > 0)
		return ps_cli_usage("doctor", "takes no operands; interfaces go to --iface");
	if (!*d.ifaces && ps_default_route(iface, NULL) == 0)
		d.ifaces = iface;
	probe_result = probe(s, d.ifaces);
	d.probe = probe_result;
	ps_doctor_examine(&d);
	if (d.failed) {
		(void)fputs("packetscope: out of memory\n", stderr);
		return PS_EXIT_FAILED;
	}
	code = d.worst == PS_HEALTH_FAIL ? PS_EXIT_FAILED : PS_EXIT_OK;
	return s->json ? print_json(&d, code) : print_text(&d, code);
}
