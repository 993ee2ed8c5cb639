#include "replay/ethernet.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/cleanup.h"

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define ETHERTYPE_NONE 0x0000 /* 802.3 length 0: no protocol that anyone knows */

static const struct {
	int dlt;
	enum ps_link link;
} links[] = {
	{1, PS_LINK_ETHERNET},
	{0, PS_LINK_NULL},
	{108, PS_LINK_LOOP},
	{12, PS_LINK_RAW},
	{14, PS_LINK_RAW}, /* OpenBSD's number */
	{101, PS_LINK_RAW},
	{228, PS_LINK_RAW},
	{229, PS_LINK_RAW},
	{113, PS_LINK_SLL},
	{276, PS_LINK_SLL2},
};

int ps_link_of(int dlt, const char *name, enum ps_link *ret_link, struct ps_error *err)
{
	for (size_t i = 0; i < PS_ARRAY_SIZE(links); i++) {
		if (links[i].dlt == dlt) {
			*ret_link = links[i].link;
			return 0;
		}
	}
	return ps_error_set(err, -EPROTONOSUPPORT, 400, "bad_link_type", "FILE",
		"the capture's link type is %s (%d); Ethernet, Linux cooked v1 and v2, raw IP and BSD loopback can be "
		"replayed: capture with `tcpdump -i any`, or convert with editcap or tcprewrite",
		name ? name : "unknown", dlt);
}

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint16_t type_of_version(uint8_t first)
{
	switch (first >> 4) {
	case 4:
		return ETHERTYPE_IPV4;
	case 6:
		return ETHERTYPE_IPV6;
	default:
		return ETHERTYPE_NONE;
	}
}

/* Address families of the systems that write such captures, in whichever byte order. */
static uint16_t type_of_family(const uint8_t p[4])
{
	static const uint8_t inet6[] = {10, 24, 28, 30}; /* Linux; NetBSD and OpenBSD; FreeBSD; macOS */
	uint8_t family = p[0] ? p[0] : p[3];

	if ((p[0] && (p[1] || p[2] || p[3])) || (!p[0] && (p[1] || p[2])))
		return ETHERTYPE_NONE;
	if (family == 2)
		return ETHERTYPE_IPV4;
	return memchr(inet6, family, sizeof(inet6)) ? ETHERTYPE_IPV6 : ETHERTYPE_NONE;
}

/* Length of the link header and the EtherType it stands for. -EBADMSG. */
static int read_link(enum ps_link link, const uint8_t *packet, size_t caplen, size_t *ret_skip, uint16_t *ret_type)
{
	static const size_t skips[] = {
		[PS_LINK_ETHERNET] = PS_ETHERNET_HEADER,
		[PS_LINK_NULL] = 4,
		[PS_LINK_LOOP] = 4,
		[PS_LINK_RAW] = 0,
		[PS_LINK_SLL] = 16,
		[PS_LINK_SLL2] = 20,
	};

	if (caplen < skips[link] + (link == PS_LINK_RAW))
		return -EBADMSG;
	*ret_skip = skips[link];
	switch (link) {
	case PS_LINK_ETHERNET:
		*ret_type = be16(packet + 12);
		break;
	case PS_LINK_NULL:
	case PS_LINK_LOOP:
		*ret_type = type_of_family(packet);
		break;
	case PS_LINK_RAW:
		*ret_type = type_of_version(packet[0]);
		break;
	case PS_LINK_SLL:
		*ret_type = be16(packet + 14);
		break;
	case PS_LINK_SLL2:
		*ret_type = be16(packet);
		break;
	}
	return 0;
}

int ps_ethernet_frame(
	enum ps_link link, const uint8_t *packet, size_t caplen, size_t wirelen, struct ps_frame_out *frame)
{
	size_t skip = 0, len, have;
	uint16_t type = 0;

	if (read_link(link, packet, caplen, &skip, &type) < 0)
		return -EBADMSG;
	if (wirelen < caplen)
		wirelen = caplen;
	len = PS_ETHERNET_HEADER + (wirelen - skip);
	if (len > frame->room)
		return -EMSGSIZE;
	have = caplen - skip;
	if (link == PS_LINK_ETHERNET) {
		memcpy(frame->data, packet, PS_ETHERNET_HEADER);
	} else {
		memset(frame->data, 0, PS_ETHERNET_HEADER - 2);
		frame->data[12] = (uint8_t)(type >> 8);
		frame->data[13] = (uint8_t)type;
	}
	memcpy(frame->data + PS_ETHERNET_HEADER, packet + skip, have);
	frame->len = len;
	frame->cut = len - PS_ETHERNET_HEADER - have;
	memset(frame->data + PS_ETHERNET_HEADER + have, 0, frame->cut);
	return 0;
}
