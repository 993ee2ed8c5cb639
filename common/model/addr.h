/*
 * IP addresses. 20 bytes hold either family; family 0 means "none" or "any".
 */
#ifndef PS_ADDR_H
#define PS_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ps_addr {
	uint8_t family; /* enum ps_family of bpf/abi.h: 0, 4 or 6 */
	uint8_t pad[3];
	uint32_t word[4]; /* network byte order; IPv4 in word[0], the rest zero */
};

/* Text form (RFC 5952 for IPv6); "" for none. Returns buf. */
#define PS_ADDR_TEXT 46
char *ps_addr_format(const struct ps_addr *a, char buf[static PS_ADDR_TEXT]);
/* The same without the NUL, for encoders: bytes written, at most PS_ADDR_TEXT - 1. Fast for IPv4. */
size_t ps_addr_put(const struct ps_addr *a, char *out);

/* An address, IPv4 or IPv6, no prefix, no zone. 0, or -EINVAL. */
int ps_addr_parse(const char *text, size_t len, struct ps_addr *ret_addr);

/* An IPv4 address, for decoders: 16 bytes can be read at text, of which the address is the first len. False: it is
 * none, or not as ps_addr_put writes it; *ret_addr is then undefined. */
bool ps_addr_take_ipv4(const char *text, size_t len, struct ps_addr *ret_addr);

bool ps_addr_equal(const struct ps_addr *a, const struct ps_addr *b);
int ps_addr_compare(const struct ps_addr *a, const struct ps_addr *b); /* none < IPv4 < IPv6, then bytes */

#endif
