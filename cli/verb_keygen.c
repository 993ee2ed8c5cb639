/* `packetscope keygen`: a pair of CURVE keys for tcp taps. */
#include <stdio.h>

#include "cli/verb.h"
#include "common/bus/bus.h"
#include "common/codec/json.h"

#include <string.h>

int ps_verb_keygen(const struct ps_settings *s, int n, char **operands)
{
	struct ps_error err = {0};
	struct ps_buf out = PS_BUF_INIT;
	int code;

	if (n != 1)
		return ps_cli_usage("keygen", "takes one name; the files are NAME.key and NAME.key_secret");
	if (ps_curve_keygen(operands[0], &err) < 0)
		return ps_cli_fail(&err);
	if (s->json) {
		char path[4096 + 16];

		ps_buf_adds(&out, "{\"public\":");
		(void)snprintf(path, sizeof(path), "%s.key", operands[0]);
		ps_json_string(&out, path, strlen(path));
		ps_buf_adds(&out, ",\"secret\":");
		(void)snprintf(path, sizeof(path), "%s.key_secret", operands[0]);
		ps_json_string(&out, path, strlen(path));
		ps_buf_adds(&out, "}\n");
	} else {
		ps_buf_addf(&out,
			"%s.key         public: give it to the other side\n%s.key_secret  secret: keep it here, mode "
			"0600\n",
			operands[0], operands[0]);
	}
	code = ps_cli_print(&out, PS_EXIT_OK);
	ps_buf_free(&out);
	return code;
}
