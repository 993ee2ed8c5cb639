/* The table of verbs, and the program from its command line: exit codes and what it says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "common/base/file.h"
#include "cli/verb.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"

static void table_is_whole(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ps_verbs_count; i++) {
		const struct ps_verb *v = &ps_verbs[i];
		bool json = false;

		assert_ptr_equal(ps_verb_find(v->name), v);
		assert_true(v->run && v->options && strlen(v->help) > 0);
		for (const struct ps_option *o = v->options; o->name; o++) {
			json = json || strcmp(o->name, "json") == 0;
			for (const struct ps_option *p = v->options; p != o; p++) {
				assert_string_not_equal(p->name, o->name);
				assert_true(!p->letter || p->letter != o->letter);
			}
		}
		if (!json)
			fail_msg("%s does not take --json", v->name);
	}
	assert_null(ps_verb_find("nonsense"));
	assert_null(ps_verb_find(""));
}

/* Runs the program in a child of its own; *ret_out gets what it wrote. Returns its exit code. */
static int run(char *ret_out, size_t size, char *const *argv)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	int ends[2], status = 0, argc = 0;
	pid_t pid;

	while (argv[argc])
		argc++;
	assert_int_equal(pipe(ends), 0);
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		char *copy[32] = {0};

		for (int i = 0; i < argc && i < 31; i++)
			copy[i] = strdup(argv[i]);
		(void)dup2(ends[1], STDOUT_FILENO);
		(void)dup2(ends[1], STDERR_FILENO);
		(void)close(ends[0]);
		(void)close(ends[1]);
		status = ps_cli_main(argc, copy);
		(void)fflush(NULL);
		_exit(status);
	}
	(void)close(ends[1]);
	assert_int_equal(ps_file_read_fd(ends[0], 1 << 20, &out), 0);
	(void)close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	(void)snprintf(ret_out, size, "%s", ps_buf_str(&out) ? ps_buf_str(&out) : "");
	return WEXITSTATUS(status);
}

#define RUN(...) run(out, sizeof(out), (char *const[]){"packetscope", __VA_ARGS__, NULL})

static void help_and_version(void **state)
{
	static char out[16384];
	_cleanup_(ps_value_free) struct ps_value *v = NULL;

	(void)state;
	assert_int_equal(RUN("help"), PS_EXIT_OK);
	for (unsigned i = 0; i < ps_verbs_count; i++)
		assert_non_null(strstr(out, ps_verbs[i].name));
	assert_int_equal(RUN("--help"), PS_EXIT_OK);
	assert_int_equal(RUN("help", "up"), PS_EXIT_OK);
	assert_non_null(strstr(out, "--iface"));
	assert_int_equal(RUN("up", "--help"), PS_EXIT_OK);
	assert_non_null(strstr(out, "--iface"));
	assert_int_equal(RUN("help", "nonsense"), PS_EXIT_USAGE);
	assert_int_equal(RUN("version"), PS_EXIT_OK);
	assert_string_equal(out, "packetscope " PS_VERSION "\n");
	assert_int_equal(RUN("--version"), PS_EXIT_OK);
	assert_int_equal(RUN("help", "--json"), PS_EXIT_OK);
	assert_int_equal(ps_json_parse(out, strlen(out), &v, NULL), 0);
	assert_int_equal(ps_value_count(v), ps_verbs_count);
}

static void usage_errors(void **state)
{
	static char out[16384];
	static const char *const lines[][4] = {{"nonsense"}, {"up", "eth0"}, {"up", "--nonsense"},
		{"up", "--interval", "soon"}, {"up", "--iface", "no-such-iface0"}, {"-iface", "no-such-iface0"},
		{"up", "-iface", "lo", "-api=nowhere:x"}, {"conns", "--fields", "nonsense"}, {"conns", "a", "b"},
		{"conns", "--limit", "0"}, {"icmp", "x"}, {"status", "x"}, {"stats", "x"}, {"filters", "nonsense"},
		{"filters", "get"}, {"filters", "rm", "one"}, {"filters", "get", "1/../2"},
		{"filters", "add", "dst_prot=1"}, {"filters", "add", "--file", "/no/such/file"},
		{"filters", "add", "--src-ip"}, {"filters", "set", "1", "2"}, {"filters", "promote"},
		{"filters", "promote", "x"}, {"filters", "confirm", "x"}, {"filters", "rm", "1", "dst_port=5"},
		{"filters", "enable", "1", "ttl=5"}, {"filters", "export", "xml"},
		{"filters", "import", "/no/such/file"}, {"filters", "import", "-", "dst_port=5"},
		{"filters", "replace", "/no/such/file"}, {"filters", "protect", "x"}, {"filters", "protect", "add"},
		{"watch", "--topics", "nonsense"}, {"watch", "--fields", "nonsense"}, {"watch", "x"}, {"doctor", "x"},
		{"detach", "x"}, {"version", "x"}, {"status", "--api", "not an address"}};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(lines); i++) {
		int code = RUN((char *)lines[i][0], (char *)lines[i][1], (char *)lines[i][2], (char *)lines[i][3]);

		if (code != PS_EXIT_USAGE)
			fail_msg("%s %s: exit code %d: %s", lines[i][0], lines[i][1] ? lines[i][1] : "", code, out);
		if (strncmp(out, "packetscope", 11) != 0)
			fail_msg("%s: says \"%s\"", lines[i][0], out);
	}
	/* without any word it shows what there is, but that was no command */
	assert_int_equal(run(out, sizeof(out), (char *const[]){"packetscope", NULL}), PS_EXIT_USAGE);
	assert_non_null(strstr(out, "doctor"));
}

static void unreachable(void **state)
{
	static char out[4096];
	static const char *const lines[][3] = {{"status"}, {"stats"}, {"conns"}, {"conns", "0000000000000001"},
		{"icmp"}, {"filters"}, {"filters", "rm", "0"}};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(lines); i++) {
		/* nothing listens on port 1 */
		int code = RUN((char *)lines[i][0], "--api", "127.0.0.1:1", (char *)lines[i][1], (char *)lines[i][2]);
		if (code != PS_EXIT_UNREACHABLE)
			fail_msg("%s: exit code %d: %s", lines[i][0], code, out);
		assert_non_null(strstr(out, "packetscope up"));
	}
}

static void kernels(void **state)
{
	(void)state;
	assert_true(ps_kernel_at_least("5.15.0-91-generic", 5, 15));
	assert_true(ps_kernel_at_least("6.1.0-18-amd64", 5, 15));
	assert_true(ps_kernel_at_least("5.18", 5, 18));
	assert_false(ps_kernel_at_least("5.4.0", 5, 15));
	assert_false(ps_kernel_at_least("4.19.0", 5, 15));
	assert_false(ps_kernel_at_least("", 5, 15));
	assert_false(ps_kernel_at_least("next", 5, 15));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_is_whole),
		cmocka_unit_test(help_and_version),
		cmocka_unit_test(usage_errors),
		cmocka_unit_test(unreachable),
		cmocka_unit_test(kernels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
