#include "common/bus/curve.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/bus/socket.h"
#include "common/limits.h"

#define TCP "tcp://"
#define Z85_KEY 40 /* characters of a key */

/* --- key files ------------------------------------------------------------------------------------- */

/* Called for each key of a file; true ends the reading. */
typedef bool (*key_fn)(void *arg, const uint8_t key[static PS_CURVE_KEY]);

/* Is this line `name = "Z85"`? */
static bool read_line(const char *line, const char *name, uint8_t ret_key[static PS_CURVE_KEY])
{
	char text[Z85_KEY + 1];

	line += strspn(line, " \t");
	if (strncmp(line, name, strlen(name)) != 0)
		return false;
	line += strlen(name);
	line += strspn(line, " \t");
	if (*line++ != '=')
		return false;
	line += strspn(line, " \t\"");
	if (strcspn(line, "\"\r\n \t") != Z85_KEY)
		return false;
	memcpy(text, line, Z85_KEY);
	text[Z85_KEY] = '\0';
	return zmq_z85_decode(ret_key, text) != NULL;
}

/* Gives every key of that name in a file to fn. 1 = fn ended it, 0 = read to the end, -errno. */
static int read_keys(const char *path, const char *name, key_fn fn, void *arg)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	char line[256];
	size_t lines = 0;

	if (!f)
		return -errno;
	while (lines++ < PS_CURVE_LINES_MAX && fgets(line, sizeof(line), f)) {
		uint8_t key[PS_CURVE_KEY];

		if (read_line(line, name, key) && fn(arg, key))
			return 1;
	}
	return ferror(f) ? -EIO : 0;
}

static bool take_key(void *arg, const uint8_t key[static PS_CURVE_KEY])
{
	memcpy(arg, key, PS_CURVE_KEY);
	return true;
}

static int read_key(const char *path, const char *name, uint8_t ret_key[static PS_CURVE_KEY], struct ps_error *err)
{
	int r = read_keys(path, name, take_key, ret_key);

	if (r == 1)
		return 0;
	if (r < 0)
		return ps_error_set(
			err, r, 400, "bad_key", "curve-key", "cannot read the key file %s: %s", path, strerror(-r));
	return ps_error_set(err, -EINVAL, 400, "bad_key", "curve-key",
		"%s has no %s; make a pair of files with: packetscope keygen NAME", path, name);
}

/* A secret that everyone can read is none. */
static int read_secret(const char *path, uint8_t ret_key[static PS_CURVE_KEY], struct ps_error *err)
{
	struct stat st;
	int r = read_key(path, "secret-key", ret_key, err);

	if (r == 0 && stat(path, &st) == 0 && (st.st_mode & 07))
		return ps_error_set(err, -EPERM, 400, "bad_key", "curve-key",
			"everyone on this host may read %s; chmod o-rwx it, and make new keys if others had access",
			path);
	return r;
}

static int write_file(const char *path, mode_t mode, const char *text, struct ps_error *err)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	size_t len = strlen(text);

	if (fd < 0)
		return ps_error_set(err, -errno, 400, "bad_path", "", "cannot make %s: %s%s", path, strerror(errno),
			errno == EEXIST ? "; remove it first if it is not needed any more" : "");
	if (write(fd, text, len) != (ssize_t)len || fsync(fd) != 0)
		return ps_error_set(err, -EIO, 500, "disk", "", "cannot write %s: %s", path, strerror(errno));
	return 0;
}

int ps_curve_keygen(const char *path, struct ps_error *err)
{
	char public_key[Z85_KEY + 1], secret_key[Z85_KEY + 1], name[4096], text[512];
	int r;

	if (zmq_curve_keypair(public_key, secret_key) != 0)
		return ps_error_set(
			err, -ENOTSUP, 500, "no_curve", "", "this libzmq has no CURVE: %s", zmq_strerror(errno));
	if ((size_t)snprintf(name, sizeof(name), "%s.key_secret", path) >= sizeof(name))
		return ps_error_set(err, -ENAMETOOLONG, 400, "bad_path", "", "the name is too long");
	(void)snprintf(text, sizeof(text),
		"# Packet Scope, CURVE: the secret key. Keep it to yourself.\nmetadata\ncurve\n    public-key = "
		"\"%s\"\n"
		"    secret-key = \"%s\"\n",
		public_key, secret_key);
	r = write_file(name, 0600, text, err);
	if (r < 0)
		return r;
	(void)snprintf(name, sizeof(name), "%s.key", path);
	(void)snprintf(text, sizeof(text),
		"# Packet Scope, CURVE: the public key, for whoever is to know this one.\nmetadata\ncurve\n"
		"    public-key = \"%s\"\n",
		public_key);
	r = write_file(name, 0644, text, err);
	explicit_bzero(secret_key, sizeof(secret_key));
	return r;
}

/* --- who may come in ------------------------------------------------------------------------------- */

