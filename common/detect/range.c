#include "common/detect/range.h"

#include <string.h>

#include "bpf/abi.h"

void ps_range_add(struct ps_range *r, const struct ps_addr *addr)
{
	if (!r->low.family || ps_addr_compare(addr, &r->low) < 0)
		r->low = *addr;
	if (!r->high.family || ps_addr_compare(addr, &r->high) > 0)
		r->high = *addr;
}

static uint8_t bits_of(const struct ps_addr *addr)
{
	return addr->family == PS_FAMILY_IPV6 ? 128 : 32;
}

struct ps_finding_target ps_target_of(const struct ps_addr *addr, uint16_t port)
{
	return (struct ps_finding_target){.addr = *addr, .prefix = bits_of(addr), .port = port};
}

/* What the lowest and the highest have in common, all between them have. */
struct ps_finding_target ps_range_target(const struct ps_range *r, uint16_t port)
{
	struct ps_finding_target t = ps_target_of(&r->low, port);
	uint8_t *bytes = (uint8_t *)t.addr.word;
	const uint8_t *high = (const uint8_t *)r->high.word;
	uint8_t common = 0;

	while (common < t.prefix && !((bytes[common / 8] ^ high[common / 8]) >> (7 - common % 8) & 1))
		common++;
	if (common == t.prefix)
		return t;
	t.prefix = common;
	t.port = 0;
	for (uint8_t bit = common; bit < bits_of(&r->low); bit++)
		bytes[bit / 8] &= (uint8_t) ~(1u << (7 - bit % 8));
	return t;
}
