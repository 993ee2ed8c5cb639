#include "collector/netdev.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>

#include "common/base/cleanup.h"

/* From Linux 6.3's linux/netdev.h, which older headers lack. */
#define PS_NETDEV_CMD_DEV_GET 1
#define PS_NETDEV_A_IFINDEX 1
#define PS_NETDEV_A_XDP_FEATURES 3

#define PS_REPLY_BYTES 8192 /* one device or one family; the kernel's replies are below 1 KiB */

struct request {
	struct nlmsghdr h;
	struct genlmsghdr g;
	struct nlattr a;
	char value[16];
};

/* One attribute in, one attribute out, copied to `out` if it has `size` bytes. */
static int ask(int fd, struct request *req, uint16_t type, const void *value, size_t len, uint16_t want, void *out,
	size_t size)
{
	union {
		struct nlmsghdr h;
		char bytes[PS_REPLY_BYTES];
	} reply;
	ssize_t n;

	memcpy(req->value, value, len);
	req->a.nla_type = type;
	req->a.nla_len = (uint16_t)(NLA_HDRLEN + len);
	req->h.nlmsg_len = (uint32_t)(NLMSG_LENGTH(GENL_HDRLEN) + NLA_HDRLEN + NLA_ALIGN(len));
	req->h.nlmsg_flags = NLM_F_REQUEST;
	if (send(fd, req, req->h.nlmsg_len, 0) < 0)
		return -errno;
	n = recv(fd, &reply, sizeof(reply), 0);
	if (n < 0)
		return -errno;
	if (!NLMSG_OK(&reply.h, (size_t)n) || reply.h.nlmsg_type == NLMSG_ERROR ||
		reply.h.nlmsg_len < NLMSG_LENGTH(GENL_HDRLEN))
		return -EOPNOTSUPP;
	for (size_t at = NLMSG_LENGTH(GENL_HDRLEN); at + NLA_HDRLEN <= reply.h.nlmsg_len;) {
		struct nlattr a;

		memcpy(&a, reply.bytes + at, sizeof(a));
		if (a.nla_len < NLA_HDRLEN || a.nla_len > reply.h.nlmsg_len - at)
			break;
		if ((a.nla_type & NLA_TYPE_MASK) == want && a.nla_len == NLA_HDRLEN + size) {
			memcpy(out, reply.bytes + at + NLA_HDRLEN, size);
			return 0;
		}
		at += NLA_ALIGN(a.nla_len);
	}
	return -EOPNOTSUPP;
}

int ps_netdev_xdp_features(uint32_t ifindex, uint64_t *ret_features)
{
	struct request req = {.h.nlmsg_type = GENL_ID_CTRL, .g = {.cmd = CTRL_CMD_GETFAMILY, .version = 1}};
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	uint16_t family;
	int r;

	if (fd < 0)
		return -errno;
	r = ask(fd, &req, CTRL_ATTR_FAMILY_NAME, "netdev", sizeof("netdev"), CTRL_ATTR_FAMILY_ID, &family,
		sizeof(family));
	if (r < 0)
		return r;
	req = (struct request){.h.nlmsg_type = family, .g = {.cmd = PS_NETDEV_CMD_DEV_GET, .version = 1}};
	return ask(fd, &req, PS_NETDEV_A_IFINDEX, &ifindex, sizeof(ifindex), PS_NETDEV_A_XDP_FEATURES, ret_features,
		sizeof(*ret_features));
}
