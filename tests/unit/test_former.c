#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "collector/former.h"
#include "common/base/cleanup.h"

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

/* --- has a layout changed and nobody said so? ------------------------------------------------------ */

/* FNV-1a over what the compiler says of a type: names, places, sizes. */
static void mix(uint64_t *sum, const void *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		*sum = (*sum ^ ((const uint8_t *)data)[i]) * 0x100000001b3ull;
}

static void mix_number(uint64_t *sum, uint64_t n)
{
	mix(sum, &n, sizeof(n));
}

static void mix_type(const struct btf *btf, int id, uint64_t *sum);

static void mix_members(const struct btf *btf, const struct btf_type *t, uint64_t *sum)
{
	const struct btf_member *m = btf_members(t);

	for (uint32_t i = 0; i < btf_vlen(t); i++) {
		const char *name = btf__name_by_offset(btf, m[i].name_off);

		mix(sum, name, strlen(name));
		mix_number(sum, btf_member_bit_offset(t, i));
		mix_type(btf, (int)m[i].type, sum);
	}
}

static void mix_type(const struct btf *btf, int id, uint64_t *sum)
{
	const struct btf_type *t = btf__type_by_id(btf, (uint32_t)id);

	while (btf_is_mod(t) || btf_is_typedef(t))
		t = btf__type_by_id(btf, t->type);
	mix_number(sum, btf_kind(t));
	if (btf_is_array(t)) {
		mix_number(sum, btf_array(t)->nelems);
		mix_type(btf, (int)btf_array(t)->type, sum);
		return;
	}
	mix_number(sum, t->size);
	if (btf_is_composite(t))
		mix_members(btf, t, sum);
}

/*
 * Each map's value, its key, or a type that a map in it is made of, with the version since which it is so. (Of rows and
 * events the object says nothing; bpf/abi.h asserts their sizes.) Who changes a layout finds the new sum in what this
 * test says, when the rest of bpf/maps.def is done.
 */
static const struct {
	const char *map;
	const char *type; /* NULL = the map's value */
	uint32_t since;
	uint64_t sum;
} layouts[] = {
	{"ps_tags", NULL, 1, 0x1c6daa218034cad7},
	{"ps_hot", NULL, 1, 0xfcabff5061f284d4},
	{"ps_cold", NULL, 1, 0x8cf01a6cbf2bc4ac},
	{"ps_tcp", NULL, 1, 0x99c7b9b66dc558f5},
	{"ps_icmp", "ps_icmp_key", 1, 0xa5d73986db1bb5dc},
	{"ps_icmp", NULL, 1, 0x3bab5c633fa842a3},
	{"ps_frags", "ps_frag_key", 1, 0x81a6cf1714edf6e2},
	{"ps_frags", NULL, 1, 0x159937499c915e0f},
	{"ps_rule_heads", NULL, 2, 0x9c2ccd61e2551fc2},
	{"ps_rule_chunks", "ps_rule_unit", 2, 0x805b537b98596bad},
	{"ps_runtime", NULL, 2, 0x5370aa0a74e2dd16},
	{"ps_rates", "ps_rate_key", 2, 0xc0fba6f1c174a223},
	{"ps_stats", NULL, 1, 0x0593e0b03078ebb5},
	{"ps_ledger", NULL, 1, 0x60d39485f3832cf4},
	{"ps_ifaces", NULL, 1, 0xd949e2efbd5934e6},
};

static void no_layout_has_changed_in_silence(void **state)
{
	struct packetscope *skel = packetscope__open();
	const struct btf *btf = bpf_object__btf(skel->obj);
	size_t wrong = 0;

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(layouts); i++) {
		const struct bpf_map *map = bpf_object__find_map_by_name(skel->obj, layouts[i].map);
		int id = layouts[i].type ? btf__find_by_name_kind(btf, layouts[i].type, BTF_KIND_STRUCT)
					 : (int)bpf_map__btf_value_type_id(map);
		uint64_t sum = 0xcbf29ce484222325ull;
		unsigned together;

		if (id <= 0)
			fail_msg("%s: no type %s", layouts[i].map, layouts[i].type ? layouts[i].type : "");
		mix_type(btf, id, &sum);
		if (sum == layouts[i].sum && layouts[i].since == ps_former_since(layouts[i].map, &together))
			continue;
		print_error("%s %s: since %u, 0x%016llx\n", layouts[i].map, layouts[i].type ? layouts[i].type : "",
			ps_former_since(layouts[i].map, &together), (unsigned long long)sum);
		wrong++;
	}
	if (wrong)
		fail_msg("%zu layouts are not what they were: raise PS_ABI_VERSION, see bpf/maps.def", wrong);
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
		cmocka_unit_test(no_layout_has_changed_in_silence),
		cmocka_unit_test(rules_go_together),
		cmocka_unit_test(meta_stands_still),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
