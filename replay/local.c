#include "replay/local.h"

#include <errno.h>
#include <string.h>

#include "bpf/abi.h"
#include "replay/ethernet.h"

static int read_prefix(const char *text, size_t len, unsigned max, uint8_t *ret_prefix)
{
	unsigned n = 0;

	if (!len || len > 3)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		n = n * 10 + (unsigned)(text[i] - '0');
	}
	if (n > max)
		return -EINVAL;
	*ret_prefix = (uint8_t)n;
	return 0;
}

static int read_net(const char *text, size_t len, struct ps_addr *ret_addr, uint8_t *ret_prefix)
{
	const char *slash = memchr(text, '/', len);
	size_t addr_len = slash ? (size_t)(slash - text) : len;
	unsigned max;

	if (ps_addr_parse(text, addr_len, ret_addr) < 0)
		return -EINVAL;
	max = ret_addr->family == PS_FAMILY_IPV6 ? 128 : 32;
	if (slash)
		return read_prefix(slash + 1, len - addr_len - 1, max, ret_prefix);
	*ret_prefix = (uint8_t)max;
	return 0;
}

int ps_local_parse(const char *list, struct ps_local *ret_local, struct ps_error *err)
{
	struct ps_local local = {0};

	while (*list) {
		size_t len = strcspn(list, ",");

		if (local.n == PS_REPLAY_LOCAL_MAX)
			return ps_error_set(err, -EINVAL, 400, "bad_value", "local",
				"more than %u networks; write them as larger ones", PS_REPLAY_LOCAL_MAX);
		if (read_net(list, len, &local.net[local.n].addr, &local.net[local.n].prefix) < 0)
			return ps_error_set(err, -EINVAL, 400, "bad_value", "local",
				"\"%.*s\" is neither an address nor a network; write 192.0.2.7, 10.0.0.0/8 or "
				"2001:db8::/32, "
				"several separated by commas",
				(int)(len < 64 ? len : 64), list);
		local.n++;
		list += len;
		if (*list == ',' && !*++list)
			return ps_error_set(err, -EINVAL, 400, "bad_value", "local", "nothing follows the last comma");
	}
	*ret_local = local;
	return 0;
}

/* Are the first `bits` of both equal? */
static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned bytes = bits / 8, rest = bits % 8;

	if (memcmp(a, b, bytes) != 0)
		return false;
	return !rest || !((a[bytes] ^ b[bytes]) >> (8 - rest));
}

static bool contains(const struct ps_local *local, uint8_t family, const uint8_t *addr)
{
	for (size_t i = 0; i < local->n; i++) {
		if (local->net[i].addr.family == family &&
			same_bits((const uint8_t *)local->net[i].addr.word, addr, local->net[i].prefix))
			return true;
	}
	return false;
}

bool ps_local_sent(const struct ps_local *local, const uint8_t *frame, size_t len)
{
	size_t at = PS_ETHERNET_HEADER - 2;
	uint16_t type;

	for (int tags = 0;; tags++, at += 4) {
		if (len < at + 2)
			return false;
		type = (uint16_t)(frame[at] << 8 | frame[at + 1]);
		if ((type != 0x8100 && type != 0x88a8) || tags == PS_VLAN_TAGS)
			break;
	}
	at += 2;
	if (type == 0x0800 && len >= at + 16)
		return contains(local, PS_FAMILY_IPV4, frame + at + 12);
	if (type == 0x86dd && len >= at + 24)
		return contains(local, PS_FAMILY_IPV6, frame + at + 8);
	return false;
}
