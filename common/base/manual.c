#include "common/base/manual.h"

#include <ctype.h>
#include <string.h>

#include "common/base/program.h"

/* Minus as a minus that can be copied; a dot or a quote at the beginning of a line is no request. */
void ps_manual_text(struct ps_buf *out, const char *text)
{
	bool start = true;

	for (; *text; text++) {
		if (start && (*text == '.' || *text == '\''))
			ps_buf_adds(out, "\\&");
		start = *text == '\n';
		if (*text == '\\')
			ps_buf_adds(out, "\\e");
		else if (*text == '-')
			ps_buf_adds(out, "\\-");
		else
			ps_buf_addc(out, *text);
	}
}

static void section_name(struct ps_buf *out, const char *name)
{
	for (; *name; name++)
		ps_buf_addc(out, (char)toupper((unsigned char)*name));
}

void ps_manual_head(struct ps_buf *out, const char *name, int section, const char *about, const char *synopsis)
{
	ps_buf_adds(out, ".TH ");
	section_name(out, name);
	ps_buf_addf(out, " %d \"\" \"Packet Scope %s\"\n.SH NAME\n", section, PS_VERSION);
	ps_manual_text(out, name);
	ps_buf_adds(out, " \\- ");
	ps_manual_text(out, about);
	ps_buf_adds(out, "\n.SH SYNOPSIS\n.B ");
	ps_manual_text(out, name);
	ps_buf_addc(out, '\n');
	ps_manual_text(out, synopsis);
	ps_buf_addc(out, '\n');
}

void ps_manual_options(struct ps_buf *out, const struct ps_option *table)
{
	for (const struct ps_option *o = table; o->name; o++) {
		ps_buf_adds(out, ".TP\n\\fB");
		if (o->letter)
			ps_buf_addf(out, "\\-%c\\fR, \\fB", o->letter);
		ps_buf_adds(out, "\\-\\-");
		ps_manual_text(out, o->name);
		ps_buf_adds(out, "\\fR");
		if (o->arg) {
			ps_buf_adds(out, " \\fI");
			ps_manual_text(out, o->arg);
			ps_buf_adds(out, "\\fR");
		}
		ps_buf_addc(out, '\n');
		ps_manual_text(out, o->help);
		if (o->fallback && *o->fallback && o->type != PS_OPTION_BOOL) {
			ps_buf_adds(out, " (");
			ps_manual_text(out, o->fallback);
			ps_buf_addc(out, ')');
		}
		ps_buf_addc(out, '\n');
	}
}

void ps_manual_tail(struct ps_buf *out)
{
	ps_buf_adds(out, ".SH ENVIRONMENT\n");
	ps_manual_text(out,
		"Each option is also a variable: PACKETSCOPE_RUN_DIR for --run-dir. A flag beats the environment, the "
		"environment beats the file.\n");
	ps_buf_adds(out, ".SH FILES\n.TP\n" PS_CONFIG_FILE "\n");
	ps_manual_text(out, "Options, under a section for each program or under [packetscope] for all.\n");
	ps_buf_adds(out, ".SH SEE ALSO\n.BR packetscope (1),\n.BR packetscope\\-collector (8),\n.BR "
			 "packetscope\\-aggregator (8),\n"
			 ".BR packetscope\\-gateway (8),\n.BR packetscope\\-ai\\-worker (8)\n");
}
