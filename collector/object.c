#include "collector/object.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/bpf.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "packetscope.skel.h"
#include "packetscope_trace.skel.h"

#include "collector/tc.h"
#include "collector/xdp.h"
#include "common/base/cleanup.h"
#include "common/limits.h"

#ifndef BPF_F_XDP_HAS_FRAGS
#define BPF_F_XDP_HAS_FRAGS (1U << 5)
#endif

struct ps_object {
	struct bpf_object *obj;
	struct ps_const *constants;
	void *skel;
	void (*destroy)(void *skel);
};

/* --- what libbpf says -------------------------------------------------------------------------- */

/* libbpf's print function has no argument: the newest bytes of what it says stand here. */
static struct {
	char text[PS_LIBBPF_LOG_BYTES];
	size_t len;
} said;

static void remember(const char *text, size_t n)
{
	size_t drop;

	if (n > sizeof(said.text)) {
		text += n - sizeof(said.text);
		n = sizeof(said.text);
	}
	drop = said.len + n > sizeof(said.text) ? said.len + n - sizeof(said.text) : 0;
	memmove(said.text, said.text + drop, said.len - drop);
	memcpy(said.text + said.len - drop, text, n);
	said.len += n - drop;
}

static int listen(enum libbpf_print_level level, const char *format, va_list args)
{
	_cleanup_free_ char *text = NULL;
	int n = level == LIBBPF_DEBUG ? 0 : vasprintf(&text, format, args);

	if (n > 0)
		remember(text, (size_t)n);
	return n;
}

/* The last lines of what was said. */
static void tell(struct ps_buf *log)
{
	size_t at = said.len, lines = 0;

	if (!log)
		return;
	while (at > 0 && (said.text[at - 1] != '\n' || lines++ < PS_LIBBPF_LOG_LINES))
		at--;
	ps_buf_add(log, said.text + at, said.len - at);
}

/* --- open and load ----------------------------------------------------------------------------- */

/* The two skeletons differ only in the names of their types. */
#define PS_VARIANT(name) \
	static void destroy_##name(void *skel) \
	{ \
		name##__destroy(skel); \
	} \
	static int open_##name(struct ps_object *o) \
	{ \
		struct name *skel = name##__open(); \
\
		if (!skel) \
			return -errno; \
		o->skel = skel; \
		o->destroy = destroy_##name; \
		o->obj = skel->obj; \
		o->constants = (struct ps_const *)&skel->rodata->ps_const; \
		return 0; \
	}
PS_VARIANT(packetscope)
PS_VARIANT(packetscope_trace)
#undef PS_VARIANT

int ps_object_open(bool trace, struct ps_object **ret_obj, struct ps_error *err)
{
	_cleanup_(ps_object_free) struct ps_object *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return -ENOMEM;
	said.len = 0;
	(void)libbpf_set_print(listen);
	r = trace ? open_packetscope_trace(o) : open_packetscope(o);
	if (r < 0)
		return ps_error_set(
			err, r, 500, "bad_object", "", "Cannot open the built-in BPF object: %s.", strerror(-r));
	*ret_obj = PS_TAKE(o);
	return 0;
}

bool ps_object_has_frags(void)
{
	static const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = BPF_F_XDP_HAS_FRAGS);
	_cleanup_close_ int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "ps_probe", "GPL", pass, PS_ARRAY_SIZE(pass), &opts);

	return fd >= 0;
}

static int load(struct ps_object *obj, struct ps_error *err)
{
	struct bpf_program *xdp = bpf_object__find_program_by_name(obj->obj, PS_XDP_PROGRAM);
	int r;

	if (!xdp || !bpf_object__find_program_by_name(obj->obj, PS_TC_PROGRAM))
		return ps_error_set(err, -EINVAL, 500, "bad_object", "", "The BPF object lacks a program.");
	obj->constants->xdp_frags = ps_object_has_frags();
	r = bpf_program__set_flags(xdp, obj->constants->xdp_frags ? BPF_F_XDP_HAS_FRAGS : 0);
	if (r == 0)
		r = bpf_object__load(obj->obj);
	if (r == -EPERM)
		return ps_error_set(err, r, 500, "no_load", "",
			"The kernel does not let this process load BPF programs (%s): run it as root, or with CAP_BPF, "
			"CAP_NET_ADMIN and CAP_PERFMON.",
			strerror(-r));
	if (r < 0)
		return ps_error_set(err, r, 500, "no_load", "",
			"The kernel does not take the BPF program (%s): it must be Linux %d.%d or newer, and the "
			"process needs "
			"CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; 'packetscope doctor' says more.",
			strerror(-r), PS_KERNEL_MAJOR, PS_KERNEL_MINOR);
	return 0;
}

int ps_object_load(struct ps_object *obj, const struct ps_pins *pins, uint32_t max_connections,
	struct ps_maps **ret_maps, struct ps_buf *log, struct ps_error *err)
{
	_cleanup_(ps_maps_free) struct ps_maps *maps = NULL;
	const struct ps_meta *meta;
	int r = ps_maps_prepare(pins, obj->obj, max_connections, &maps, err);

	if (r == 0) {
		meta = ps_maps_meta(maps);
		obj->constants->seed = meta->seed;
		obj->constants->id_base = meta->id_base;
		obj->constants->buckets = meta->buckets;
		obj->constants->replay = !pins;
		obj->constants->weak_order = PS_WEAK_ORDER;
		r = load(obj, err);
	}
	if (r == 0)
		r = ps_maps_commit(maps, err);
	if (r < 0) {
		tell(log);
		return r;
	}
	*ret_maps = PS_TAKE(maps);
	return 0;
}

void ps_object_free(struct ps_object **obj)
{
	if (!*obj)
		return;
	if ((*obj)->skel)
		(*obj)->destroy((*obj)->skel);
	ps_freep(obj);
}

static int program(const struct ps_object *obj, const char *name)
{
	const struct bpf_program *p = bpf_object__find_program_by_name(obj->obj, name);

	return p ? fcntl(bpf_program__fd(p), F_DUPFD_CLOEXEC, 3) : -1;
}

int ps_object_xdp(const struct ps_object *obj)
{
	return program(obj, PS_XDP_PROGRAM);
}

int ps_object_tc(const struct ps_object *obj)
{
	return program(obj, PS_TC_PROGRAM);
}
