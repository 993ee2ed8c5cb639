/* What the shell is told, asked from a shell; the manual page, read by whoever formats it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "cli/completion.h"
#include "cli/verb.h"
#include "common/base/cleanup.h"
#include "common/base/manual.h"
#include "tempdir.h"

static void write_script(const char *path)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	FILE *f = fopen(path, "w");

	ps_completion_bash(&out);
	assert_non_null(f);
	assert_int_equal(fwrite(out.data, 1, out.len, f), out.len);
	assert_int_equal(fclose(f), 0);
}

/* What bash offers for the words, the last of which is being typed; a line of blank-separated words. */
static const char *offers(const char *script, const char *words, int at)
{
	static char line[512];
	char command[768];
	FILE *p;

	(void)snprintf(command, sizeof(command),
		"bash -c '. %s; COMP_WORDS=(packetscope %s); COMP_CWORD=%d; _packetscope; echo \"${COMPREPLY[*]}\"'",
		script, words, at);
	p = popen(command, "r");
	assert_non_null(p);
	assert_non_null(fgets(line, sizeof(line), p));
	assert_int_equal(pclose(p), 0);
	line[strcspn(line, "\n")] = '\0';
	return line;
}

static void bash_completes(void **state)
{
	const char *script = tempdir_path("", "completion");

	(void)state;
	write_script(script);
	assert_string_equal(offers(script, "rep", 1), "replay");
	assert_string_equal(offers(script, "filters pre", 2), "preview");
	assert_string_equal(offers(script, "conns --sor", 2), "--sort");
	assert_string_equal(offers(script, "help doc", 2), "doctor");
	assert_string_equal(offers(script, "completion z", 2), "zsh");
}

static void all_verbs_are_told(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf zsh = PS_BUF_INIT, man = PS_BUF_INIT;

	(void)state;
	ps_completion_zsh(&zsh);
	ps_completion_manual(&man);
	for (unsigned i = 0; i < ps_verbs_count; i++) {
		char line[64];

		(void)snprintf(line, sizeof(line), "\t\t'%s:", ps_verbs[i].name);
		assert_non_null(strstr(ps_buf_str(&zsh), line));
	}
	assert_non_null(strstr(ps_buf_str(&man), ".SS check\\-config\n"));
	assert_non_null(strstr(ps_buf_str(&man), "\\fB\\-\\-max\\-connections\\fR \\fIN\\fR\n"));
}

static void text_is_no_request(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	(void)state;
	ps_manual_text(&out, ".so /etc/passwd\n'quoted\na \\fB-x");
	assert_string_equal(ps_buf_str(&out), "\\&.so /etc/passwd\n\\&'quoted\na \\efB\\-x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bash_completes),
		cmocka_unit_test(all_verbs_are_told),
		cmocka_unit_test(text_is_no_request),
	};

	return cmocka_run_group_tests(tests, tempdir_make, tempdir_remove);
}
