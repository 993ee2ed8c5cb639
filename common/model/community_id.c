/* See community_id.h. With digest.c the only file that includes nettle. */
#include "common/model/community_id.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include <nettle/base64.h>
#include <nettle/sha1.h>
#include <nettle/version.h>

#include "bpf/abi.h"
#include "common/base/cleanup.h"

/* What one end brings into the hash. */
struct end {
	const struct ps_addr *addr;
	uint16_t port;
};

static size_t addr_len(const struct ps_addr *a)
{
	return a->family == PS_FAMILY_IPV6 ? 16 : 4;
}

static int compare_ends(const struct end *a, const struct end *b)
{
	int r = memcmp(a->addr->word, b->addr->word, addr_len(a->addr));

	return r ? r : (a->port > b->port) - (a->port < b->port);
}

static void digest(struct sha1_ctx *ctx, uint8_t out[static SHA1_DIGEST_SIZE])
{
#if NETTLE_VERSION_MAJOR >= 4
	sha1_digest(ctx, out);
#else
	sha1_digest(ctx, SHA1_DIGEST_SIZE, out);
#endif
}

static void add_u16(struct sha1_ctx *ctx, uint16_t n)
{
	const uint8_t bytes[2] = {(uint8_t)(n >> 8), (uint8_t)n};

	sha1_update(ctx, sizeof(bytes), bytes);
}

/* Of any other protocol only addresses and number count. */
static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP || proto == IPPROTO_ICMP ||
	       proto == IPPROTO_ICMPV6;
}

/* The text of a flow whose ends are in order. */
static char *write_id(uint16_t seed, uint8_t proto, const struct end *first, const struct end *second,
	char buf[static PS_COMMUNITY_ID_TEXT])
{
	const uint8_t proto_and_padding[2] = {proto, 0};
	uint8_t sum[SHA1_DIGEST_SIZE];
	struct sha1_ctx ctx;

	_Static_assert(2 + BASE64_ENCODE_RAW_LENGTH(SHA1_DIGEST_SIZE) < PS_COMMUNITY_ID_TEXT, "it fits");
	sha1_init(&ctx);
	add_u16(&ctx, seed);
	sha1_update(&ctx, addr_len(first->addr), (const uint8_t *)first->addr->word);
	sha1_update(&ctx, addr_len(second->addr), (const uint8_t *)second->addr->word);
	sha1_update(&ctx, sizeof(proto_and_padding), proto_and_padding);
	if (has_ports(proto)) {
		add_u16(&ctx, first->port);
		add_u16(&ctx, second->port);
	}
	digest(&ctx, sum);
	memset(buf, 0, PS_COMMUNITY_ID_TEXT);
	buf[0] = '1';
	buf[1] = ':';
	base64_encode_raw(buf + 2, sizeof(sum), sum);
	return buf;
}

static bool one_family(const struct ps_addr *a, const struct ps_addr *b)
{
	return a->family == b->family && (a->family == PS_FAMILY_IPV4 || a->family == PS_FAMILY_IPV6);
}

char *ps_community_id(uint16_t seed, uint8_t proto, const struct ps_addr *src, uint16_t src_port,
	const struct ps_addr *dst, uint16_t dst_port, char buf[static PS_COMMUNITY_ID_TEXT])
{
	const struct end a = {src, src_port}, b = {dst, dst_port};

	buf[0] = '\0';
	if (!one_family(src, dst))
		return buf;
	return compare_ends(&a, &b) <= 0 ? write_id(seed, proto, &a, &b, buf) : write_id(seed, proto, &b, &a, buf);
}

/* Types that answer each other: RFC 792, 950, 1256. */
static const uint8_t pairs4[][2] = {{8, 0}, {13, 14}, {15, 16}, {10, 9}, {17, 18}};
/* RFC 4443, 2710, 4861, 4620, 6275. */
static const uint8_t pairs6[][2] = {{128, 129}, {130, 131}, {133, 134}, {135, 136}, {139, 140}, {144, 145}};

/* The type that answers this one or that it answers, or -1. */
static int counterpart(const uint8_t (*pairs)[2], size_t n, uint8_t type)
{
	for (size_t i = 0; i < n; i++) {
		if (pairs[i][0] == type)
			return pairs[i][1];
		if (pairs[i][1] == type)
			return pairs[i][0];
	}
	return -1;
}

char *ps_community_id_icmp(uint16_t seed, const struct ps_addr *src, const struct ps_addr *dst, uint8_t type,
	uint8_t code, char buf[static PS_COMMUNITY_ID_TEXT])
{
	bool v6 = src->family == PS_FAMILY_IPV6;
	uint8_t proto = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	int other = v6 ? counterpart(pairs6, PS_ARRAY_SIZE(pairs6), type)
		       : counterpart(pairs4, PS_ARRAY_SIZE(pairs4), type);
	const struct end a = {src, type}, b = {dst, code};

	if (other >= 0)
		return ps_community_id(seed, proto, src, type, dst, (uint16_t)other, buf);
	buf[0] = '\0';
	return one_family(src, dst) ? write_id(seed, proto, &a, &b, buf) : buf;
}
