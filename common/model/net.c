/* See net.h. */
#include "common/model/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bpf/abi.h"

uint8_t ps_net_bits(uint8_t family)
{
	if (family == PS_FAMILY_IPV4)
		return 32;
	return family == PS_FAMILY_IPV6 ? 128 : 0;
}

/* Word i of the mask of `len` bits, network byte order. */
static uint32_t mask_word(unsigned len, unsigned i)
{
	unsigned before = i * 32;

	if (len <= before)
		return 0;
	return len >= before + 32 ? UINT32_MAX : htonl(UINT32_MAX << (32 - (len - before)));
}

static bool same_bits(const uint32_t a[4], const uint32_t b[4], unsigned len)
{
	for (unsigned i = 0; i < 4 && len > i * 32; i++)
		if ((a[i] ^ b[i]) & mask_word(len, i))
			return false;
	return true;
}

static int parse_length(const char *s, size_t n, unsigned max, uint8_t *ret_len)
{
	unsigned len = 0;

	if (!n || n > 3 || (n > 1 && s[0] == '0'))
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -EINVAL;
		len = len * 10 + (unsigned)(s[i] - '0');
	}
	if (len > max)
		return -ERANGE;
	*ret_len = (uint8_t)len;
	return 0;
}

int ps_net_parse(const char *text, size_t len, struct ps_net *ret_net)
{
	const char *slash = memchr(text, '/', len);
	size_t n = slash ? (size_t)(slash - text) : len;
	struct ps_net net = {0};
	int r = ps_addr_parse(text, n, &net.addr);

	if (r)
		return r;
	net.len = ps_net_bits(net.addr.family);
	if (slash)
		r = parse_length(slash + 1, len - n - 1, net.len, &net.len);
	if (r)
		return r;
	*ret_net = net;
	return 0;
}

bool ps_net_is_masked(const struct ps_net *n)
{
	for (unsigned i = 0; i < 4; i++)
		if (n->addr.word[i] & ~mask_word(n->len, i))
			return false;
	return true;
}

void ps_net_mask(struct ps_net *n)
{
	for (unsigned i = 0; i < 4; i++)
		n->addr.word[i] &= mask_word(n->len, i);
}

char *ps_net_format(const struct ps_net *n, char buf[static PS_NET_TEXT])
{
	size_t at;

	if (!n->addr.family) {
		memcpy(buf, "any", sizeof("any"));
		return buf;
	}
	at = ps_addr_put(&n->addr, buf);
	buf[at] = '\0';
	if (n->len != ps_net_bits(n->addr.family))
		(void)snprintf(buf + at, PS_NET_TEXT - at, "/%u", n->len);
	return buf;
}

struct ps_net ps_net_of(const struct ps_addr *a)
{
	return (struct ps_net){.addr = *a, .len = ps_net_bits(a->family)};
}

bool ps_net_equal(const struct ps_net *a, const struct ps_net *b)
{
	return a->len == b->len && ps_addr_equal(&a->addr, &b->addr);
}

int ps_net_compare(const struct ps_net *a, const struct ps_net *b)
{
	return ps_addr_compare(&a->addr, &b->addr) ?: (a->len > b->len) - (a->len < b->len);
}

bool ps_net_contains(const struct ps_net *outer, const struct ps_net *inner)
{
	if (!outer->addr.family)
		return true;
	return outer->addr.family == inner->addr.family && outer->len <= inner->len &&
	       same_bits(outer->addr.word, inner->addr.word, outer->len);
}

bool ps_net_overlaps(const struct ps_net *a, const struct ps_net *b)
{
	return ps_net_contains(a, b) || ps_net_contains(b, a);
}

bool ps_net_has(const struct ps_net *n, uint8_t family, const uint32_t word[4])
{
	if (!n->addr.family)
		return true;
	return n->addr.family == family && same_bits(n->addr.word, word, n->len);
}
