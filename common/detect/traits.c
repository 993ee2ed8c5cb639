#include "common/detect/traits.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>

#include "bpf/abi.h"
#include "common/base/cleanup.h"

struct service {
	uint16_t port;
	uint8_t proto;
	uint8_t traits;
	const char *name;
};

static const struct service services[] = {
#define PS_SERVICE(proto, port, name, what) {port, IPPROTO_##proto, PS_SERVICE_##what, name},
#include "common/detect/traits.def"
};

static const struct service *find(uint8_t proto, uint16_t port)
{
	size_t low = 0, high = PS_ARRAY_SIZE(services);

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct service *s = &services[middle];

		if (s->proto == proto && s->port == port)
			return s;
		if (s->proto < proto || (s->proto == proto && s->port < port))
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

unsigned ps_service_traits(uint8_t proto, uint16_t port)
{
	const struct service *s = find(proto, port);

	return s ? s->traits : 0;
}

const char *ps_service_name(uint8_t proto, uint16_t port)
{
	const struct service *s = find(proto, port);

	return s ? s->name : NULL;
}

bool ps_addr_is_group(const struct ps_addr *a)
{
	uint32_t first = ntohl(a->word[0]);

	if (a->family == PS_FAMILY_IPV6)
		return first >> 24 == 0xff;
	return first >> 28 == 0xe || first == 0xffffffff;
}

bool ps_addr_is_private(const struct ps_addr *a)
{
	static const struct {
		uint32_t net, mask;
	} four[] = {{0x0a000000, 0xff000000}, {0xac100000, 0xfff00000}, {0xc0a80000, 0xffff0000},
		{0x64400000, 0xffc00000}, {0x7f000000, 0xff000000}, {0xa9fe0000, 0xffff0000}};
	uint32_t first = ntohl(a->word[0]);

	if (a->family == PS_FAMILY_IPV6) {
		return first >> 25 == 0xfc >> 1 || first >> 22 == 0xfe80 >> 6 ||
		       (!first && !a->word[1] && !a->word[2] && ntohl(a->word[3]) == 1);
	}
	for (size_t i = 0; i < PS_ARRAY_SIZE(four); i++) {
		if ((first & four[i].mask) == four[i].net)
			return true;
	}
	return false;
}
