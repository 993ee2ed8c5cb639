/* SPDX-License-Identifier: MIT */
/* Every variant loads, and with room to spare below the verifier's limit; says how many instructions it went through.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "packetscope.skel.h"
#include "packetscope_lru.skel.h"
#include "packetscope_trace.skel.h"

#define LOG_STATS 4 /* BPF_LOG_STATS: only the summary */
#define LOG_BYTES 65536
/* Half of BPF_COMPLEXITY_LIMIT_INSNS: an older or newer verifier may count up to twice as much. */
#define INSNS_MAX 500000

static void check(const char *name, const void *bytes, size_t size)
{
	struct bpf_object *o = bpf_object__open_mem(bytes, size, NULL);
	static char log[2][LOG_BYTES];
	struct bpf_program *p;
	int i = 0;

	assert_non_null(o);
	bpf_object__for_each_program(p, o)
	{
		log[i][0] = 0;
		bpf_program__set_log_level(p, LOG_STATS);
		bpf_program__set_log_buf(p, log[i++], LOG_BYTES);
		assert_true(i <= 2);
	}
	assert_int_equal(bpf_object__load(o), 0);
	i = 0;
	bpf_object__for_each_program(p, o)
	{
		const char *at = strstr(log[i++], "processed ");
		unsigned long insns = at ? strtoul(at + strlen("processed "), NULL, 10) : 0;

		printf("%s %s: %lu instructions verified\n", name, bpf_program__name(p), insns);
		assert_in_range(insns, 1, INSNS_MAX);
	}
	bpf_object__close(o);
}

static void test_loads(void **state)
{
	const void *bytes;
	size_t size = 0;

	(void)state;
	bytes = packetscope__elf_bytes(&size);
	check("packetscope", bytes, size);
	bytes = packetscope_trace__elf_bytes(&size);
	check("packetscope_trace", bytes, size);
	bytes = packetscope_lru__elf_bytes(&size);
	check("packetscope_lru", bytes, size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loads),
	};

	return ps_rig_skip() ?: cmocka_run_group_tests(tests, NULL, NULL);
}
