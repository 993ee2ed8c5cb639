#include "common/bus/socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/limits.h"

#define IPC_SCHEME "ipc://"
#define IPC_UMASK 0117 /* socket files are born 0660: the group taps, others do not */

int ps_bus_new(struct ps_bus **ret_bus)
{
	_cleanup_free_ struct ps_bus *bus = calloc(1, sizeof(*bus));
	if (!bus)
		return -ENOMEM;
	bus->context = zmq_ctx_new();
	if (!bus->context)
		return -errno;
	*ret_bus = PS_TAKE(bus);
	return 0;
}

void ps_bus_free(struct ps_bus **bus)
{
	if (!*bus)
		return;
	if ((*bus)->curve.serves)
		(void)zmq_ctx_shutdown((*bus)->context);
	ps_curve_free(&(*bus)->curve);
	while ((*bus)->context && zmq_ctx_term((*bus)->context) != 0 && errno == EINTR)
		;
	free(*bus);
	*bus = NULL;
}

static const char *reason(int e)
{
	switch (e) {
	case EINVAL:
		return "the endpoint is not of the form ipc:///path or tcp://address:port";
	case EPROTONOSUPPORT:
	case ENOCOMPATPROTO:
		return "this transport is not supported; use ipc:// or tcp://";
	case ENOENT:
		return "the directory does not exist; create it or name another with --run-dir";
	case EACCES:
	case EPERM:
		return "no permission; start as the right user or name another directory with --run-dir";
	case EADDRINUSE:
		return "another program already serves it; stop that one or use another endpoint";
	case ENODEV:
	case EADDRNOTAVAIL:
		return "this host has no such address";
	case EEXIST:
		return "a file that is no socket stands there; remove it";
	default:
		return zmq_strerror(e);
	}
}

static int fail(struct ps_error *err, int e, const char *what, const char *endpoint)
{
	return ps_error_set(err, -e, 503, "bus", "", "Cannot %s %s: %s", what, endpoint, reason(e));
}

int ps_socket_open(
	struct ps_bus *bus, const struct ps_socket_options *o, struct ps_socket *ret_socket, struct ps_error *err)
{
	struct ps_socket s = {.bus = bus, .handle = zmq_socket(bus->context, o->type)};
	if (!s.handle)
		return fail(err, errno, "open", "a socket");

	const int on = 1, again = PS_BUS_RECONNECT_MS;
	if (zmq_setsockopt(s.handle, ZMQ_SNDHWM, &o->hwm, sizeof(o->hwm)) != 0 ||
		zmq_setsockopt(s.handle, ZMQ_RCVHWM, &o->hwm, sizeof(o->hwm)) != 0 ||
		zmq_setsockopt(s.handle, ZMQ_RECONNECT_IVL, &again, sizeof(again)) != 0 ||
		zmq_setsockopt(s.handle, ZMQ_LINGER, &o->linger_ms, sizeof(o->linger_ms)) != 0 ||
		zmq_setsockopt(s.handle, ZMQ_MAXMSGSIZE, &o->frame_max, sizeof(o->frame_max)) != 0 ||
		zmq_setsockopt(s.handle, ZMQ_IPV6, &on, sizeof(on)) != 0 ||
		zmq_setsockopt(s.handle, ZMQ_TCP_KEEPALIVE, &on, sizeof(on)) != 0) {
		int e = errno;
		ps_socket_close(&s);
		return fail(err, e, "set up", "a socket");
	}
	*ret_socket = s;
	return 0;
}

/* The path of an ipc endpoint with a file; NULL for tcp, inproc and the abstract name space. */
static const char *ipc_path(const char *endpoint)
{
	if (strncmp(endpoint, IPC_SCHEME, strlen(IPC_SCHEME)) != 0)
		return NULL;
	const char *path = endpoint + strlen(IPC_SCHEME);
	return *path == '@' || *path == '*' ? NULL : path;
}

/* libzmq unlinks whatever stands at the path, a live server's socket too: look before. */
static int clear_stale(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct stat st;
	size_t len = strlen(path);
	if (len >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, len + 1);
	if (lstat(path, &st) != 0)
		return errno == ENOENT ? 0 : -errno; /* a missing directory is told by the bind */
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;

	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0 || errno == EAGAIN)
		return -EADDRINUSE; /* EAGAIN: alive, its backlog is full */
	if (errno == ENOENT)
		return 0;
	if (errno != ECONNREFUSED)
		return -errno;
	return unlink(path) == 0 || errno == ENOENT ? 0 : -errno;
}

int ps_socket_bind(struct ps_socket *s, const char *endpoint, struct ps_error *err)
{
	const char *path = ipc_path(endpoint);
	if (path) {
		int r = clear_stale(path);
		if (r < 0)
			return fail(err, -r, "bind", endpoint);
	}

	int secured = ps_curve_bind(s->bus, s->handle, endpoint, err);
	if (secured < 0)
		return secured;
	mode_t before = umask(IPC_UMASK);
	int rc = zmq_bind(s->handle, endpoint), e = errno;
	(void)umask(before);
	if (rc != 0)
		return fail(err, e, "bind", endpoint);

	struct stat st;
	if (path && lstat(path, &st) == 0) {
		memcpy(s->path, path, strlen(path) + 1); /* fits: see clear_stale */
		s->dev = st.st_dev;
		s->ino = st.st_ino;
	}
	return 0;
}

