#include "collector/runtime.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"

struct ps_runtime_link {
	struct ps_runtime *shared;
	int timer;
};

/* The timer's hour never comes; what comes is ECANCELED when the clock is set, as it is after a suspend. */
static int arm(int fd)
{
	struct itimerspec never = {.it_value = {.tv_sec = (time_t)1 << 40}};

	return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) < 0 ? -errno : 0;
}

int ps_runtime_open(
	const struct ps_maps *maps, uint64_t report_interval, struct ps_runtime_link **ret_link, struct ps_error *err)
{
	_cleanup_(ps_runtime_close) struct ps_runtime_link *l = calloc(1, sizeof(*l));
	void *shared;
	int r;

	if (!l)
		return -ENOMEM;
	l->timer = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (l->timer < 0)
		return -errno;
	r = arm(l->timer);
	if (r < 0)
		return ps_error_set(err, r, 500, "no_timer", "", "Cannot watch the clock: %s.", strerror(-r));
	r = ps_maps_mmap(maps, "ps_runtime", sizeof(struct ps_runtime), &shared, err);
	if (r < 0)
		return r;
	l->shared = shared;
	__atomic_store_n(&l->shared->report_interval, report_interval, __ATOMIC_RELAXED);
	ps_runtime_refresh(l);
	*ret_link = PS_TAKE(l);
	return 0;
}

void ps_runtime_close(struct ps_runtime_link **link)
{
	if (!*link)
		return;
	ps_maps_unmap((void **)&(*link)->shared, sizeof(struct ps_runtime));
	ps_closep(&(*link)->timer);
	ps_freep(link);
}

int ps_runtime_fd(const struct ps_runtime_link *link)
{
	return link->timer;
}

void ps_runtime_clock_set(struct ps_runtime_link *link)
{
	uint64_t expired;

	if (read(link->timer, &expired, sizeof(expired)) < 0 && errno == ECANCELED)
		(void)arm(link->timer);
	ps_runtime_refresh(link);
}

void ps_runtime_refresh(struct ps_runtime_link *link)
{
	uint64_t offset = ps_clock_suspended();

	/* The line is read by every packet: leave it in the CPUs' caches while nothing changes. */
	if (__atomic_load_n(&link->shared->clock_offset, __ATOMIC_RELAXED) != offset)
		__atomic_store_n(&link->shared->clock_offset, offset, __ATOMIC_RELAXED);
}

int ps_runtime_note_l3(const struct ps_maps *maps)
{
	struct ps_error err = {0};
	void *memory;
	struct ps_runtime *shared;
	int r = ps_maps_mmap(maps, "ps_runtime", sizeof(*shared), &memory, &err);

	if (r < 0)
		return r;
	shared = memory;
	__atomic_store_n(&shared->any_l3, 1, __ATOMIC_RELAXED);
	ps_maps_unmap(&memory, sizeof(*shared));
	return 0;
}

int ps_runtime_lost(const struct ps_maps *maps, uint64_t ret_lost[static PS_EV_TYPES])
{
	static const size_t where[PS_EV_TYPES] = {
		[PS_EV_CONN_NEW] = offsetof(struct ps_stats, lost_conn_new),
		[PS_EV_CONN_UPDATE] = offsetof(struct ps_stats, lost_conn_update),
		[PS_EV_CONN_END] = offsetof(struct ps_stats, lost_conn_end),
		[PS_EV_ICMP] = offsetof(struct ps_stats, lost_icmp),
		[PS_EV_DROP] = offsetof(struct ps_stats, lost_drop),
	};
	int cpus = libbpf_num_possible_cpus();
	_cleanup_free_ struct ps_stats *stats = cpus > 0 ? calloc((size_t)cpus, sizeof(*stats)) : NULL;
	uint64_t lost[PS_EV_TYPES] = {0};
	uint32_t zero = 0;

	if (!stats)
		return cpus < 0 ? cpus : -ENOMEM;
	if (bpf_map_lookup_elem(ps_maps_fd(maps, "ps_stats"), &zero, stats) < 0)
		return -errno;
	for (int cpu = 0; cpu < cpus; cpu++)
		for (int type = PS_EV_CONN_NEW; type < PS_EV_TYPES; type++)
			lost[type] += *(uint64_t *)((char *)&stats[cpu] + where[type]);
	memcpy(ret_lost, lost, sizeof(lost));
	return 0;
}
