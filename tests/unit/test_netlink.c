#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <net/if_arp.h>
#include <sys/socket.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "collector/netlink.h"

static struct ps_netlink_iface seen[8];
static unsigned n_seen;

static void note(void *arg, const struct ps_netlink_iface *iface)
{
	(void)arg;
	if (n_seen < 8)
		seen[n_seen] = *iface;
	n_seen++;
}

/* A datagram under construction; exactly as long as what is in it, so that a sanitizer sees a read beyond. */
struct datagram {
	char *data;
	size_t len;
};

static void *grow(struct datagram *d, size_t n)
{
	char *p = realloc(d->data, d->len + n);

	assert_non_null(p);
	d->data = p;
	memset(p + d->len, 0, n);
	d->len += n;
	return p + d->len - n;
}

static size_t begin(struct datagram *d, uint16_t type, int index, unsigned flags, unsigned char family)
{
	struct nlmsghdr h = {.nlmsg_type = type};
	struct ifinfomsg info = {.ifi_index = index, .ifi_flags = flags, .ifi_family = family};
	size_t at = d->len;

	memcpy(grow(d, NLMSG_HDRLEN), &h, sizeof(h));
	memcpy(grow(d, sizeof(info)), &info, sizeof(info));
	return at;
}

static void attribute(struct datagram *d, uint16_t type, const void *value, size_t len)
{
	struct rtattr a = {.rta_type = type, .rta_len = (uint16_t)RTA_LENGTH(len)};
	char *p = grow(d, RTA_ALIGN(a.rta_len));

	memcpy(p, &a, sizeof(a));
	memcpy(p + RTA_LENGTH(0), value, len);
}

static void end(struct datagram *d, size_t at)
{
	((struct nlmsghdr *)(d->data + at))->nlmsg_len = (uint32_t)(d->len - at);
}

static int parse(struct datagram *d)
{
	int r;

	n_seen = 0;
	r = ps_netlink_parse(d->data, d->len, note, NULL);
	free(d->data);
	*d = (struct datagram){0};
	return r;
}

static void two_links_and_the_end(void **state)
{
	struct datagram d = {0};
	uint32_t mtu = 9000;
	size_t at = begin(&d, RTM_NEWLINK, 7, IFF_UP, AF_UNSPEC);

	(void)state;
	attribute(&d, IFLA_MTU, &mtu, sizeof(mtu));
	attribute(&d, IFLA_IFNAME, "eth0", 5);
	end(&d, at);
	at = begin(&d, RTM_DELLINK, 8, IFF_LOOPBACK, AF_UNSPEC);
	attribute(&d, IFLA_IFNAME, "lo", 3);
	end(&d, at);
	at = begin(&d, NLMSG_DONE, 0, 0, 0);
	end(&d, at);
	assert_int_equal(parse(&d), 1);
	assert_int_equal(n_seen, 2);
	assert_string_equal(seen[0].name, "eth0");
	assert_int_equal(seen[0].ifindex, 7);
	assert_int_equal(seen[0].mtu, 9000);
	assert_true(seen[0].up && !seen[0].gone && !seen[0].loopback);
	assert_string_equal(seen[1].name, "lo");
	assert_true(seen[1].gone && seen[1].loopback && !seen[1].up);
}

