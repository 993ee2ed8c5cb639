#include "replay/machine.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "aggregator/kernel_maps.h"
#include "collector/limits.h"
#include "collector/maps.h"
#include "collector/object.h"
#include "common/base/cleanup.h"
#include "replay/limits.h"

struct ps_machine {
	struct ps_object *object;
	struct ps_maps *maps;
	struct ps_kernel_maps *kernel_maps;
	struct ps_kernel kernel;
	struct ps_kernel_view view;
	struct ps_rings *rings;
	int xdp, tc;
	bool open; /* view is valid */
};

static int fd_of(void *arg, const char *name)
{
	return ps_maps_fd(arg, name);
}

static void make_room(void *arg)
{
	ps_maps_make_room(arg);
}

/* What would be a watched interface: in records its name. An MTU of 0 keeps a frame one packet, however long. */
static int name_interface(const struct ps_machine *m, struct ps_error *err)
{
	const struct ps_iface iface = {.name = PS_REPLAY_IFACE};
	uint32_t index = PS_REPLAY_IFINDEX;

	if (bpf_map_update_elem(ps_maps_fd(m->maps, "ps_ifaces"), &index, &iface, BPF_ANY) < 0)
		return ps_error_set(err, -errno, 500, "no_maps", "", "cannot write ps_ifaces: %s", strerror(errno));
	return 0;
}

/* Events of two CPUs would be in two rings, in no order. */
static int stay_on_cpu(struct ps_error *err)
{
	int cpu = sched_getcpu();
	cpu_set_t *set = cpu < 0 ? NULL : CPU_ALLOC((size_t)cpu + 1);
	size_t size = set ? CPU_ALLOC_SIZE((size_t)cpu + 1) : 0;
	int r = set ? 0 : -ENOMEM;

	if (set) {
		CPU_ZERO_S(size, set);
		CPU_SET_S((size_t)cpu, size, set);
		if (sched_setaffinity(0, size, set) < 0)
			r = -errno;
		CPU_FREE(set);
	}
	return r < 0 ? ps_error_set(err, r, 500, "no_cpu", "", "cannot stay on one CPU: %s", strerror(-r)) : 0;
}

static int load(struct ps_machine *m, uint32_t max_connections, struct ps_buf *log, struct ps_error *err)
{
	int r = ps_object_open(false, &m->object, err);

	if (r == 0)
		r = ps_object_load(m->object, NULL, max_connections, &m->maps, log, err);
	if (r < 0)
		return r;
	m->xdp = ps_object_xdp(m->object);
	m->tc = ps_object_tc(m->object);
	if (m->xdp < 0 || m->tc < 0)
		return ps_error_set(err, -EMFILE, 500, "no_programs", "", "no descriptors left for the programs");
	return name_interface(m, err);
}

static int open_view(struct ps_machine *m, struct ps_error *err)
{
	const struct ps_kernel_owner owner = {.fd = fd_of, .room = make_room, .arg = m->maps};
	int r = ps_kernel_maps_new_own(&owner, &m->kernel_maps);

	if (r < 0)
		return r;
	m->kernel = ps_kernel_maps_ops(m->kernel_maps);
	r = m->kernel.ops->open(m->kernel.impl, &m->view, err);
	m->open = r == 0;
	return r;
}

int ps_machine_new(uint32_t max_connections, ps_rings_fn fn, void *arg, struct ps_machine **ret_machine,
	struct ps_buf *log, struct ps_error *err)
{
	_cleanup_(ps_machine_free) struct ps_machine *m = calloc(1, sizeof(*m));
	const int *fds;
	size_t n;
	int r;

	if (!m)
		return -ENOMEM;
	m->xdp = m->tc = -1;
	r = stay_on_cpu(err);
	if (r == 0)
		r = load(m, max_connections, log, err);
	if (r == 0)
		r = open_view(m, err);
	if (r < 0)
		return r;
	fds = ps_maps_rings(m->maps, &n);
	r = ps_rings_new(fds, n, m->view.meta.ring_bytes, fn, arg, &m->rings, err);
	if (r < 0)
		return r;
	*ret_machine = PS_TAKE(m);
	return 0;
}

void ps_machine_free(struct ps_machine **machine)
{
	struct ps_machine *m = *machine;

	if (!m)
		return;
	ps_rings_free(&m->rings);
	if (m->open)
		m->kernel.ops->close(m->kernel.impl, &m->view);
	ps_kernel_maps_free(&m->kernel_maps);
	ps_maps_free(&m->maps);
	ps_closep(&m->xdp);
	ps_closep(&m->tc);
	ps_object_free(&m->object);
	ps_freep(machine);
}

const struct ps_kernel *ps_machine_kernel(const struct ps_machine *machine)
{
	return &machine->kernel;
}

struct ps_kernel_view *ps_machine_view(struct ps_machine *machine)
{
	return &machine->view;
}

void ps_machine_clock(struct ps_machine *machine, uint64_t now)
{
	__atomic_store_n(&machine->view.runtime->replay_now, now, __ATOMIC_RELAXED);
}

static int run(int program, const uint8_t *frame, size_t len)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = (uint32_t)len, .repeat = 1);
	int r;

	do
		r = bpf_prog_test_run_opts(program, &opts);
	while (r == -EINTR || r == -EAGAIN);
	return r;
}

/* What the kernel says of a frame that it can't make a packet of: no Ethernet header, or beyond its pages. */
static bool refused(int r)
{
	return r == -EINVAL || r == -EMSGSIZE || r == -E2BIG || r == -ENOMEM;
}

int ps_machine_run(struct ps_machine *machine, bool egress, const uint8_t *frame, size_t len, struct ps_error *err)
{
	int r;

	if (egress) {
		r = run(machine->tc, frame, len);
		if (r == 0)
			return PS_RAN;
		if (!refused(r))
			goto failed;
	}
	r = run(machine->xdp, frame, len);
	if (r == 0)
		return egress ? PS_RAN_INGRESS : PS_RAN;
	if (refused(r))
		return PS_RAN_NOT;
failed:
	return ps_error_set(err, r, 500, "no_run", "",
		"the kernel does not run the program on a frame of %zu bytes: %s; it must be Linux 5.15 or newer", len,
		strerror(-r));
}

void ps_machine_drain(struct ps_machine *machine)
{
	bool busy;

	while (ps_rings_drain(machine->rings, PS_RING_BUDGET, &busy) > 0)
		;
}
