#include "cli/completion.h"

#include <string.h>

#include "cli/verb.h"
#include "common/base/manual.h"

/* Words that may follow a verb, out of its synopsis: "list | show ID…" gives list and show. */
static void add_words(struct ps_buf *out, const char *synopsis)
{
	bool first = true;

	while (*synopsis) {
		size_t n = strcspn(synopsis, " |\n[]");
		bool lower = n > 0;

		for (size_t i = 0; i < n; i++)
			lower = lower && synopsis[i] >= 'a' && synopsis[i] <= 'z';
		if (first && lower)
			ps_buf_addf(out, " %.*s", (int)n, synopsis);
		synopsis += n;
		first = false;
		for (; *synopsis && strchr(" |\n[]", *synopsis); synopsis++)
			first = first || *synopsis == '|';
		if (first && n == 0 && !*synopsis)
			break;
	}
}

static void add_verb_words(struct ps_buf *out, const struct ps_verb *v)
{
	if (strchr(v->synopsis, '|'))
		add_words(out, *v->synopsis == '[' ? v->synopsis + 1 : v->synopsis);
	for (const struct ps_option *o = v->options; o->name; o++)
		ps_buf_addf(out, " --%s", o->name);
}

void ps_completion_bash(struct ps_buf *out)
{
	ps_buf_adds(out, "# bash completion for packetscope, printed by `packetscope completion bash`\n"
			 "_packetscope()\n{\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} words=\n"
			 "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n\t\twords=\"");
	for (unsigned i = 0; i < ps_verbs_count; i++)
		ps_buf_addf(out, "%s%s", i ? " " : "", ps_verbs[i].name);
	ps_buf_adds(out, "\"\n\telse\n\t\tcase ${COMP_WORDS[1]} in\n");
	for (unsigned i = 0; i < ps_verbs_count; i++) {
		ps_buf_addf(out, "\t\t%s) words=\"", ps_verbs[i].name);
		if (ps_verbs[i].run == ps_verb_help) {
			for (unsigned k = 0; k < ps_verbs_count; k++)
				ps_buf_addf(out, " %s", ps_verbs[k].name);
		}
		add_verb_words(out, &ps_verbs[i]);
		ps_buf_adds(out, "\" ;;\n");
	}
	ps_buf_adds(out,
		"\t\tesac\n\tfi\n\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
		"\tif [ ${#COMPREPLY[@]} -eq 0 ]; then\n\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n\tfi\n}\n"
		"complete -F _packetscope packetscope\n");
}

/* In single quotes; zsh's _describe takes a colon for its separator. */
static void add_quoted(struct ps_buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			ps_buf_adds(out, "'\\''");
		else if (*text == ':' || *text == '[' || *text == ']')
			ps_buf_addf(out, "\\%c", *text);
		else
			ps_buf_addc(out, *text);
	}
}

void ps_completion_zsh(struct ps_buf *out)
{
	ps_buf_adds(out, "#compdef packetscope\n# printed by `packetscope completion zsh`\n_packetscope() {\n\tlocal "
			 "-a verbs\n\tverbs=(\n");
	for (unsigned i = 0; i < ps_verbs_count; i++) {
		ps_buf_addf(out, "\t\t'%s:", ps_verbs[i].name);
		add_quoted(out, ps_verbs[i].help);
		ps_buf_adds(out, "'\n");
	}
	ps_buf_adds(out, "\t)\n\tif (( CURRENT == 2 )); then\n\t\t_describe 'verb' verbs\n\t\treturn\n\tfi\n\tcase "
			 "$words[2] in\n");
	for (unsigned i = 0; i < ps_verbs_count; i++) {
		ps_buf_addf(out, "\t%s)\n\t\t_arguments -s", ps_verbs[i].name);
		for (const struct ps_option *o = ps_verbs[i].options; o->name; o++) {
			ps_buf_addf(out, " \\\n\t\t\t'--%s%s[", o->name, o->type == PS_OPTION_BOOL ? "" : "=");
			add_quoted(out, o->help);
			ps_buf_addf(out, "]%s'", o->type == PS_OPTION_BOOL ? "" : ":value:_files");
		}
		ps_buf_adds(out, " \\\n\t\t\t'*:operand:(");
		if (strchr(ps_verbs[i].synopsis, '|'))
			add_words(out, *ps_verbs[i].synopsis == '[' ? ps_verbs[i].synopsis + 1 : ps_verbs[i].synopsis);
		ps_buf_adds(out, ")'\n\t\t;;\n");
	}
	ps_buf_adds(out, "\tesac\n}\n_packetscope \"$@\"\n");
}

void ps_completion_manual(struct ps_buf *out)
{
	ps_manual_head(out, "packetscope", 1, "who is talking to this host, how well, and what to do about it",
		"VERB [OPTIONS]");
	ps_buf_adds(out, ".SH VERBS\n");
	for (unsigned i = 0; i < ps_verbs_count; i++) {
		const struct ps_verb *v = &ps_verbs[i];

		ps_buf_adds(out, ".SS ");
		ps_manual_text(out, v->name);
		ps_buf_addc(out, '\n');
		ps_manual_text(out, v->help);
		ps_buf_adds(out, "\n.PP\n.nf\npacketscope ");
		ps_manual_text(out, v->name);
		ps_buf_addc(out, ' ');
		ps_manual_text(out, v->synopsis);
		ps_buf_adds(out, "\n.fi\n");
		ps_manual_options(out, v->options);
	}
	ps_buf_adds(out, ".SH EXIT STATUS\n");
	ps_manual_text(out, "0: well. 1: it was done and the answer is no. 2: the command line, the configuration or "
			    "the rule's words "
			    "are wrong. 3: nothing answers at the gateway's address.\n");
	ps_manual_tail(out);
}
