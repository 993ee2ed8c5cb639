/* From the link types of captures to Ethernet frames. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "replay/ethernet.h"

static uint8_t room[128];
static struct ps_frame_out frame;

static int build(enum ps_link link, const void *packet, size_t caplen, size_t wirelen)
{
	memset(room, 0xee, sizeof(room));
	frame = (struct ps_frame_out){.data = room, .room = sizeof(room)};
	return ps_ethernet_frame(link, packet, caplen, wirelen, &frame);
}

static unsigned type(void)
{
	return (unsigned)(room[12] << 8 | room[13]);
}

static void link_types(void **state)
{
	static const struct {
		int dlt;
		enum ps_link want;
	} rows[] = {{1, PS_LINK_ETHERNET}, {0, PS_LINK_NULL}, {108, PS_LINK_LOOP}, {12, PS_LINK_RAW},
		{101, PS_LINK_RAW}, {228, PS_LINK_RAW}, {229, PS_LINK_RAW}, {113, PS_LINK_SLL}, {276, PS_LINK_SLL2}};
	struct ps_error err = {0};
	enum ps_link link;

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		assert_int_equal(ps_link_of(rows[i].dlt, NULL, &link, NULL), 0);
		assert_int_equal(link, rows[i].want);
	}
	assert_int_equal(ps_link_of(127, "IEEE802_11_RADIO", &link, &err), -EPROTONOSUPPORT);
	assert_string_equal(err.field, "FILE");
	assert_non_null(strstr(err.message, "IEEE802_11_RADIO"));
}

static void ethernet_is_itself(void **state)
{
	const uint8_t packet[20] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x08, 0x06, 0xaa};

	(void)state;
	assert_int_equal(build(PS_LINK_ETHERNET, packet, sizeof(packet), sizeof(packet)), 0);
	assert_int_equal(frame.len, 20);
	assert_int_equal(frame.cut, 0);
	assert_memory_equal(room, packet, sizeof(packet));
	assert_int_equal(build(PS_LINK_ETHERNET, packet, 13, 13), -EBADMSG);
	assert_int_equal(build(PS_LINK_ETHERNET, packet, 14, 14), 0);
	assert_int_equal(build(PS_LINK_ETHERNET, packet, 0, 60), -EBADMSG);
}

static void what_was_cut_is_zero(void **state)
{
	const uint8_t packet[20] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x08, 0x00, 0x45, 1, 2, 3, 4, 5};

	(void)state;
	assert_int_equal(build(PS_LINK_ETHERNET, packet, 20, 60), 0);
	assert_int_equal(frame.len, 60);
	assert_int_equal(frame.cut, 40);
	for (size_t i = 20; i < 60; i++)
		assert_int_equal(room[i], 0);
	assert_int_equal(room[60], 0xee);
	/* a length below what was captured is not believed */
	assert_int_equal(build(PS_LINK_ETHERNET, packet, 20, 3), 0);
	assert_int_equal(frame.len, 20);
	/* as long as there is room, and no byte more */
	assert_int_equal(build(PS_LINK_ETHERNET, packet, 20, sizeof(room)), 0);
	assert_int_equal(build(PS_LINK_ETHERNET, packet, 20, sizeof(room) + 1), -EMSGSIZE);
	assert_int_equal(build(PS_LINK_ETHERNET, packet, 20, UINT32_MAX), -EMSGSIZE);
}

static void raw_goes_by_version(void **state)
{
	uint8_t packet[40] = {0x45};

	(void)state;
	assert_int_equal(build(PS_LINK_RAW, packet, sizeof(packet), sizeof(packet)), 0);
	assert_int_equal(type(), 0x0800);
	assert_int_equal(frame.len, 54);
	assert_memory_equal(room + 14, packet, sizeof(packet));
	packet[0] = 0x60;
	assert_int_equal(build(PS_LINK_RAW, packet, sizeof(packet), sizeof(packet)), 0);
	assert_int_equal(type(), 0x86dd);
	packet[0] = 0x10;
	assert_int_equal(build(PS_LINK_RAW, packet, sizeof(packet), sizeof(packet)), 0);
	assert_int_equal(type(), 0);
	assert_int_equal(build(PS_LINK_RAW, packet, 0, 40), -EBADMSG);
}

static void cooked(void **state)
{
	uint8_t v1[16 + 20] = {[14] = 0x08, [15] = 0x00, [16] = 0x45}, v2[20 + 20] = {0x86, 0xdd, [20] = 0x60};
	uint8_t tagged[16 + 24] = {[14] = 0x81, [15] = 0x00, [17] = 42, [18] = 0x08, [19] = 0x00, [20] = 0x45};

	(void)state;
	assert_int_equal(build(PS_LINK_SLL, v1, sizeof(v1), sizeof(v1)), 0);
	assert_int_equal(type(), 0x0800);
	assert_int_equal(frame.len, 34);
	assert_int_equal(room[14], 0x45);
	assert_int_equal(build(PS_LINK_SLL, v1, 15, 60), -EBADMSG);
	assert_int_equal(build(PS_LINK_SLL2, v2, sizeof(v2), sizeof(v2)), 0);
	assert_int_equal(type(), 0x86dd);
	assert_int_equal(room[14], 0x60);
	assert_int_equal(build(PS_LINK_SLL2, v2, 19, 60), -EBADMSG);
	/* a tag stays one */
	assert_int_equal(build(PS_LINK_SLL, tagged, sizeof(tagged), sizeof(tagged)), 0);
	assert_int_equal(type(), 0x8100);
	assert_int_equal(room[15], 42);
	assert_int_equal(room[18], 0x45);
}

static void loopback_families(void **state)
{
	static const struct {
		uint8_t family[4];
		unsigned want;
	} rows[] = {
		{{2, 0, 0, 0}, 0x0800},
		{{0, 0, 0, 2}, 0x0800},
		{{10, 0, 0, 0}, 0x86dd},
		{{24, 0, 0, 0}, 0x86dd},
		{{0, 0, 0, 28}, 0x86dd},
		{{30, 0, 0, 0}, 0x86dd},
		{{0, 0, 0, 0}, 0},
		{{2, 2, 0, 0}, 0},
		{{0, 2, 0, 2}, 0},
		{{7, 0, 0, 0}, 0},
	};
	uint8_t packet[24] = {0};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		memcpy(packet, rows[i].family, 4);
		assert_int_equal(build(i % 2 ? PS_LINK_LOOP : PS_LINK_NULL, packet, sizeof(packet), sizeof(packet)), 0);
		assert_int_equal(type(), rows[i].want);
		assert_int_equal(frame.len, 34);
	}
	assert_int_equal(build(PS_LINK_NULL, packet, 3, 24), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(link_types),
		cmocka_unit_test(ethernet_is_itself),
		cmocka_unit_test(what_was_cut_is_zero),
		cmocka_unit_test(raw_goes_by_version),
		cmocka_unit_test(cooked),
		cmocka_unit_test(loopback_families),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