static void frames_without_a_link_header(void **state)
{
	static const struct {
		unsigned short type;
		bool l3;
	} cases[] = {
		{ARPHRD_ETHER, false},
		{ARPHRD_LOOPBACK, false},
		{ARPHRD_NONE, true},
		{ARPHRD_PPP, true},
		{ARPHRD_TUNNEL, true},
		{ARPHRD_TUNNEL6, true},
		{ARPHRD_SIT, true},
		{ARPHRD_IPGRE, true},
		{ARPHRD_RAWIP, true},
		{ARPHRD_INFINIBAND, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct datagram d = {0};
		size_t at = begin(&d, RTM_NEWLINK, 7, IFF_UP, AF_UNSPEC);

		((struct ifinfomsg *)(d.data + at + NLMSG_HDRLEN))->ifi_type = cases[i].type;
		attribute(&d, IFLA_IFNAME, "t0", 3);
		end(&d, at);
		assert_int_equal(parse(&d), 0);
		assert_int_equal(n_seen, 1);
		assert_int_equal(seen[0].l3, cases[i].l3);
	}
}

static void what_is_no_news(void **state)
{
	struct datagram d = {0};
	size_t at = begin(&d, RTM_NEWLINK, 7, 0, AF_BRIDGE); /* of a bridge's port */

	(void)state;
	attribute(&d, IFLA_IFNAME, "eth0", 5);
	end(&d, at);
	at = begin(&d, RTM_NEWADDR, 7, 0, AF_UNSPEC);
	attribute(&d, IFLA_IFNAME, "eth1", 5);
	end(&d, at);
	at = begin(&d, RTM_NEWLINK, 9, 0, AF_UNSPEC); /* without a name */
	end(&d, at);
	assert_int_equal(parse(&d), 0);
	assert_int_equal(n_seen, 0);
}

static void an_error(void **state)
{
	struct datagram d = {0};
	struct nlmsghdr h = {.nlmsg_type = NLMSG_ERROR, .nlmsg_len = NLMSG_LENGTH(sizeof(struct nlmsgerr))};
	struct nlmsgerr e = {.error = -EPERM};

	(void)state;
	memcpy(grow(&d, sizeof(h)), &h, sizeof(h));
	memcpy(grow(&d, sizeof(e)), &e, sizeof(e));
	assert_int_equal(parse(&d), -EPERM);
	h.nlmsg_len = NLMSG_HDRLEN;
	memcpy(grow(&d, sizeof(h)), &h, sizeof(h));
	assert_int_equal(parse(&d), -EBADMSG);
}

static void names_that_do_not_end(void **state)
{
	struct datagram d = {0};
	size_t at = begin(&d, RTM_NEWLINK, 7, 0, AF_UNSPEC);

	(void)state;
	attribute(&d, IFLA_IFNAME, "abcdefghijklmnopqrstuvwxyz", 26);
	end(&d, at);
	assert_int_equal(parse(&d), 0);
	assert_string_equal(seen[0].name, "abcdefghijklmno");
	at = begin(&d, RTM_NEWLINK, 7, 0, AF_UNSPEC);
	attribute(&d, IFLA_IFNAME, "eth0", 4);
	attribute(&d, IFLA_MTU, "x", 1); /* too short to be one */
	end(&d, at);
	assert_int_equal(parse(&d), 0);
	assert_string_equal(seen[0].name, "eth0");
	assert_int_equal(seen[0].mtu, 0);
}

/* Every prefix of a good datagram, and one whose lengths reach beyond it: nothing is read that is not there. */
static void cut_off(void **state)
{
	struct datagram d = {0}, cut = {0};
	size_t at = begin(&d, RTM_NEWLINK, 7, 0, AF_UNSPEC);

	(void)state;
	attribute(&d, IFLA_IFNAME, "eth0", 5);
	end(&d, at);
	for (size_t n = 0; n < d.len; n++) {
		if (n)
			memcpy(grow(&cut, n), d.data, n);
		assert_int_equal(parse(&cut), 0);
		assert_int_equal(n_seen, 0);
	}
	((struct rtattr *)(d.data + NLMSG_LENGTH(sizeof(struct ifinfomsg))))->rta_len = 4000;
	assert_int_equal(parse(&d), 0);
	assert_int_equal(n_seen, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_links_and_the_end),
		cmocka_unit_test(frames_without_a_link_header),
		cmocka_unit_test(what_is_no_news),
		cmocka_unit_test(an_error),
		cmocka_unit_test(names_that_do_not_end),
		cmocka_unit_test(cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
