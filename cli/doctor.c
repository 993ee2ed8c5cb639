#include "cli/doctor.h"

#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/api.h"
#include "cli/claim.h"
#include "cli/limits.h"
#include "cli/process.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/codec/json.h"
#include "common/limits.h"

#define BPF_FS_MAGIC 0xcafe4a11
#define FRAGS_MTU \
	3500 /* above, a veth and some drivers take XDP only from a program that can handle frames in pieces */

const char *ps_health_name(enum ps_health health)
{
	static const char *const names[] = {"ok", "warn", "fail"};

	return names[health];
}

void ps_doctor_find(
	struct ps_doctor *d, const char *check, enum ps_health health, const char *remedy, const char *fmt, ...)
{
	struct ps_value *finding = ps_value_map();
	char message[512];
	va_list ap;
	int r;

	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	r = ps_value_set(finding, "check", ps_value_string(check));
	r |= ps_value_set(finding, "health", ps_value_string(ps_health_name(health)));
	r |= ps_value_set(finding, "message", ps_value_string(message));
	r |= ps_value_set(finding, "remedy", ps_value_string(remedy));
	r |= ps_value_append(d->findings, finding);
	d->failed = d->failed || r != 0;
	d->worst = PS_MAX(d->worst, health);
}

bool ps_kernel_at_least(const char *release, unsigned major, unsigned minor)
{
	unsigned a = 0, b = 0;

	if (sscanf(release, "%u.%u", &a, &b) != 2)
		return false;
	return a > major || (a == major && b >= minor);
}

/* --- the host ------------------------------------------------------------------------------------ */

static void check_kernel(struct ps_doctor *d)
{
	struct utsname u = {0};

	(void)uname(&u);
	if (ps_kernel_at_least(u.release, PS_KERNEL_MAJOR, PS_KERNEL_MINOR))
		ps_doctor_find(d, "kernel", PS_HEALTH_OK, NULL, "Linux %s", u.release);
	else
		ps_doctor_find(d, "kernel", PS_HEALTH_FAIL,
			"install a kernel of a release that is still maintained, and boot it",
			"Linux %s is too old: %d.%d is needed", u.release, PS_KERNEL_MAJOR, PS_KERNEL_MINOR);
}

static void check_btf(struct ps_doctor *d)
{
	if (access("/sys/kernel/btf/vmlinux", R_OK) == 0)
		ps_doctor_find(d, "btf", PS_HEALTH_OK, NULL, "the kernel describes its types");
	else
		ps_doctor_find(d, "btf", PS_HEALTH_FAIL,
			"use the distribution's kernel, or build yours with CONFIG_DEBUG_INFO_BTF=y",
			"/sys/kernel/btf/vmlinux cannot be read: %s", strerror(errno));
}

static unsigned long long effective_capabilities(void)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	const char *line;

	if (ps_file_read("/proc/self/status", 65536, &text) < 0 || !ps_buf_str(&text))
		return 0;
	line = strstr(ps_buf_str(&text), "\nCapEff:");
	return line ? strtoull(line + 8, NULL, 16) : 0;
}

static void check_capabilities(struct ps_doctor *d)
{
	static const struct {
		const char *name;
		unsigned bit;
		bool admin; /* CAP_SYS_ADMIN stands in */
		bool needed;
	} wanted[] = {
		{"CAP_BPF", 39, true, true}, {"CAP_NET_ADMIN", 12, false, true}, {"CAP_PERFMON", 38, true, false}};
	unsigned long long have = effective_capabilities();
	bool admin = have >> 21 & 1;
	char missing[64] = "";
	bool fatal = false;

	for (size_t i = 0; i < PS_ARRAY_SIZE(wanted); i++) {
		if ((have >> wanted[i].bit & 1) || (wanted[i].admin && admin))
			continue;
		(void)snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing), " %s", wanted[i].name);
		fatal = fatal || wanted[i].needed;
	}
	if (!*missing)
		ps_doctor_find(d, "capabilities", PS_HEALTH_OK, NULL, "programs may be loaded and attached");
	else if (fatal)
		ps_doctor_find(d, "capabilities", PS_HEALTH_FAIL, "sudo packetscope up", "missing:%s", missing);
	else
		ps_doctor_find(d, "capabilities", PS_HEALTH_WARN, "add CAP_PERFMON",
			"missing:%s; the kernel then makes each packet cost twice as much", missing);
}

/* The pins' file system: of the nearest directory that is there. */
static void check_bpffs(struct ps_doctor *d)
{
	char path[PATH_MAX];
	struct statfs fs;
	char *slash;

	(void)snprintf(path, sizeof(path), "%s", d->settings->pin_root);
	while (statfs(path, &fs) < 0 && errno == ENOENT && (slash = strrchr(path, '/')) && slash != path)
		*slash = '\0';
	if (statfs(path, &fs) == 0 && (unsigned long)fs.f_type == BPF_FS_MAGIC)
		ps_doctor_find(d, "bpffs", PS_HEALTH_OK, NULL, "%s is on a BPF file system", d->settings->pin_root);
	else if (access(path, X_OK) < 0)
		ps_doctor_find(d, "bpffs", PS_HEALTH_WARN, "sudo packetscope doctor", "%s cannot be looked at: %s",
			path, strerror(errno));
	else
		ps_doctor_find(d, "bpffs", PS_HEALTH_FAIL, "sudo mount -t bpf bpf /sys/fs/bpf",
			"%s is not on a BPF file system", d->settings->pin_root);
}

