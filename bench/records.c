/* SPDX-License-Identifier: MIT */
#include "bench/records.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "bpf/abi.h"

void ps_bench_record(uint32_t n, struct ps_conn *ret_conn)
{
	uint32_t r = n * 2654435761u;

	*ret_conn = (struct ps_conn){
		.id = 0x100000000ull + n,
		.proto = IPPROTO_TCP,
		.src_ip = {.family = PS_FAMILY_IPV4, .word = {htonl(0x0a000000u | (r >> 8))}},
		.src_port = (uint16_t)(1024 + r % 60000),
		.dst_ip = {.family = PS_FAMILY_IPV4, .word = {htonl(0xc0000201u)}},
		.dst_port = 443,
		.state = PS_TCP_ESTABLISHED,
		.first_seen = 1700000000000000000ull + r,
		.last_seen = 1700000005000000000ull + r,
		.duration = 5000000000ull,
		.ip_id = (uint16_t)r,
		.rtt_handshake_us = 1000 + r % 50000,
		.rtt_us = 1000 + r % 50000,
		.rule_id = -1,
		.orig_packets = 10 + r % 100,
		.resp_packets = 12 + r % 120,
		.orig_bytes = 900 + r % 10000,
		.resp_bytes = 15000 + r % 1000000,
		.orig_tcp_flags = 0x1a,
		.resp_tcp_flags = 0x1a,
		.orig_seq = r,
		.resp_seq = ~r,
		.orig_ack = ~r,
		.resp_ack = r,
		.orig_window = 64240,
		.resp_window = 65535,
	};
	(void)snprintf(ret_conn->iface, sizeof(ret_conn->iface), "eth0");
	(void)snprintf(ret_conn->conn_state, sizeof(ret_conn->conn_state), "S1");
	(void)snprintf(ret_conn->history, sizeof(ret_conn->history), "ShADad");
}