static bool same_key(void *arg, const uint8_t key[static PS_CURVE_KEY])
{
	return memcmp(arg, key, PS_CURVE_KEY) == 0;
}

static bool is_key_file(const char *name)
{
	size_t len = strlen(name);

	return len > 4 && name[0] != '.' && strcmp(name + len - 4, ".key") == 0;
}

/* 1 = the key is there, 0 = it is not, -errno. */
static int listed(const char *allow, const uint8_t key[static PS_CURVE_KEY])
{
	DIR *dir = opendir(allow);
	struct dirent *entry;
	int found = 0;

	if (!dir)
		return errno == ENOTDIR ? read_keys(allow, "public-key", same_key, (void *)key) : -errno;
	for (size_t n = 0; found <= 0 && n < PS_CURVE_LINES_MAX && (entry = readdir(dir)); n++) {
		char path[512];

		if (is_key_file(entry->d_name) &&
			(size_t)snprintf(path, sizeof(path), "%s/%s", allow, entry->d_name) < sizeof(path))
			found = read_keys(path, "public-key", same_key, (void *)key);
	}
	(void)closedir(dir);
	return found > 0;
}

/*
 * One request of RFC 27: version, id, domain, address, identity, mechanism, credentials. The list is read anew each
 * time, so that a key can be given and taken without a restart.
 */
static bool is_welcome(const struct ps_curve *c, struct ps_socket *zap, char ret_id[static 64], size_t *ret_id_len)
{
	enum {
		VERSION,
		ID,
		DOMAIN,
		ADDRESS,
		IDENTITY,
		MECHANISM,
		CREDENTIALS,
		FRAMES
	};
	uint8_t frame[FRAMES][256];
	int len[FRAMES] = {0}, n = 0, more = 1;
	size_t size = sizeof(more);

	while (more) {
		uint8_t spare[256];
		int got = zmq_recv(zap->handle, n < FRAMES ? frame[n] : spare, sizeof(spare), 0);

		if (got < 0)
			return false;
		if (n < FRAMES)
			len[n] = got;
		n++;
		if (zmq_getsockopt(zap->handle, ZMQ_RCVMORE, &more, &size) != 0)
			return false;
	}
	*ret_id_len = len[ID] > 0 && len[ID] <= 64 ? (size_t)len[ID] : 0;
	memcpy(ret_id, frame[ID], *ret_id_len);
	return n == FRAMES && len[MECHANISM] == 5 && memcmp(frame[MECHANISM], "CURVE", 5) == 0 &&
	       len[CREDENTIALS] == PS_CURVE_KEY && listed(c->allow, frame[CREDENTIALS]) == 1;
}

static void *serve_zap(void *arg)
{
	struct ps_curve *c = arg;
	struct ps_socket zap = {.handle = c->zap};

	/* Until the context is shut down. */
	while (ps_socket_wait(&zap, ZMQ_POLLIN, -1) == 1) {
		char id[64];
		size_t id_len = 0;
		bool welcome = is_welcome(c, &zap, id, &id_len);
		const char *status = welcome ? "200" : "400", *text = welcome ? "OK" : "this key is not on the list";

		if (!welcome)
			__atomic_add_fetch(&c->strangers, 1, __ATOMIC_RELAXED);
		if (zmq_send(zap.handle, "1.0", 3, ZMQ_SNDMORE) < 0 ||
			zmq_send(zap.handle, id, id_len, ZMQ_SNDMORE) < 0 ||
			zmq_send(zap.handle, status, 3, ZMQ_SNDMORE) < 0 ||
			zmq_send(zap.handle, text, strlen(text), ZMQ_SNDMORE) < 0 ||
			zmq_send(zap.handle, "", 0, ZMQ_SNDMORE) < 0 || zmq_send(zap.handle, "", 0, 0) < 0)
			break;
	}
	(void)zmq_close(zap.handle);
	return NULL;
}

/* The list must be there from the beginning: a slip in its name is better told now than by silence. */
static int open_zap(struct ps_bus *bus, struct ps_error *err)
{
	struct ps_curve *c = &bus->curve;
	const int none = 0;
	sigset_t all, before;
	int r;

	c->zap = zmq_socket(bus->context, ZMQ_REP);
	if (!c->zap || zmq_setsockopt(c->zap, ZMQ_LINGER, &none, sizeof(none)) != 0 ||
		zmq_bind(c->zap, "inproc://zeromq.zap.01") != 0)
		return ps_error_set(err, -errno, 503, "bus", "", "Cannot check keys: %s", zmq_strerror(errno));
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &before);
	r = -pthread_create(&c->thread, NULL, serve_zap, c);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r < 0)
		return ps_error_set(err, r, 500, "no_thread", "", "Cannot check keys: %s", strerror(-r));
	return 0;
}

