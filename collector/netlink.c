#include "collector/netlink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_arp.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "collector/limits.h"
#include "common/base/cleanup.h"

static int open_socket(unsigned groups, int *ret_fd)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct sockaddr_nl sa = {.nl_family = AF_NETLINK, .nl_groups = groups};

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	*ret_fd = PS_TAKE_FD(fd);
	return 0;
}

int ps_netlink_open(int *ret_fd)
{
	return open_socket(RTMGRP_LINK, ret_fd);
}

/* Kinds of device whose frames have no link header of their own (ARPHRD_*). */
static bool is_l3(unsigned short type)
{
	switch (type) {
	case ARPHRD_NONE: /* tun, WireGuard */
	case ARPHRD_RAWIP:
	case ARPHRD_PPP: /* the kernel takes PPP's header off before either hook */
	case ARPHRD_SLIP:
	case ARPHRD_CSLIP:
	case ARPHRD_SLIP6:
	case ARPHRD_CSLIP6:
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case ARPHRD_IP6GRE:
		return true;
	}
	return false;
}

static void parse_link(const struct nlmsghdr *h, ps_netlink_fn fn, void *arg)
{
	const struct ifinfomsg *info = NLMSG_DATA(h);
	struct ps_netlink_iface out = {
		.ifindex = (uint32_t)info->ifi_index,
		.up = info->ifi_flags & IFF_UP,
		.loopback = info->ifi_flags & IFF_LOOPBACK,
		.l3 = is_l3(info->ifi_type),
		.gone = h->nlmsg_type == RTM_DELLINK,
	};
	int left = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*info)));

	/* A bridge tells of its ports in a message of its own family, which is no news of the interface itself. */
	if (info->ifi_family != AF_UNSPEC)
		return;
	for (const struct rtattr *a = IFLA_RTA(info); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		size_t n = RTA_PAYLOAD(a);

		if (a->rta_type == IFLA_IFNAME)
			(void)snprintf(out.name, sizeof(out.name), "%.*s",
				(int)strnlen(RTA_DATA(a), PS_MIN(n, sizeof(out.name) - 1)), (const char *)RTA_DATA(a));
		else if (a->rta_type == IFLA_MTU && n >= sizeof(out.mtu))
			memcpy(&out.mtu, RTA_DATA(a), sizeof(out.mtu));
	}
	if (out.name[0])
		fn(arg, &out);
}

int ps_netlink_parse(const void *data, size_t len, ps_netlink_fn fn, void *arg)
{
	for (const struct nlmsghdr *h = data; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_type == NLMSG_DONE)
			return 1;
		if (h->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = NLMSG_DATA(h);

			return h->nlmsg_len < NLMSG_LENGTH(sizeof(*e)) ? -EBADMSG : e->error;
		}
		if ((h->nlmsg_type == RTM_NEWLINK || h->nlmsg_type == RTM_DELLINK) &&
			h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct ifinfomsg)))
			parse_link(h, fn, arg);
	}
	return 0;
}

/* One datagram of the kernel's own into buf; 0 = nothing there. */
static ssize_t receive(int fd, void *buf, int flags)
{
	struct sockaddr_nl from = {0};
	struct iovec iov = {buf, PS_NETLINK_BYTES};
	struct msghdr msg = {.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	do {
		n = recvmsg(fd, &msg, flags);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (msg.msg_flags & MSG_TRUNC)
		return -ENOBUFS;
	/* Any process may send to this socket; only the kernel has port 0. */
	return from.nl_pid == 0 ? n : receive(fd, buf, flags);
}

int ps_netlink_dump(ps_netlink_fn fn, void *arg)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg info;
	} req = {
		.h = {.nlmsg_len = sizeof(req), .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.info = {.ifi_family = AF_UNSPEC},
	};
	_cleanup_close_ int fd = -1;
	_cleanup_free_ void *buf = malloc(PS_NETLINK_BYTES);
	int r = buf ? open_socket(0, &fd) : -ENOMEM;

	if (r < 0)
		return r;
	if (send(fd, &req, sizeof(req), 0) < 0)
		return -errno;
	while (r == 0) {
		ssize_t n = receive(fd, buf, 0);

		if (n < 0)
			return (int)n;
		r = ps_netlink_parse(buf, (size_t)n, fn, arg);
	}
	return r < 0 ? r : 0;
}

int ps_netlink_read(int fd, ps_netlink_fn fn, void *arg)
{
	_cleanup_free_ void *buf = malloc(PS_NETLINK_BYTES);
	ssize_t n;

	if (!buf)
		return -ENOMEM;
	while ((n = receive(fd, buf, MSG_DONTWAIT)) > 0)
		(void)ps_netlink_parse(buf, (size_t)n, fn, arg);
	return (int)n;
}

int ps_netlink_count_filters(uint32_t ifindex, uint32_t parent)
{
	struct {
		struct nlmsghdr h;
		struct tcmsg tc;
	} req = {
		.h = {.nlmsg_len = sizeof(req),
			.nlmsg_type = RTM_GETTFILTER,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.tc = {.tcm_family = AF_UNSPEC, .tcm_ifindex = (int)ifindex, .tcm_parent = parent},
	};
	_cleanup_close_ int fd = -1;
	_cleanup_free_ void *buf = malloc(PS_NETLINK_BYTES);
	int count = 0;
	int r = buf ? open_socket(0, &fd) : -ENOMEM;

	if (r < 0)
		return r;
	if (send(fd, &req, sizeof(req), 0) < 0)
		return -errno;
	for (;;) {
		ssize_t n = receive(fd, buf, 0);
		size_t left;

		if (n < 0)
			return (int)n;
		left = (size_t)n;
		for (const struct nlmsghdr *h = buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return count;
			if (h->nlmsg_type == NLMSG_ERROR)
				return -EIO;
			count += h->nlmsg_type == RTM_NEWTFILTER;
		}
	}
}
