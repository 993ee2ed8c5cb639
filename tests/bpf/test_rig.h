/* SPDX-License-Identifier: MIT */
/* What nearly every test program here begins with: one rig, loaded for all of its tests and emptied before each. */
#ifndef PS_TEST_RIG_H
#define PS_TEST_RIG_H

#include "harness.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"

static struct ps_rig *rig;

__attribute__((unused)) static int load(void **state)
{
	(void)state;
	rig = ps_rig_new(NULL);
	return 0;
}

static int unload(void **state)
{
	(void)state;
	ps_rig_free(&rig);
	return 0;
}

static int reset(void **state)
{
	(void)state;
	ps_rig_reset(rig);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup(name, reset)
#define RUN(tests) (ps_rig_skip() ?: cmocka_run_group_tests(tests, load, unload))

/* Frames from a description in place; true if it passed. */
#define IN(...) ps_rig_in(rig, &(struct ps_frame_spec){__VA_ARGS__})
#define OUT(...) ps_rig_out(rig, &(struct ps_frame_spec){__VA_ARGS__})

#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull
#define T0 1000000000000ull /* where ps_rig_reset() sets the clock */

#endif