int ps_bus_serve_curve(struct ps_bus *bus, const char *key_file, const char *allow, struct ps_error *err)
{
	static const uint8_t nobody[PS_CURVE_KEY];
	struct ps_curve *c = &bus->curve;
	int r;

	if (c->serves)
		return -EALREADY;
	if (!*allow)
		return ps_error_set(err, -EINVAL, 400, "bad_option", "curve-allow",
			"--curve-key needs --curve-allow: the directory with the public keys (*.key) of those who may "
			"come in");
	if (strlen(allow) >= sizeof(c->allow))
		return ps_error_set(err, -ENAMETOOLONG, 400, "bad_option", "curve-allow", "the name is too long");
	memcpy(c->allow, allow, strlen(allow) + 1);
	r = listed(allow, nobody);
	if (r < 0)
		return ps_error_set(
			err, r, 400, "bad_option", "curve-allow", "cannot read %s: %s", allow, strerror(-r));
	r = read_secret(key_file, c->server_secret, err);
	if (r == 0)
		r = open_zap(bus, err);
	if (r < 0) {
		if (c->zap)
			(void)zmq_close(c->zap);
		c->zap = NULL;
		return r;
	}
	c->serves = true;
	return 0;
}

int ps_bus_join_curve(struct ps_bus *bus, const char *key_file, const char *server_key_file, struct ps_error *err)
{
	struct ps_curve *c = &bus->curve;
	int r = read_secret(key_file, c->own_secret, err);

	if (r == 0)
		r = read_key(key_file, "public-key", c->own_public, err);
	if (r == 0)
		r = read_key(server_key_file, "public-key", c->server_public, err);
	if (r == 0)
		c->joins = true;
	return r;
}

void ps_bus_allow_plain(struct ps_bus *bus)
{
	bus->curve.insecure = true;
}

int ps_bus_secure(struct ps_bus *bus, const char *key_file, const char *allow, bool insecure, struct ps_error *err)
{
	if (insecure)
		ps_bus_allow_plain(bus);
	if (*key_file)
		return ps_bus_serve_curve(bus, key_file, allow, err);
	if (*allow)
		return ps_error_set(err, -EINVAL, 400, "bad_option", "curve-allow",
			"--curve-allow is of no use without --curve-key, this program's own secret key");
	return 0;
}

uint64_t ps_bus_strangers(const struct ps_bus *bus)
{
	return __atomic_load_n(&bus->curve.strangers, __ATOMIC_RELAXED);
}

void ps_curve_free(struct ps_curve *c)
{
	if (c->serves)
		(void)pthread_join(c->thread, NULL);
	explicit_bzero(c, sizeof(*c));
}

/* --- sockets ------------------------------------------------------------------------------------------ */

bool ps_curve_is_loopback(const char *endpoint)
{
	const char *host = endpoint + strlen(TCP), *colon = strrchr(host, ':');
	size_t len = colon ? (size_t)(colon - host) : strlen(host);
	struct in6_addr six;
	struct in_addr four;
	char text[64];

	if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
		host++;
		len -= 2;
	}
	if (len >= sizeof(text))
		return false;
	memcpy(text, host, len);
	text[len] = '\0';
	if (inet_pton(AF_INET, text, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, text, &six) == 1)
		return IN6_IS_ADDR_LOOPBACK(&six);
	return strcmp(text, "localhost") == 0;
}

static bool is_tcp(const char *endpoint)
{
	return strncmp(endpoint, TCP, strlen(TCP)) == 0;
}

int ps_curve_bind(struct ps_bus *bus, void *socket, const char *endpoint, struct ps_error *err)
{
	const struct ps_curve *c = &bus->curve;
	const int on = is_tcp(endpoint) && c->serves;

	if (is_tcp(endpoint) && !c->serves && !c->insecure && !ps_curve_is_loopback(endpoint))
		return ps_error_set(err, -EPERM, 400, "no_keys", "",
			"Cannot bind %s: others can reach this address, and there are no keys; give --curve-key and "
			"--curve-allow, or --insecure to let everyone in",
			endpoint);
	/* Options hold for the binds that follow: one socket serves ipc, bound first and plain, and CURVE. */
	if (zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &on, sizeof(on)) != 0 ||
		(on && zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, PS_CURVE_DOMAIN, strlen(PS_CURVE_DOMAIN)) != 0) ||
		(on && zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, c->server_secret, PS_CURVE_KEY) != 0))
		return ps_error_set(err, -errno, 503, "bus", "", "Cannot set up %s: %s", endpoint, zmq_strerror(errno));
	return 0;
}

int ps_curve_connect(struct ps_bus *bus, void *socket, const char *endpoint, struct ps_error *err)
{
	const struct ps_curve *c = &bus->curve;

	if (!is_tcp(endpoint) || !c->joins)
		return 0;
	if (zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, c->server_public, PS_CURVE_KEY) != 0 ||
		zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, c->own_public, PS_CURVE_KEY) != 0 ||
		zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, c->own_secret, PS_CURVE_KEY) != 0)
		return ps_error_set(err, -errno, 503, "bus", "", "Cannot set up %s: %s", endpoint, zmq_strerror(errno));
	return 0;
}
