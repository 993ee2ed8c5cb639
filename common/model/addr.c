/* See addr.h. */
#include "common/model/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "bpf/abi.h"

/* A byte in decimal, with the dot behind it. */
struct decimal {
	char text[4];
};

#define UNDER_10(d) \
	{ \
		{ \
			d, '.' \
		} \
	}
#define UNDER_100(t, d) \
	{ \
		{ \
			t, d, '.' \
		} \
	}
#define ABOVE(h, t, d) \
	{ \
		{ \
			h, t, d, '.' \
		} \
	}
#define TEN_OF(row, ...) \
	row(__VA_ARGS__, '0'), row(__VA_ARGS__, '1'), row(__VA_ARGS__, '2'), row(__VA_ARGS__, '3'), \
		row(__VA_ARGS__, '4'), row(__VA_ARGS__, '5'), row(__VA_ARGS__, '6'), row(__VA_ARGS__, '7'), \
		row(__VA_ARGS__, '8'), row(__VA_ARGS__, '9')
#define HUNDRED_OF(h) \
	TEN_OF(ABOVE, h, '0'), TEN_OF(ABOVE, h, '1'), TEN_OF(ABOVE, h, '2'), TEN_OF(ABOVE, h, '3'), \
		TEN_OF(ABOVE, h, '4'), TEN_OF(ABOVE, h, '5'), TEN_OF(ABOVE, h, '6'), TEN_OF(ABOVE, h, '7'), \
		TEN_OF(ABOVE, h, '8'), TEN_OF(ABOVE, h, '9')

static const struct decimal decimals[] = {
	UNDER_10('0'),
	UNDER_10('1'),
	UNDER_10('2'),
	UNDER_10('3'),
	UNDER_10('4'),
	UNDER_10('5'),
	UNDER_10('6'),
	UNDER_10('7'),
	UNDER_10('8'),
	UNDER_10('9'),
	TEN_OF(UNDER_100, '1'),
	TEN_OF(UNDER_100, '2'),
	TEN_OF(UNDER_100, '3'),
	TEN_OF(UNDER_100, '4'),
	TEN_OF(UNDER_100, '5'),
	TEN_OF(UNDER_100, '6'),
	TEN_OF(UNDER_100, '7'),
	TEN_OF(UNDER_100, '8'),
	TEN_OF(UNDER_100, '9'),
	HUNDRED_OF('1'),
	TEN_OF(ABOVE, '2', '0'),
	TEN_OF(ABOVE, '2', '1'),
	TEN_OF(ABOVE, '2', '2'),
	TEN_OF(ABOVE, '2', '3'),
	TEN_OF(ABOVE, '2', '4'),
	ABOVE('2', '5', '0'),
	ABOVE('2', '5', '1'),
	ABOVE('2', '5', '2'),
	ABOVE('2', '5', '3'),
	ABOVE('2', '5', '4'),
	ABOVE('2', '5', '5'),
};
_Static_assert(sizeof(decimals) == 256 * sizeof(struct decimal), "every byte");

static char *put_ipv4(char *out, const uint8_t *bytes)
{
	for (int i = 0; i < 4; i++) {
		memcpy(out, &decimals[bytes[i]], sizeof(decimals[0]));
		out += 2 + (bytes[i] > 9) + (bytes[i] > 99);
	}
	return out - 1; /* without the last dot */
}

static char *put_group(char *out, unsigned g)
{
	static const char digits[] = "0123456789abcdef";

	for (int shift = 12; shift >= 0; shift -= 4)
		if (shift == 0 || g >> shift)
			*out++ = digits[(g >> shift) & 15];
	return out;
}

/* The longest run of zero groups, the first of equals, if it has at least two (RFC 5952, 4.2). */
static void longest_run(const uint16_t g[8], int *ret_start, int *ret_len)
{
	*ret_start = -1;
	*ret_len = 1;
	for (int i = 0; i < 8; i++) {
		int n = 0;

		while (i + n < 8 && !g[i + n])
			n++;
		if (n > *ret_len) {
			*ret_start = i;
			*ret_len = n;
		}
		i += n;
	}
}

static char *put_ipv6(char *out, const uint8_t *bytes)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	uint16_t g[8];
	int start, len;

	if (!memcmp(bytes, mapped, sizeof(mapped))) {
		memcpy(out, "::ffff:", 7);
		return put_ipv4(out + 7, bytes + 12);
	}
	for (size_t i = 0; i < 8; i++)
		g[i] = (uint16_t)(bytes[2 * i] << 8 | bytes[2 * i + 1]);
	longest_run(g, &start, &len);
	for (int i = 0; i < 8; i++) {
		if (i == start) {
			*out++ = ':';
			*out++ = ':';
			i += len - 1;
			continue;
		}
		if (i && i != start + len)
			*out++ = ':';
		out = put_group(out, g[i]);
	}
	return out;
}

