#include "ai-worker/reach.h"

#include <arpa/inet.h>
#include <string.h>

#include "bpf/abi.h"
#include "common/base/cleanup.h"

struct net {
	const char *cidr_base;
	unsigned bits;
	const char *what;
};

/* RFC 3927, RFC 4291 2.5.6, RFC 1122 3.2.1.3, RFC 5771; the rest are the clouds' documented service addresses. */
static const struct net refused[] = {
	{"169.254.0.0", 16, "a link-local address; clouds serve machine credentials there"},
	{"fe80::", 10, "a link-local address"},
	{"fd00:ec2::", 32, "an address where a cloud serves machine credentials"},
	{"fd20:ce::", 32, "an address where a cloud serves machine credentials"},
	{"100.100.100.200", 32, "an address where a cloud serves machine credentials"},
	{"192.0.0.192", 32, "an address where a cloud serves machine credentials"},
	{"168.63.129.16", 32, "an address where a cloud serves its machines"},
	{"0.0.0.0", 8, "no address of a host"},
	{"::", 128, "no address of a host"},
	{"224.0.0.0", 3, "no address of a single host"},
	{"ff00::", 8, "a multicast address"},
};

static const struct net own[] = {
	{"127.0.0.0", 8, ""},
	{"10.0.0.0", 8, ""},
	{"172.16.0.0", 12, ""},
	{"192.168.0.0", 16, ""},
	{"100.64.0.0", 10, ""},
	{"::1", 128, ""},
	{"fc00::", 7, ""},
};

static bool within(const struct ps_addr *a, const struct net *n)
{
	struct ps_addr base;

	if (ps_addr_parse(n->cidr_base, strlen(n->cidr_base), &base) < 0 || base.family != a->family)
		return false;
	for (unsigned i = 0; i * 32 < n->bits; i++) {
		unsigned left = PS_MIN(n->bits - i * 32, 32u);
		uint32_t mask = htonl(left == 32 ? UINT32_MAX : ~(UINT32_MAX >> left));

		if ((a->word[i] ^ base.word[i]) & mask)
			return false;
	}
	return true;
}

static const struct net *find(const struct net *nets, size_t n, const struct ps_addr *a)
{
	for (size_t i = 0; i < n; i++) {
		if (within(a, &nets[i]))
			return &nets[i];
	}
	return NULL;
}

/* The IPv4 address that an IPv6 one stands for: mapped (RFC 4291), NAT64 (RFC 6052) or 6to4 (RFC 3056). */
static bool embedded(const struct ps_addr *a, struct ps_addr *ret)
{
	static const struct net wrappers[] = {{"::ffff:0:0", 96, ""}, {"64:ff9b::", 96, ""}, {"2002::", 16, ""}};
	const struct net *n = find(wrappers, PS_ARRAY_SIZE(wrappers), a);

	if (!n)
		return false;
	*ret = (struct ps_addr){.family = PS_FAMILY_IPV4};
	if (n->bits == 96)
		ret->word[0] = a->word[3];
	else
		ret->word[0] = htonl(ntohl(a->word[0]) << 16 | ntohl(a->word[1]) >> 16);
	return true;
}

const char *ps_reach_refusal(const struct ps_addr *a)
{
	const struct net *n = find(refused, PS_ARRAY_SIZE(refused), a);
	struct ps_addr inner;

	if (!n && embedded(a, &inner))
		n = find(refused, PS_ARRAY_SIZE(refused), &inner);
	return n ? n->what : NULL;
}

bool ps_reach_local(const struct ps_addr *a)
{
	struct ps_addr inner;

	return find(own, PS_ARRAY_SIZE(own), a) || (embedded(a, &inner) && find(own, PS_ARRAY_SIZE(own), &inner));
}
