/*
 * Community ID, version 1: one name for a flow that Zeek, Suricata and others compute alike, whichever end was seen
 * first. After the specification by Corelight (github.com/corelight/community-id-spec).
 *
 *	"1:" base64(sha1(seed, lower address, higher address, protocol, 0, lower port, higher port))
 *
 * Everything in network byte order; the end with the lower address comes first, and of equal addresses the one with the
 * lower port. ICMP has types in place of ports: a type that has an answer stands with it (echo request and reply are
 * one flow), any other stands with its code and keeps its direction.
 *
 * It costs a SHA-1 of 16 to 40 bytes, so it is computed where a record is shown and stays out of the event path.
 */
#ifndef PS_COMMUNITY_ID_H
#define PS_COMMUNITY_ID_H

#include <stdint.h>

#include "common/model/addr.h"

#define PS_COMMUNITY_ID_SEED 0  /* unless an installation agrees on another one */
#define PS_COMMUNITY_ID_TEXT 32 /* "1:", 28 characters, NUL, and room */

/*
 * Ports in host byte order, of no meaning where the protocol has none. Returns buf; "" if the addresses are not of one
 * family.
 */
char *ps_community_id(uint16_t seed, uint8_t proto, const struct ps_addr *src, uint16_t src_port,
	const struct ps_addr *dst, uint16_t dst_port, char buf[static PS_COMMUNITY_ID_TEXT]);

/* The same of an ICMP message; the family says whether type and code are ICMP's or ICMPv6's. */
char *ps_community_id_icmp(uint16_t seed, const struct ps_addr *src, const struct ps_addr *dst, uint8_t type,
	uint8_t code, char buf[static PS_COMMUNITY_ID_TEXT]);

#endif