/* --- ourselves ----------------------------------------------------------------------------------- */

static void check_programs(struct ps_doctor *d)
{
	static const char *const names[] = {
		"packetscope-collector", "packetscope-aggregator", "packetscope-gateway", "packetscope-ai-worker"};
	char path[PATH_MAX];
	bool all = true;

	for (size_t i = 0; i < PS_ARRAY_SIZE(names); i++) {
		struct ps_error err = {0};

		if (ps_program_find(names[i], path, &err) == 0)
			continue;
		all = false;
		ps_doctor_find(d, "programs", PS_HEALTH_FAIL, "make", "%s is neither beside packetscope nor in PATH",
			names[i]);
	}
	if (all)
		ps_doctor_find(d, "programs", PS_HEALTH_OK, NULL, "all four are there");
}

static void check_directory(struct ps_doctor *d, const char *check, const char *path)
{
	char existing[PATH_MAX];
	char *slash;

	(void)snprintf(existing, sizeof(existing), "%s", path);
	while (access(existing, F_OK) < 0 && errno == ENOENT && (slash = strrchr(existing, '/')) && slash != existing)
		*slash = '\0';
	if (access(existing, W_OK | X_OK) == 0)
		ps_doctor_find(d, check, PS_HEALTH_OK, NULL, "%s can be written", path);
	else
		ps_doctor_find(d, check, PS_HEALTH_FAIL, "sudo packetscope up", "%s cannot be written: %s", path,
			strerror(errno));
}

static void check_directories(struct ps_doctor *d)
{
	check_directory(d, "run directory", d->settings->run_dir);
	check_directory(d, "state directory", d->settings->state_dir);
}

static void check_running(struct ps_doctor *d)
{
	pid_t holder = ps_claim_holder(d->settings->run_dir);

	if (holder > 0)
		ps_doctor_find(d, "running", PS_HEALTH_OK, NULL, "`packetscope up` runs (process %d)", (int)holder);
	else
		ps_doctor_find(d, "running", PS_HEALTH_OK, NULL, "`packetscope up` does not run now");
}

static void check_address(struct ps_doctor *d)
{
	_cleanup_(ps_fetch_free) struct ps_fetch *client = NULL;
	_cleanup_(ps_fetch_reply_free) struct ps_fetch_reply reply = {0};
	_cleanup_(ps_value_free) struct ps_value *health = NULL;
	struct ps_error err = {0};
	int r = ps_fetch_new(d->settings->api, &client, &err);

	if (r < 0) {
		ps_doctor_find(d, "address", PS_HEALTH_FAIL, "--api 127.0.0.1:8080", "%s", err.message);
		return;
	}
	r = ps_fetch_call(client, "GET", "/api/health", NULL, &reply, &err);
	if (r == -ECONNREFUSED)
		ps_doctor_find(d, "address", PS_HEALTH_OK, NULL, "%s is free", ps_fetch_base(client));
	else if (r == 0 && ps_json_parse((const char *)reply.body.data, reply.body.len, &health, NULL) == 0 &&
		 (ps_value_get(health, "parts") || reply.status == 401))
		ps_doctor_find(d, "address", PS_HEALTH_OK, NULL, "the gateway answers at %s", ps_fetch_base(client));
	else
		ps_doctor_find(d, "address", PS_HEALTH_FAIL, "packetscope up --api 127.0.0.1:8081",
			"something else listens at %s (`ss -ltnp` shows what)", ps_fetch_base(client));
}

/* --- containers ---------------------------------------------------------------------------------- */

/* The socket of this host's Docker engine, or NULL: none, or one elsewhere, or not for us to ask. */
static const char *docker_socket(void)
{
	const char *host = getenv("DOCKER_HOST");
	const char *path = "/var/run/docker.sock";

	if (host && *host) {
		if (strncmp(host, "unix://", 7) != 0)
			return NULL;
		path = host + 7;
	}
	return access(path, R_OK | W_OK) == 0 ? path : NULL;
}

