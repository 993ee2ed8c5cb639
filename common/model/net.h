/*
 * A network: an address and how many of its leading bits count ("CIDR", RFC 4632 and RFC 4291). A single address is one
 * whose bits all count.
 */
#ifndef PS_NET_H
#define PS_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/model/addr.h"

struct ps_net {
	struct ps_addr addr; /* family 0 = any address of any family; bits beyond len are zero */
	uint8_t len;         /* bits that count: 0…32 or 0…128; 0.0.0.0/0 is every IPv4 address, not "any" */
};

/* Bits of an address of that family: 32, 128, or 0 for none. */
uint8_t ps_net_bits(uint8_t family);

/*
 * "10.0.0.0/8", "2001:db8::/32", or an address alone. -EINVAL: no address, or what stands behind the slash is no plain
 * decimal number; -ERANGE: the family has no such length. Bits beyond the length are kept: ps_net_is_masked tells
 * whether there are any, and ps_net_mask clears them.
 */
int ps_net_parse(const char *text, size_t len, struct ps_net *ret_net);
bool ps_net_is_masked(const struct ps_net *n);
void ps_net_mask(struct ps_net *n);

/* "any", the address alone when all its bits count, or address/length. Returns buf. */
#define PS_NET_TEXT 50
char *ps_net_format(const struct ps_net *n, char buf[static PS_NET_TEXT]);

struct ps_net ps_net_of(const struct ps_addr *a); /* the single address; family 0 = any */

bool ps_net_equal(const struct ps_net *a, const struct ps_net *b);
int ps_net_compare(const struct ps_net *a, const struct ps_net *b); /* by address, then the shorter length first */
bool ps_net_contains(const struct ps_net *outer, const struct ps_net *inner); /* is all of inner in outer? */
bool ps_net_overlaps(const struct ps_net *a, const struct ps_net *b);
/* The address as it stands in a packet: IPv4 in word[0]. */
bool ps_net_has(const struct ps_net *n, uint8_t family, const uint32_t word[4]);

#endif
