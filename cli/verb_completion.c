/* `packetscope completion`: what the shell and man(1) want to know, for packages and for people. */
#include <string.h>

#include "cli/completion.h"
#include "cli/verb.h"
#include "common/base/cleanup.h"

int ps_verb_completion(const struct ps_settings *s, int n, char **operands)
{
	static const struct {
		const char *name;
		void (*print)(struct ps_buf *out);
	} kinds[] = {
		{"bash", ps_completion_bash},
		{"zsh", ps_completion_zsh},
		{"man", ps_completion_manual},
	};
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	(void)s;
	for (size_t i = 0; n == 1 && i < PS_ARRAY_SIZE(kinds); i++) {
		if (strcmp(operands[0], kinds[i].name) == 0) {
			kinds[i].print(&out);
			return ps_cli_print(&out, PS_EXIT_OK);
		}
	}
	return ps_cli_usage("completion", "takes bash, zsh or man");
}
