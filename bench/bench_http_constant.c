/* SPDX-License-Identifier: MIT */
/*
 * What libmicrohttpd can do at best where the gateway stands: the gateway's flags and its way to drive the daemon from
 * a loop of its own, one thread, no route, no header of ours, and the same constant answer to everything.
 *
 *	bench_http_constant PORT BYTES      listens on 127.0.0.1, prints "ready", serves until it is ended
 */
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/limits.h"

#define BYTES_MAX (64ul << 20)

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
	const char *version, const char *data, size_t *data_len, void **context)
{
	static int seen;

	(void)url;
	(void)method;
	(void)version;
	(void)data;
	(void)data_len;
	if (!*context) { /* the headers are there; the answer comes when the whole request is */
		*context = &seen;
		return MHD_YES;
	}
	return MHD_queue_response(connection, 200, cls);
}

static struct MHD_Daemon *start(uint16_t port, struct MHD_Response *constant)
{
	const struct sockaddr_in at = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request,
		constant, MHD_OPTION_SOCK_ADDR, &at, MHD_OPTION_CONNECTION_LIMIT, (unsigned)PS_HTTP_CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)PS_HTTP_IDLE_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)PS_HTTP_MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
}

static int serve(struct MHD_Daemon *daemon)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
	struct pollfd fd = {.events = POLLIN};

	if (!info)
		return -EIO;
	fd.fd = info->epoll_fd;
	for (;;) {
		MHD_UNSIGNED_LONG_LONG ms = 0;
		bool timed;

		(void)MHD_run(daemon);
		timed = MHD_get_timeout(daemon, &ms) == MHD_YES;
		if (poll(&fd, 1, timed ? (int)ms : -1) < 0 && errno != EINTR)
			return -errno;
	}
}

int main(int argc, char **argv)
{
	unsigned long port = argc == 3 ? strtoul(argv[1], NULL, 10) : 0, n = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	_cleanup_free_ char *bytes = n && n <= BYTES_MAX ? malloc(n) : NULL;
	struct MHD_Response *constant = NULL;
	struct MHD_Daemon *daemon = NULL;
	int r;

	if (!bytes || !port || port > UINT16_MAX) {
		(void)fprintf(stderr, "usage: %s PORT BYTES\n", argv[0]);
		return 2;
	}
	memset(bytes, ' ', n);
	constant = MHD_create_response_from_buffer(n, bytes, MHD_RESPMEM_PERSISTENT);
	if (constant && MHD_add_response_header(constant, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json") == MHD_YES)
		daemon = start((uint16_t)port, constant);
	if (!daemon) {
		(void)fprintf(stderr, "cannot listen on port %lu\n", port);
		return 1;
	}
	(void)printf("ready\n");
	(void)fflush(stdout);
	r = serve(daemon);
	MHD_stop_daemon(daemon);
	MHD_destroy_response(constant);
	return r < 0;
}
