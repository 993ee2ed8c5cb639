#include "common/bus/service.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"

/* Half of what the manager allows, as sd_watchdog_enabled(3) advises. */
#define WATCHDOG_SHARE 2

static void tell(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	size_t len = path ? strlen(path) : 0;
	_cleanup_close_ int fd = -1;

	if (len < 2 || len >= sizeof(sa.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(sa.sun_path, path, len);
	if (path[0] == '@')
		sa.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0)
		(void)sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&sa,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}

static int on_watchdog(void *arg)
{
	(void)arg;
	tell("WATCHDOG=1");
	return 0;
}

/* ns between two signs of life; 0 = none are wanted of this process. */
static uint64_t watchdog_interval(void)
{
	const char *pid = getenv("WATCHDOG_PID"), *usec = getenv("WATCHDOG_USEC");
	unsigned long long n;
	char *end;

	if (!usec || *usec < '0' || *usec > '9' || (pid && strtoull(pid, NULL, 10) != (unsigned long long)getpid()))
		return 0;
	errno = 0;
	n = strtoull(usec, &end, 10);
	if (errno || *end || n > UINT64_MAX / 1000)
		return 0;
	return n * 1000 / WATCHDOG_SHARE;
}

int ps_service_run(struct ps_loop *loop)
{
	uint64_t interval = watchdog_interval();
	int r = interval ? ps_loop_add_timer(loop, interval, on_watchdog, NULL, NULL) : 0;

	if (r < 0)
		return r;
	tell("READY=1");
	r = ps_loop_run(loop);
	tell("STOPPING=1");
	return r;
}

int ps_service_ask(const char *endpoint, const char *field, int timeout_ms, struct ps_error *err)
{
	_cleanup_(ps_bus_free) struct ps_bus *bus = NULL;
	_cleanup_(ps_requester_free) struct ps_requester *rq = NULL;
	_cleanup_(ps_reply_free) struct ps_reply reply = {0};
	const char *word;
	int r = ps_bus_new(&bus);

	if (r == 0)
		r = ps_requester_new(bus, endpoint, &rq, err);
	if (r == 0)
		r = ps_requester_call(rq, "status", "health", NULL, timeout_ms, &reply, err);
	if (r < 0)
		return r;
	if (reply.status >= 400)
		return ps_error_set(err, -EIO, reply.status, reply.error.code, "", "%s", reply.error.message);
	word = field ? ps_value_get_string(reply.body, field, "") : "ok";
	if (strcmp(word, "ok") != 0)
		return ps_error_set(err, -EIO, 503, "not_well", field, "%s", word);
	return 0;
}

int ps_service_health(int r, const struct ps_error *err)
{
	if (r < 0)
		(void)printf("%s\n", err->message[0] ? err->message : strerror(-r));
	else
		(void)printf("ok\n");
	return r < 0;
}
