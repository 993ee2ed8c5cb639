/* SPDX-License-Identifier: MIT */
/*
 * Frames from a description.
 *
 *	struct ps_frame f;
 *	ps_frame_make(&f, &(struct ps_frame_spec){.src = "10.0.0.1", .dst = "10.0.0.2", .proto = IPPROTO_TCP,
 *		.sport = 1000, .dport = 80, .flags = PS_F_SYN});
 *
 * What is left out is zero or absent; lengths and header sizes come out right unless a field overrides them. Checksums
 * are not computed: the kernel part doesn't look at them.
 */
#ifndef PS_TEST_FRAME_H
#define PS_TEST_FRAME_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#define PS_FRAME_MAX 4000
#define PS_FRAME_VLANS 3
#define PS_FRAME_EXTS 12

#define PS_F_FIN 0x01
#define PS_F_SYN 0x02
#define PS_F_RST 0x04
#define PS_F_PSH 0x08
#define PS_F_ACK 0x10

struct ps_frame {
	size_t len;
	uint8_t data[PS_FRAME_MAX];
};

/* An IPv6 extension header. */
struct ps_frame_ext {
	uint8_t type;    /* 0 hop-by-hop, 43 routing, 44 fragment, 51 AH, 60 destination options */
	uint8_t len;     /* its length field; a fragment header has none */
	uint16_t offset; /* of a fragment header, in 8-byte units */
	uint8_t more;    /* of a fragment header */
	uint32_t id;     /* of a fragment header */
};

struct ps_frame_spec {
	uint8_t l3;         /* no Ethernet header: begins with the IP header */
	uint16_t ethertype; /* instead of what follows from src */
	int vlans;
	uint16_t vid[PS_FRAME_VLANS];
	uint16_t tpid[PS_FRAME_VLANS]; /* 0x8100 if left out */
	const char *src;               /* decides on IPv4 or IPv6 */
	const char *dst;
	uint8_t proto;
	uint16_t ip_id;
	uint16_t frag_offset; /* IPv4, in 8-byte units */
	uint8_t more;         /* IPv4 */
	uint8_t ip_options;   /* IPv4: bytes, a multiple of 4 */
	int exts;
	struct ps_frame_ext ext[PS_FRAME_EXTS];
	uint16_t sport;
	uint16_t dport;
	uint8_t flags;
	uint32_t seq;
	uint32_t ack;
	uint32_t window; /* 65535 if left out; PS_FRAME_ZERO for zero */
	uint8_t wscale;  /* of a SYN: 1 + shift; 0 = no option */
	uint8_t icmp_type;
	uint8_t icmp_code;
	uint16_t echo_id;
	uint16_t echo_seq;
	const struct ps_frame_spec *quoted; /* ICMP: a packet behind the header */
	size_t quoted_len;                  /* at most so many bytes of it; 0 = all */
	size_t payload;                     /* bytes behind the last header */
	size_t padding;                     /* bytes behind the IP packet */
	int raw_len;                        /* added to the IP length field */
	int raw_udp_len;                    /* added to the UDP length field */
	uint8_t raw_ihl;                    /* instead of the right one */
	uint8_t raw_doff;                   /* instead of the right one */
	uint8_t raw_version;                /* instead of the right one */
};

#define PS_FRAME_ZERO 0x10000u /* not representable: see window */

void ps_frame_make(struct ps_frame *f, const struct ps_frame_spec *spec);

/* IP bytes of what the description makes, as the kernel part should count them. */
size_t ps_frame_ip_bytes(const struct ps_frame_spec *spec);

#endif
