#include "collector/rings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "common/base/cleanup.h"

/* libbpf's object, and the page where the ring keeps how far its reader has come: libbpf does not tell. */
struct ring {
	struct ring_buffer *rb;
	const unsigned long *position;
};

struct ps_rings {
	ps_rings_fn fn;
	void *arg;
	size_t left;      /* of the budget of the ring that is being read */
	size_t bytes;     /* taken from it */
	size_t size;      /* of each ring */
	unsigned current; /* ring that is being read */
	int epoll;
	size_t n;
	struct ring ring[];
};

static int take(void *arg, void *data, size_t size)
{
	struct ps_rings *r = arg;
	const struct ps_ring_place place = {
		.ring = r->current,
		.position = __atomic_load_n(r->ring[r->current].position, __ATOMIC_ACQUIRE),
	};

	r->bytes += size;
	r->fn(r->arg, &place, data, size);
	/* The event counts as read; a negative return only ends this ring's turn. */
	return --r->left == 0 ? -EAGAIN : 0;
}

/* One libbpf object a ring: libbpf always begins with its first ring, and a flood there would starve the others. */
static int add(struct ps_rings *r, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN};
	struct ring *ring = &r->ring[r->n];
	void *page;

	ring->rb = ring_buffer__new(fd, take, r, NULL);
	if (!ring->rb)
		return -errno;
	r->n++;
	page = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return -errno;
	ring->position = page;
	return epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

int ps_rings_new(const int *fds, size_t n, size_t bytes, ps_rings_fn fn, void *arg, struct ps_rings **ret_rings,
	struct ps_error *err)
{
	_cleanup_(ps_rings_free) struct ps_rings *r = calloc(1, sizeof(*r) + n * sizeof(struct ring));
	int error = 0;

	if (!r)
		return -ENOMEM;
	r->fn = fn;
	r->arg = arg;
	r->size = bytes;
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (r->epoll < 0)
		return -errno;
	for (size_t i = 0; error == 0 && i < n; i++)
		error = add(r, fds[i]);
	if (error < 0)
		return ps_error_set(
			err, error, 500, "no_rings", "", "Cannot read the kernel's rings: %s.", strerror(-error));
	*ret_rings = PS_TAKE(r);
	return 0;
}

void ps_rings_free(struct ps_rings **rings)
{
	if (!*rings)
		return;
	for (size_t i = 0; i < (*rings)->n; i++) {
		const struct ring *ring = &(*rings)->ring[i];

		ring_buffer__free(ring->rb);
		if (ring->position)
			(void)munmap((void *)ring->position, (size_t)sysconf(_SC_PAGESIZE));
	}
	ps_closep(&(*rings)->epoll);
	ps_freep(rings);
}

int ps_rings_fd(const struct ps_rings *rings)
{
	return rings->epoll;
}

size_t ps_rings_drain(struct ps_rings *rings, size_t budget, bool *ret_busy)
{
	size_t taken = 0;
	bool busy = false;

	for (size_t i = 0; i < rings->n; i++) {
		rings->left = budget;
		rings->bytes = 0;
		rings->current = (unsigned)i;
		(void)ring_buffer__consume(rings->ring[i].rb);
		taken += budget - rings->left;
		busy = busy || rings->left == 0 || rings->bytes > rings->size / 4;
	}
	*ret_busy = busy;
	return taken;
}
