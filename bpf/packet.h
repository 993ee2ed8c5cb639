/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * What the parser (parse.h) read of one frame: everything that the rest of the program knows of it. Both hooks fill it
 * on their stack and hand it on; nothing behind the parser touches the frame.
 */
#ifndef PS_BPF_PACKET_H
#define PS_BPF_PACKET_H

#include "bpf/abi.h"

enum ps_kind {
	PS_KIND_MALFORMED_ETH = 0,
	PS_KIND_NOT_IP,
	PS_KIND_MALFORMED_IP,
	PS_KIND_MALFORMED_EXT,
	PS_KIND_MALFORMED_L4,
	PS_KIND_TCP,
	PS_KIND_UDP,
	PS_KIND_ICMP, /* either version */
	PS_KIND_OTHER,
	PS_KIND_FRAGMENT, /* not the first of its packet: no ports */
};

/* The name of a connection, see key.h. */
struct ps_name {
	__u64 addr; /* IPv4: address of side 0, then of side 1, as two words in memory; IPv6: digest */
	__u64 hash;
	__u64 ends; /* ports by side, then VLANs, as the four numbers of struct ps_conn_hot lie in memory */
	__u8 proto;
	__u8 family;
	__u8 side; /* that sent the packet */
	__u8 pad[5];
};

struct ps_packet {
	struct ps_rule_key key;     /* addresses, ports, protocol, TCP flags, direction, as the classifier sees them */
	struct ps_rule_inner inner; /* the packet quoted in an ICMP error */
	struct ps_name name;        /* of its connection; set when the packet is tracked */
	__u64 now;                  /* ps_now() */
	__u64 interval;             /* between two reports of one thing */
	__u32 active;               /* rule set that judges it */
	__u32 generation;           /* of that set */
	__u32 shadow;               /* PS_VERDICT_* of the rule in shadow mode that would have been first; 0 = none */
	__u32 ifindex;
	__u32 frame_len; /* of the whole frame, fragments of the buffer included */
	__u32 bytes;     /* IP bytes as the wire carries them; of a frame that is no IP packet, its length */
	__u32 segs;      /* packets as the wire carries them, at least 1 */
	__u32 payload;   /* bytes behind the TCP or UDP header, of all segments */
	__u32 ip_len;    /* total length as the IP header has it */
	__u32 hdr_len;   /* IP and TCP/UDP headers together: what each further segment repeats */
	__u32 seq;       /* TCP, host order; ICMP echo: id << 16 | sequence number, host order */
	__u32 ack;
	__u32 ip_id;   /* identification, host order; 0 in IPv6 without a fragment header */
	__u32 l4_end;  /* where the IP packet ends, offset in the frame */
	__u16 ext_off; /* where IPv6 extension headers begin, 0 = none */
	__u16 l4_off;  /* where its payload begins, 0 = there is none to read */
	__u16 opt_off; /* where the options of a SYN begin, 0 = none */
	__u16 opt_end;
	__u16 quoted_off; /* where the packet quoted in an ICMP error begins, 0 = none */
	__u16 vlan[2];    /* outer, inner id; 0 = none */
	__u16 window;
	__u16 gso_size; /* nonzero: the hook sees several segments as one */
	__u8 wscale;    /* option of a SYN; 0xff = none */
	__u8 kind;      /* enum ps_kind */
	__u8 known;     /* PS_KNOWN_* */
	__u8 icmp_type;
	__u8 icmp_code;
	__u8 vlan_tags;  /* tags read so far, priority tags included */
	__u8 short_read; /* the parser wanted bytes that the frame has but this view of it has not */
	__u8 forwarded;  /* counted on its way in; only the egress rules are left */
	__u8 more;       /* the first fragment of several */
	__u8 l3;         /* the frame begins with the IP header */
};

#define PS_TCP_FIN 0x01
#define PS_TCP_SYN 0x02
#define PS_TCP_RST 0x04
#define PS_TCP_ACK 0x10

#endif