/* Before version 23 an engine refuses a container that asks for CAP_BPF or CAP_PERFMON. */
static void check_docker(struct ps_doctor *d)
{
	_cleanup_(ps_fetch_free) struct ps_fetch *client = NULL;
	_cleanup_(ps_fetch_reply_free) struct ps_fetch_reply reply = {0};
	_cleanup_(ps_value_free) struct ps_value *engine = NULL;
	const char *path = docker_socket(), *version;

	if (!path || ps_fetch_new("http://docker", &client, NULL) < 0)
		return;
	ps_fetch_socket(client, path);
	ps_fetch_limit(client, PS_DOCTOR_PROBE_MS, NULL);
	if (ps_fetch_call(client, "GET", "/version", NULL, &reply, NULL) < 0 ||
		ps_json_parse((const char *)reply.body.data, reply.body.len, &engine, NULL) < 0) {
		ps_doctor_find(d, "docker", PS_HEALTH_WARN, "docker version", "the engine at %s does not answer", path);
		return;
	}
	version = ps_value_get_string(engine, "Version", "(unknown)");
	if (ps_kernel_at_least(version, 23, 0))
		ps_doctor_find(d, "docker", PS_HEALTH_OK, NULL, "Docker %s knows the capabilities", version);
	else
		ps_doctor_find(d, "docker", PS_HEALTH_WARN,
			"for `docker compose up`, in .env: PS_CAP1=SYS_ADMIN and PS_CAP2=CAP_NET_ADMIN",
			"Docker %s does not know the capabilities BPF and PERFMON (23 does)", version);
}

/* --- interfaces ---------------------------------------------------------------------------------- */

static long sys_number(const char *iface, const char *file, int base)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	char path[128];

	(void)snprintf(path, sizeof(path), "/sys/class/net/%s/%s", iface, file);
	if (ps_file_read(path, 64, &text) < 0 || !ps_buf_str(&text))
		return -1;
	return strtol(ps_buf_str(&text), NULL, base);
}

static const struct ps_value *probed(const struct ps_doctor *d, const char *iface)
{
	const struct ps_value *list = ps_value_get(d->probe, "interfaces");

	for (size_t i = 0; i < ps_value_count(list); i++) {
		if (strcmp(ps_value_get_string(ps_value_at(list, i), "name", ""), iface) == 0)
			return ps_value_at(list, i);
	}
	return NULL;
}

static void check_iface(struct ps_doctor *d, const char *iface)
{
	const struct ps_value *p = probed(d, iface);
	const char *problem = ps_value_get_string(ps_value_get(p, "xdp"), "problem", NULL);
	const struct ps_value *native = ps_value_get(p, "xdp_native");
	long flags = sys_number(iface, "flags", 16), mtu = ps_value_get_int(p, "mtu", sys_number(iface, "mtu", 10));
	struct utsname u = {0};
	char remedy[96];

	(void)uname(&u);
	if (if_nametoindex(iface) == 0) {
		ps_doctor_find(d, "interface", PS_HEALTH_FAIL, "ip -brief link", "there is no interface %s", iface);
		return;
	}
	(void)snprintf(remedy, sizeof(remedy), "sudo ip link set %s up", iface);
	if (p ? !ps_value_get_bool(p, "up", true) : flags >= 0 && !(flags & IFF_UP))
		ps_doctor_find(d, "interface", PS_HEALTH_WARN, remedy, "%s is down", iface);
	else
		ps_doctor_find(d, "interface", PS_HEALTH_OK, NULL, "%s is up, MTU %ld", iface, mtu);
	if (problem)
		ps_doctor_find(d, "xdp", PS_HEALTH_FAIL, NULL, "%s: %s", iface, problem);
	else if (ps_value_kind(native) == PS_VALUE_BOOL && !ps_value_as_bool(native, true))
		ps_doctor_find(d, "xdp", PS_HEALTH_WARN, NULL,
			"%s: driver %s knows no native XDP; the generic one works, at a higher cost a packet", iface,
			ps_value_get_string(p, "driver", "(unknown)"));
	else if (p)
		ps_doctor_find(d, "xdp", PS_HEALTH_OK, NULL, "%s: nothing else is attached", iface);
	if (mtu > FRAGS_MTU && !ps_kernel_at_least(u.release, 5, 18))
		ps_doctor_find(d, "mtu", PS_HEALTH_WARN, "use a kernel of 5.18 or newer",
			"%s: with an MTU of %ld this kernel may only take generic XDP", iface, mtu);
}

static void check_ifaces(struct ps_doctor *d)
{
	const char *list = d->ifaces;

	if (!*list)
		ps_doctor_find(d, "interface", PS_HEALTH_FAIL, "packetscope up --iface NAME",
			"there is no default route to take the interface from");
	while (*list) {
		size_t len = strcspn(list, ",");
		char name[64];

		(void)snprintf(name, sizeof(name), "%.*s", (int)PS_MIN(len, sizeof(name) - 1), list);
		if (len > 0)
			check_iface(d, name);
		list += len + (list[len] == ',');
	}
}

void ps_doctor_examine(struct ps_doctor *d)
{
	static void (*const checks[])(struct ps_doctor *) = {check_kernel, check_btf, check_capabilities, check_bpffs,
		check_programs, check_directories, check_ifaces, check_address, check_running, check_docker};

	for (size_t i = 0; i < PS_ARRAY_SIZE(checks); i++)
		checks[i](d);
}
