/* `packetscope help` and `packetscope version`. */
#include <stdio.h>
#include <string.h>

#include "cli/assign.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"

static int help_all_json(struct ps_buf *out)
{
	ps_buf_addc(out, '[');
	for (unsigned i = 0; i < ps_verbs_count; i++) {
		const struct ps_verb *v = &ps_verbs[i];

		ps_buf_adds(out, i ? ",{\"name\":" : "{\"name\":");
		ps_json_string(out, v->name, strlen(v->name));
		ps_buf_adds(out, ",\"synopsis\":");
		ps_json_string(out, v->synopsis, strlen(v->synopsis));
		ps_buf_adds(out, ",\"help\":");
		ps_json_string(out, v->help, strlen(v->help));
		ps_buf_addc(out, '}');
	}
	ps_buf_adds(out, "]\n");
	return ps_cli_print(out, PS_EXIT_OK);
}

static int help_one_json(const struct ps_verb *v, struct ps_buf *out)
{
	ps_buf_addf(out, "{\"name\":\"%s\",\"synopsis\":", v->name);
	ps_json_string(out, v->synopsis, strlen(v->synopsis));
	ps_buf_adds(out, ",\"help\":");
	ps_json_string(out, v->help, strlen(v->help));
	ps_buf_adds(out, ",\"options\":[");
	for (const struct ps_option *o = v->options; o->name; o++) {
		const char *fallback = o->fallback ? o->fallback : "";

		ps_buf_addf(out, "%s{\"name\":\"%s\",\"default\":", o == v->options ? "" : ",", o->name);
		ps_json_string(out, fallback, strlen(fallback));
		ps_buf_adds(out, ",\"help\":");
		ps_json_string(out, o->help, strlen(o->help));
		ps_buf_addc(out, '}');
	}
	ps_buf_adds(out, "]}\n");
	return ps_cli_print(out, PS_EXIT_OK);
}

static int help_all(struct ps_buf *out)
{
	bool colour = ps_cli_colour();

	ps_buf_adds(out, "Usage: packetscope VERB [OPTIONS]\n\nWho is talking to this host, how well, and what to do "
			 "about it.\n\n");
	for (unsigned i = 0; i < ps_verbs_count; i++) {
		ps_buf_addf(out, "  %-13s", ps_verbs[i].name);
		ps_style_add(out, PS_STYLE_PLAIN, colour, ps_verbs[i].help);
		ps_buf_addc(out, '\n');
	}
	ps_buf_adds(out,
		"\n`packetscope help VERB` shows the options of one. Each is also an environment variable\n"
		"(PACKETSCOPE_IFACE) and a key of the configuration file (/etc/packetscope/packetscope.conf).\n"
		"Exit status: 0 well, 1 not, 2 usage or configuration, 3 the gateway does not answer.\n");
	return ps_cli_print(out, PS_EXIT_OK);
}

int ps_verb_help(const struct ps_settings *s, int n, char **operands)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	const struct ps_verb *v;

	if (n > 1)
		return ps_cli_usage("help", "one verb at a time");
	if (n == 0)
		return s->json ? help_all_json(&out) : help_all(&out);
	v = ps_verb_find(operands[0]);
	if (!v)
		return ps_cli_usage("help", "there is no verb \"%s\"", operands[0]);
	if (s->json)
		return help_one_json(v, &out);
	ps_buf_addf(&out, "Usage: packetscope %s %s\n\n%c%s.\n\n", v->name, v->synopsis, v->help[0] - 'a' + 'A',
		v->help + 1);
	ps_options_help(v->options, &out);
	if (v->run == ps_verb_filters)
		ps_assign_help(&out);
	return ps_cli_print(&out, PS_EXIT_OK);
}

int ps_verb_version(const struct ps_settings *s, int n, char **operands)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	(void)operands;
	if (n > 0)
		return ps_cli_usage("version", "takes no operands");
	ps_buf_addf(&out, s->json ? "{\"version\":\"%s\"}\n" : "packetscope %s\n", PS_VERSION);
	return ps_cli_print(&out, PS_EXIT_OK);
}
