#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <bpf/libbpf.h>

#include "collector/former.h"

#include "packetscope.skel.h"

/* A map without a row would be made anew at each upgrade and lose what is in it; a row without a map is a leftover. */
static void every_map_has_a_row(void **state)
{
	struct packetscope *skel = packetscope__open();
	const struct bpf_map *map;
	size_t maps = 0, rows = 0;

	(void)state;
	assert_non_null(skel);
	bpf_object__for_each_map(map, skel->obj)
	{
		const char *name = bpf_map__name(map);
		unsigned together = 0;
		uint32_t since = ps_former_since(name, &together);

		if (bpf_map__is_internal(map) || strcmp(name, "ps_meta") == 0)
			continue;
		maps++;
		if (since == 0)
			fail_msg("%s has no row in bpf/maps.def", name);
		if (since > PS_ABI_VERSION)
			fail_msg("%s: version %u is still to come", name, since);
		assert_true(together < 32);
	}
#define PS_MAP(name, since, together) rows++;
#include "bpf/maps.def"
#undef PS_MAP
	assert_int_equal(rows, maps);
	packetscope__destroy(skel);
}

/* The word that says which set is in force, the sets, and what they point into. */
static void rules_go_together(void **state)
{
	static const char *const names[] = {"ps_rule_heads", "ps_rule_chunks", "ps_rule_rows", "ps_runtime"};
	unsigned first = 0, together = 0;

	(void)state;
	assert_true(ps_former_since(names[0], &first) > 0);
	assert_int_not_equal(first, 0);
	for (size_t i = 1; i < 4; i++) {
		assert_true(ps_former_since(names[i], &together) > 0);
		assert_int_equal(together, first);
	}
	assert_true(ps_former_since("ps_hot", &together) > 0);
	assert_int_not_equal(together, first);
	assert_int_equal(ps_former_since("ps_meta", &together), 0);
	assert_int_equal(ps_former_since("", &together), 0);
}

/* Other versions read these words: they must never move. */
static void meta_stands_still(void **state)
{
	(void)state;
	assert_int_equal(offsetof(struct ps_meta, abi), 0);
	assert_int_equal(offsetof(struct ps_meta, buckets), 4);
	assert_int_equal(offsetof(struct ps_meta, seed), 8);
	assert_int_equal(offsetof(struct ps_meta, id_base), 16);
	assert_int_equal(offsetof(struct ps_meta, created), 24);
	assert_int_equal(offsetof(struct ps_meta, cpus), 32);
	assert_int_equal(offsetof(struct ps_meta, ring_bytes), 36);
	assert_int_equal(offsetof(struct ps_meta, max_connections), 40);
	assert_int_equal(offsetof(struct ps_meta, former), 44);
	assert_int_equal(offsetof(struct ps_meta, swapped), 46);
	assert_int_equal(offsetof(struct ps_rule_head, generation), 0);
	assert_int_equal(offsetof(struct ps_rule_row, hits), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_map_has_a_row),
		cmocka_unit_test(rules_go_together),
		cmocka_unit_test(meta_stands_still),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
