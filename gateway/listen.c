#include "gateway/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "common/base/cleanup.h"
#include "common/limits.h"

static struct ps_addr localhost(void)
{
	return (struct ps_addr){.family = 4, .word = {htonl(INADDR_LOOPBACK)}};
}

/* Where a program on this host finds it: who listens on every address listens on localhost too. */
static struct ps_addr from_here(const struct ps_listen *l)
{
	bool every = !l->addr.family || (l->addr.family == 4 && !l->addr.word[0]);

	return every ? localhost() : l->addr;
}

static int bad(struct ps_error *err, const char *text)
{
	return ps_error_set(err, -EINVAL, 400, "bad_value", "api",
		"\"%.64s\" is no address to listen on; write ADDRESS:PORT, [ADDRESS]:PORT for IPv6, or :PORT for every "
		"address.",
		text);
}

/* Digits only, at most 65535. */
static int parse_port(const char *text, uint16_t *ret_port)
{
	unsigned long port = 0;
	size_t len = strspn(text, "0123456789");

	if (!len || len > 5 || text[len])
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		port = port * 10 + (unsigned long)(text[i] - '0');
	if (port > UINT16_MAX)
		return -EINVAL;
	*ret_port = (uint16_t)port;
	return 0;
}

int ps_listen_parse(const char *text, struct ps_listen *ret_listen, struct ps_error *err)
{
	struct ps_listen l = {0};
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;

	if (parse_port(colon ? colon + 1 : text, &l.port) < 0)
		return bad(err, text);
	if (!colon || (len == 9 && !strncmp(text, "localhost", len))) {
		l.addr = localhost();
	} else if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		if (ps_addr_parse(text + 1, len - 2, &l.addr) < 0 || l.addr.family != 6)
			return bad(err, text);
	} else if (len && !(len == 1 && text[0] == '*')) {
		if (ps_addr_parse(text, len, &l.addr) < 0 || l.addr.family != 4)
			return bad(err, text);
	}
	if (l.addr.family == 6 && !l.addr.word[0] && !l.addr.word[1] && !l.addr.word[2] && !l.addr.word[3])
		l.addr = (struct ps_addr){0};
	*ret_listen = l;
	return 0;
}

bool ps_addr_is_loopback(const struct ps_addr *a)
{
	if (a->family == 4)
		return ntohl(a->word[0]) >> 24 == 127;
	return a->family == 6 && !a->word[0] && !a->word[1] && !a->word[2] && ntohl(a->word[3]) == 1;
}

bool ps_listen_is_loopback(const struct ps_listen *l)
{
	return ps_addr_is_loopback(&l->addr);
}

static socklen_t socket_address(const struct ps_listen *l, int family, struct sockaddr_storage *ret_sa)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(l->port)};
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(l->port)};

	*ret_sa = (struct sockaddr_storage){0};
	if (family == AF_INET) {
		if (l->addr.family)
			sin.sin_addr.s_addr = l->addr.word[0];
		memcpy(ret_sa, &sin, sizeof(sin));
		return sizeof(sin);
	}
	if (l->addr.family)
		memcpy(&sin6.sin6_addr, l->addr.word, sizeof(sin6.sin6_addr));
	memcpy(ret_sa, &sin6, sizeof(sin6));
	return sizeof(sin6);
}

/* Binds in one family. Nothing of err is set: the caller may have a second family to try. */
static int open_family(const struct ps_listen *l, int family, int *ret_fd)
{
	_cleanup_close_ int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_storage sa;
	socklen_t len = socket_address(l, family, &sa);
	int on = 1;
	int only = l->addr.family == 6;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)) < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&sa, len) < 0 || listen(fd, PS_HTTP_BACKLOG) < 0)
		return -errno;
	*ret_fd = PS_TAKE_FD(fd);
	return 0;
}

static int open_failed(const struct ps_listen *l, int r, struct ps_error *err)
{
	switch (r) {
	case -EADDRINUSE:
		return ps_error_set(err, r, 500, "address_in_use", "api",
			"Port %u is taken by another program (ss -ltnp shows which); choose another with --api.",
			l->port);
	case -EADDRNOTAVAIL:
		return ps_error_set(err, r, 500, "no_such_address", "api",
			"No interface of this host has the address that --api names.");
	case -EACCES:
		return ps_error_set(err, r, 500, "not_permitted", "api",
			"Port %u needs CAP_NET_BIND_SERVICE; choose one above 1023 with --api.", l->port);
	default:
		return ps_error_set(err, r, 500, "listen_failed", "api", "Cannot listen: %s.", strerror(-r));
	}
}

int ps_listen_open(const struct ps_listen *l, int *ret_fd, uint16_t *ret_port, struct ps_error *err)
{
	_cleanup_close_ int fd = -1;
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} sa = {0};
	socklen_t len = sizeof(sa);
	int r = l->addr.family == 4 ? open_family(l, AF_INET, &fd) : open_family(l, AF_INET6, &fd);

	if ((r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL) && !l->addr.family)
		r = open_family(l, AF_INET, &fd);
	if (r < 0)
		return open_failed(l, r, err);
	if (getsockname(fd, &sa.any, &len) < 0)
		return open_failed(l, -errno, err);
	*ret_port = ntohs(sa.any.sa_family == AF_INET6 ? sa.in6.sin6_port : sa.in.sin_port);
	*ret_fd = PS_TAKE_FD(fd);
	return 0;
}

int ps_listen_ask(const struct ps_listen *l, bool tls, int timeout_ms, struct ps_error *err)
{
	static const char question[] = "GET /api/health HTTP/1.0\r\nHost: localhost\r\n\r\n";
	const struct timeval patience = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000L};
	const struct ps_listen there = {.addr = from_here(l), .port = l->port};
	struct sockaddr_storage sa;
	_cleanup_close_ int fd = -1;
	char answer[8] = "";
	socklen_t len;
	ssize_t n;

	fd = socket(there.addr.family == 6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	len = socket_address(&there, there.addr.family == 6 ? AF_INET6 : AF_INET, &sa);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
		connect(fd, (struct sockaddr *)&sa, len) < 0)
		return ps_error_set(err, -errno, 503, "no_answer", "api", "Nothing listens: %s.", strerror(errno));
	n = send(fd, question, sizeof(question) - 1, MSG_NOSIGNAL);
	if (n > 0)
		n = recv(fd, answer, sizeof(answer), MSG_WAITALL);
	if (n < 0)
		return ps_error_set(err, -errno, 503, "no_answer", "api", "No answer: %s.", strerror(errno));
	if (!tls && memcmp(answer, "HTTP/1.", 7) != 0)
		return ps_error_set(err, -EPROTO, 503, "no_answer", "api", "What listens there does not speak HTTP.");
	return 0;
}

char *ps_listen_url(const struct ps_listen *l, uint16_t port, bool tls, char buf[static PS_LISTEN_URL])
{
	char text[PS_ADDR_TEXT];
	const struct ps_addr a = from_here(l);

	(void)snprintf(buf, PS_LISTEN_URL, a.family == 6 ? "%s://[%s]:%u/" : "%s://%s:%u/", tls ? "https" : "http",
		ps_addr_format(&a, text), port);
	return buf;
}