int ps_socket_bind_more(struct ps_socket *s, const char *endpoints, struct ps_error *err)
{
	while (*endpoints) {
		size_t len = strcspn(endpoints, ",");
		char endpoint[256];

		if (len >= sizeof(endpoint))
			return fail(err, EINVAL, "bind", endpoints);
		memcpy(endpoint, endpoints, len);
		endpoint[len] = '\0';
		/* Socket files of the first bind alone go away with the socket: more of them would be left behind. */
		if (len && ipc_path(endpoint))
			return ps_error_set(err, -EINVAL, 400, "bad_option", "",
				"%s: a further endpoint is tcp://ADDRESS:PORT; ipc is served under the run directory",
				endpoint);
		int r = len ? ps_socket_bind(s, endpoint, err) : 0;
		if (r < 0)
			return r;
		endpoints += len + (endpoints[len] == ',');
	}
	return 0;
}

int ps_socket_connect(struct ps_socket *s, const char *endpoint, struct ps_error *err)
{
	int r = ps_curve_connect(s->bus, s->handle, endpoint, err);
	if (r < 0)
		return r;
	if (zmq_connect(s->handle, endpoint) != 0)
		return fail(err, errno, "connect to", endpoint);
	return 0;
}

void ps_socket_close(struct ps_socket *s)
{
	/* The file goes first, while the listener still lives: nobody can have replaced it yet, but for the inode's
	 * say. */
	struct stat st;
	if (s->path[0] && lstat(s->path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino)
		(void)unlink(s->path);
	s->path[0] = '\0';
	if (s->handle)
		(void)zmq_close(s->handle);
	s->handle = NULL;
}

static int send_frame(struct ps_socket *s, zmq_msg_t *msg, int flags)
{
	int rc;
	do
		rc = zmq_msg_send(msg, s->handle, flags | ZMQ_DONTWAIT);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : 0;
}

/*
 * Makes libzmq look at what peers have read since: a send by itself does so only every other millisecond, and until
 * then takes a queue for full, and drops for a reader, that has long been emptied.
 */
static void refresh(struct ps_socket *s)
{
	int events;
	size_t len = sizeof(events);
	(void)zmq_getsockopt(s->handle, ZMQ_EVENTS, &events, &len);
}

static int send_frames(struct ps_socket *s, const struct ps_frame *frames, size_t n, zmq_msg_t *body)
{
	/*
	 * Everything that can fail for want of memory happens before the first frame goes out. After it libzmq refuses
	 * no other frame: it counts whole messages against the high-water mark.
	 */
	zmq_msg_t msg[PS_FRAMES_MAX];
	size_t made = 0, all = n + (body ? 1 : 0);
	int r = 0;
	for (; made < n && r == 0; made += r == 0) {
		if (zmq_msg_init_size(&msg[made], frames[made].len) != 0)
			r = -errno;
		else if (frames[made].len)
			memcpy(zmq_msg_data(&msg[made]), frames[made].data, frames[made].len);
	}
	if (body && r == 0) {
		(void)zmq_msg_init(&msg[made++]); /* always 0 */
		if (zmq_msg_copy(&msg[n], body) != 0)
			r = -errno;
	}

	refresh(s);
	for (size_t i = 0; i < all && r == 0; i++)
		r = send_frame(s, &msg[i], i + 1 < all ? ZMQ_SNDMORE : 0);
	for (size_t i = 0; i < made; i++)
		(void)zmq_msg_close(&msg[i]); /* a sent one is empty by now */
	return r;
}

int ps_socket_send(struct ps_socket *s, const struct ps_frame *frames, size_t n)
{
	return send_frames(s, frames, n, NULL);
}

int ps_socket_send_body(struct ps_socket *s, const struct ps_frame *frames, size_t n, zmq_msg_t *body)
{
	return send_frames(s, frames, n, body);
}

static int receive_frame(struct ps_socket *s, zmq_msg_t *msg)
{
	int rc;
	do
		rc = zmq_msg_recv(msg, s->handle, ZMQ_DONTWAIT);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : 0;
}

int ps_socket_receive(struct ps_socket *s, struct ps_frames *ret_frames)
{
	struct ps_frames *f = ret_frames;
	bool more = true;
	f->n = f->total = 0;
	while (more) {
		zmq_msg_t extra;
		zmq_msg_t *msg = f->n < PS_FRAMES_MAX ? &f->msg[f->n] : &extra;
		(void)zmq_msg_init(msg); /* always 0 */
		int r = receive_frame(s, msg);
		if (r < 0) {
			(void)zmq_msg_close(msg);
			ps_frames_free(f);
			return r == -EAGAIN ? 0 : r;
		}
		more = zmq_msg_more(msg);
		f->total++;
		if (msg == &extra)
			(void)zmq_msg_close(msg);
		else
			f->n++;
	}
	return 1;
}

void ps_frames_free(struct ps_frames *frames)
{
	for (size_t i = 0; i < frames->n; i++)
		(void)zmq_msg_close(&frames->msg[i]);
	frames->n = 0;
}

const uint8_t *ps_frame_data(struct ps_frames *frames, size_t i, size_t *ret_len)
{
	*ret_len = zmq_msg_size(&frames->msg[i]);
	return zmq_msg_data(&frames->msg[i]);
}

int ps_socket_wait(struct ps_socket *s, short events, long timeout_ms)
{
	zmq_pollitem_t item = {.socket = s->handle, .events = events};
	int rc = zmq_poll(&item, 1, timeout_ms);
	return rc < 0 ? -errno : rc > 0;
}
