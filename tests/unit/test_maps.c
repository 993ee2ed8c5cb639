#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "collector/maps.h"

static void buckets(void **state)
{
	(void)state;
	assert_int_equal(ps_maps_buckets(PS_CONNECTIONS_DEFAULT), 10240);
	assert_int_equal(ps_maps_buckets(PS_CONNECTIONS_MIN), 10);
	assert_int_equal(ps_maps_buckets(1), 1);
	assert_int_equal(ps_maps_buckets(1000000), 156250);
	/* Never fewer slots than the load allows. */
	for (uint32_t n = PS_CONNECTIONS_MIN; n < 3000; n++)
		assert_true(
			(uint64_t)ps_maps_buckets(n) * PS_BUCKET_SLOTS * PS_TABLE_LOAD_PERCENT >= (uint64_t)n * 100);
	/* Slots are numbered in 32 bits. */
	assert_true((uint64_t)ps_maps_buckets(PS_CONNECTIONS_MAX) * PS_BUCKET_SLOTS < UINT32_MAX);
}

static void rings(void **state)
{
	(void)state;
	assert_int_equal(ps_maps_ring_bytes(1), PS_RING_TOTAL);
	assert_int_equal(ps_maps_ring_bytes(2), PS_RING_TOTAL / 2);
	assert_int_equal(ps_maps_ring_bytes(3), PS_RING_TOTAL / 4);
	for (uint32_t n = 1; n <= PS_CPUS_MAX; n++) {
		uint32_t bytes = ps_maps_ring_bytes(n);

		assert_int_equal(bytes & (bytes - 1), 0);
		assert_true(bytes >= PS_RING_MIN);
		assert_int_equal(bytes % (64 << 10), 0); /* of the largest page that there is */
		assert_true((uint64_t)bytes * n <= PS_RING_TOTAL || bytes == PS_RING_MIN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets),
		cmocka_unit_test(rings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
