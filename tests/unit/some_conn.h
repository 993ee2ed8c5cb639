/* A connection with a bit of everything, for tests of lists: few values of each field, so that many are alike. */
#ifndef PS_TEST_SOME_CONN_H
#define PS_TEST_SOME_CONN_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "bpf/abi.h"
#include "common/model/conn_table.h"
#include "common/model/record.h"
#include "tests/unit/memory_kernel.h"

/* history: what all begin with; spread: how many values last_seen may have. */
static inline struct ps_conn some_conn(uint64_t *rnd, uint64_t id, const char *history, uint64_t spread)
{
	struct ps_conn c = {.id = id, .proto = mk_random(rnd) % 2 ? IPPROTO_TCP : IPPROTO_UDP};

	c.src_ip = (struct ps_addr){.family = 4, .word = {htonl(0x0a000000 + (uint32_t)(mk_random(rnd) % 20))}};
	c.dst_ip =
		(struct ps_addr){.family = 6, .word = {htonl(0x20010db8), 0, 0, htonl((uint32_t)(mk_random(rnd) % 5))}};
	c.src_port = (uint16_t)(40000 + mk_random(rnd) % 100);
	c.dst_port = (uint16_t)(mk_random(rnd) % 2 ? 443 : 53);
	c.state = c.proto == IPPROTO_TCP ? PS_TCP_ESTABLISHED : PS_STATE_UNREPLIED;
	(void)snprintf(c.iface, sizeof(c.iface), "eth%u", (unsigned)(mk_random(rnd) % 3));
	(void)snprintf(c.history, sizeof(c.history), "%s%c", history, (char)('a' + mk_random(rnd) % 26));
	c.first_seen = 1000 * MK_SEC + mk_random(rnd) % 1000;
	c.last_seen = 2000 * MK_SEC + mk_random(rnd) % spread;
	c.duration = c.last_seen - c.first_seen;
	c.loss = (double)(mk_random(rnd) % 10) / 10;
	c.rule_id = (int32_t)(mk_random(rnd) % 5) - 1;
	c.orig_packets = 1 + mk_random(rnd) % 9;
	c.orig_bytes = mk_random(rnd) % 3 ? mk_random(rnd) : UINT64_MAX - 1;
	return c;
}

/* A table of n of them, ids 16, 32 …; every tenth has ended. */
static inline struct ps_conn_table *some_table(uint64_t *rnd, uint64_t n, const char *history, uint64_t spread)
{
	struct ps_conn_table *table = NULL;

	assert_int_equal(ps_conn_table_new(10000, &table), 0);
	for (uint64_t id = 1; id <= n; id++) {
		struct ps_conn c = some_conn(rnd, id * 16, history, spread);

		assert_int_equal(
			ps_conn_table_apply(table, &c, id % 10 == 0, 1), id % 10 == 0 ? PS_CHANGE_END : PS_CHANGE_NEW);
	}
	return table;
}

#endif
