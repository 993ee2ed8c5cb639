/*
 * From what a capture holds to the Ethernet frame that the kernel part reads. Pure.
 *
 * Link types by the numbers of the capture file format (tcpdump.org/linktypes.html). Where there was no Ethernet
 * header, one with zero addresses stands in; VLAN tags that Linux cooked captures keep as payload stay what they are.
 */
#ifndef PS_REPLAY_ETHERNET_H
#define PS_REPLAY_ETHERNET_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

#define PS_ETHERNET_HEADER 14u

enum ps_link {
	PS_LINK_ETHERNET, /* 1 */
	PS_LINK_NULL,     /* 0: BSD loopback, family in the byte order of the writer */
	PS_LINK_LOOP,     /* 108: OpenBSD loopback, family in network byte order */
	PS_LINK_RAW,      /* 101, 228, 229 and what DLT_RAW is here: an IP packet */
	PS_LINK_SLL,      /* 113: Linux cooked */
	PS_LINK_SLL2,     /* 276: Linux cooked, version 2 */
};

/* -EPROTONOSUPPORT: err names the type and those there are. dlt: as libpcap's pcap_datalink(). */
int ps_link_of(int dlt, const char *name, enum ps_link *ret_link, struct ps_error *err);

/* A frame under construction; the memory is the caller's. */
struct ps_frame_out {
	uint8_t *data; /* room for `room` bytes */
	size_t room;
	size_t len; /* of the frame: as it was on the wire, as far as there is room */
	size_t cut; /* bytes of it that the capture didn't hold: zero */
};

/*
 * Builds the frame from `caplen` bytes of a packet that had `wirelen`. What the capture cut off is zero, so that the
 * frame has its length. -EBADMSG: too short for its link header; -EMSGSIZE: the whole frame is longer than the room.
 */
int ps_ethernet_frame(
	enum ps_link link, const uint8_t *packet, size_t caplen, size_t wirelen, struct ps_frame_out *frame);

#endif