size_t ps_addr_put(const struct ps_addr *a, char *out)
{
	const uint8_t *bytes = (const uint8_t *)a->word;

	if (a->family == PS_FAMILY_IPV4)
		return (size_t)(put_ipv4(out, bytes) - out);
	if (a->family == PS_FAMILY_IPV6)
		return (size_t)(put_ipv6(out, bytes) - out);
	return 0;
}

char *ps_addr_format(const struct ps_addr *a, char buf[static PS_ADDR_TEXT])
{
	buf[ps_addr_put(a, buf)] = '\0';
	return buf;
}

int ps_addr_parse(const char *text, size_t len, struct ps_addr *ret_addr)
{
	struct ps_addr a = {0};
	char copy[PS_ADDR_TEXT];

	if (!len || len >= sizeof(copy) || memchr(text, '\0', len))
		return -EINVAL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (inet_pton(AF_INET, copy, a.word) == 1) {
		a.family = PS_FAMILY_IPV4;
	} else if (inet_pton(AF_INET6, copy, a.word) == 1) {
		a.family = PS_FAMILY_IPV6;
	} else {
		return -EINVAL;
	}
	*ret_addr = a;
	return 0;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte of a word is its lowest");

/* Where the first two dots are, in bits. Something behind a dot may be taken for one, and where there are none it is
 * the last byte: who compares afterwards sees it. */
static inline void find_dots(uint64_t text, unsigned *ret_first, unsigned *ret_second)
{
	const uint64_t ones = 0x0101010101010101ull, high = ones << 7;
	uint64_t x = text ^ ones * '.';

	x = (x - ones) & ~x & high;
	*ret_first = (unsigned)__builtin_ctzll(x | 1ull << 63) - 7;
	x &= x - 1;
	*ret_second = (unsigned)__builtin_ctzll(x | 1ull << 63) - 7;
}

/* The text in the first n bits, 24 at most, as a number. *diff gets bits unless it and the dot behind are what we write
 * for that number: then nothing else has to be checked of them. */
static inline uint32_t take_decimal(uint64_t text, unsigned n, uint32_t *diff)
{
	uint32_t here = (uint32_t)text << (24 - n), ours;
	uint8_t byte = (uint8_t)((here & 0x0f0f0f) * (100 << 16 | 10 << 8 | 1) >> 16);

	memcpy(&ours, &decimals[byte], sizeof(ours));
	*diff |= ours << (24 - n) ^ here;
	return byte;
}

bool ps_addr_take_ipv4(const char *text, size_t len, struct ps_addr *ret_addr)
{
	unsigned dot[4];
	uint32_t word, diff = 0;
	uint64_t head, tail;
	size_t at, left;

	memcpy(&head, text, sizeof(head));
	find_dots(head, &dot[0], &dot[1]);
	at = dot[1] / 8 + 1;
	left = len - at;
	if (left - 3 > 4) /* "4.5" to "127.255" */
		return false;
	memcpy(&tail, text + at, sizeof(tail));
	tail = (tail & ~(UINT64_MAX << 8 * left)) | (uint64_t)'.' << 8 * left;
	find_dots(tail, &dot[2], &dot[3]);
	if (dot[0] > 24 || dot[1] - dot[0] - 8 > 24 || dot[2] > 24 || dot[3] - dot[2] - 8 > 24 || dot[3] != 8 * left)
		return false;
	word = take_decimal(head, dot[0], &diff);
	word |= take_decimal(head >> (dot[0] + 8), dot[1] - dot[0] - 8, &diff) << 8;
	word |= take_decimal(tail, dot[2], &diff) << 16;
	word |= take_decimal(tail >> (dot[2] + 8), dot[3] - dot[2] - 8, &diff) << 24;
	*ret_addr = (struct ps_addr){.family = PS_FAMILY_IPV4, .word = {word}};
	return !diff;
}

bool ps_addr_equal(const struct ps_addr *a, const struct ps_addr *b)
{
	return !ps_addr_compare(a, b);
}

int ps_addr_compare(const struct ps_addr *a, const struct ps_addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	if (a->family == PS_FAMILY_NONE)
		return 0;
	return memcmp(a->word, b->word, a->family == PS_FAMILY_IPV4 ? sizeof(a->word[0]) : sizeof(a->word));
}
