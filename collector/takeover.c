#include "collector/takeover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "collector/carry.h"
#include "collector/former.h"
#include "collector/maps.h"
#include "common/base/cleanup.h"

struct ps_takeover {
	const struct ps_pins *pins;
	struct ps_meta *meta;
	bool resumed;
	struct ps_former *former;
	const struct ps_maps *maps;
	struct ps_carry *carry; /* NULL when our programs were, or may have been, attached before we began */
};

int ps_takeover_find(const struct ps_pins *pins, struct ps_meta *meta, bool resumed, struct ps_takeover **ret_takeover,
	struct ps_error *err)
{
	_cleanup_(ps_takeover_free) struct ps_takeover *t = calloc(1, sizeof(*t));
	int r = t ? ps_former_find(pins, resumed ? meta : NULL, &t->former, err) : -ENOMEM;

	if (r < 0)
		return r;
	*ret_takeover = NULL;
	if (!t->former)
		return 0;
	t->pins = pins;
	t->meta = meta;
	t->resumed = resumed;
	if (!resumed) {
		/* What the connections stand in must be what they were put there with. */
		*meta = *ps_former_meta(t->former);
		meta->abi = PS_ABI_VERSION;
		meta->former = (__u16)ps_former_version(t->former);
		meta->swapped = 0;
	}
	*ret_takeover = PS_TAKE(t);
	return 0;
}

void ps_takeover_free(struct ps_takeover **takeover)
{
	if (!*takeover)
		return;
	ps_carry_free(&(*takeover)->carry);
	ps_former_free(&(*takeover)->former);
	ps_freep(takeover);
}

int ps_takeover_reuse(struct ps_takeover *takeover, struct bpf_object *obj, struct ps_error *err)
{
	struct bpf_map *map;
	int r = 0;

	if (!takeover)
		return 0;
	ps_former_decide(takeover->former, obj);
	if (takeover->resumed)
		return 0; /* they are pinned among ours */
	bpf_object__for_each_map(map, obj)
	{
		_cleanup_close_ int fd = -1;

		if (r < 0 || bpf_map__is_internal(map) || !ps_former_shares(takeover->former, bpf_map__name(map)))
			continue;
		fd = ps_former_open(takeover->former, bpf_map__name(map));
		r = fd < 0 ? -errno : bpf_map__reuse_fd(map, fd);
	}
	return r < 0 ? ps_error_set(err, r, 500, "bad_pin", "pin-root", "Cannot use the maps of version %u: %s.",
			       ps_former_version(takeover->former), strerror(-r))
		     : 0;
}

int ps_takeover_adopt(const struct ps_takeover *takeover, struct ps_error *err)
{
	static const struct {
		const char *outer, *prefix;
	} inner[] = {
		{"ps_rings", "ring-"},
		{"ps_rule_chunks", "rule-units-"},
		{"ps_rule_rows", "rule-rows-"},
	};
	int r = 0;

	if (!takeover || takeover->resumed)
		return 0;
	for (size_t i = 0; r == 0 && i < PS_ARRAY_SIZE(inner); i++)
		if (ps_former_shares(takeover->former, inner[i].outer))
			r = ps_former_adopt(takeover->former, takeover->pins, inner[i].prefix);
	return r < 0 ? ps_error_set(err, r, 500, "no_pins", "pin-root", "Cannot take over the pins of version %u: %s.",
			       ps_former_version(takeover->former), strerror(-r))
		     : 0;
}

uint32_t ps_takeover_row_chunks(const struct ps_takeover *takeover)
{
	if (!takeover || takeover->resumed || ps_former_shares(takeover->former, "ps_rule_rows"))
		return 0;
	return ps_carry_row_chunks(takeover->former);
}

int ps_takeover_begin(struct ps_takeover *takeover, const struct ps_maps *maps, struct ps_error *err)
{
	int r;

	if (!takeover)
		return 0;
	takeover->maps = maps;
	/* After a kill between the swap and its end there is nothing left to carry: ours have counted since. */
	if (takeover->meta->swapped)
		return 0;
	r = ps_carry_new(takeover->former, takeover->pins, maps, &takeover->carry);
	if (r == 0)
		r = ps_carry_begin(takeover->carry);
	return r < 0 ? ps_error_set(err, r, 500, "no_takeover", "",
			       "Cannot carry over what the maps of version %u hold: %s. Its programs go on.",
			       ps_former_version(takeover->former), strerror(-r))
		     : 0;
}

uint32_t ps_takeover_version(const struct ps_takeover *takeover)
{
	return takeover ? ps_former_version(takeover->former) : 0;
}

/* Until the first set is installed, the half in force has no generation; see carry.c. */
static bool has_rules(const struct ps_maps *maps)
{
	const size_t size = 2 * sizeof(struct ps_rule_head);
	struct ps_error err = {0};
	void *runtime = NULL, *heads = NULL;
	bool has = false;

	if (ps_maps_mmap(maps, "ps_runtime", sizeof(struct ps_runtime), &runtime, &err) == 0 &&
		ps_maps_mmap(maps, "ps_rule_heads", size, &heads, &err) == 0) {
		uint64_t half = __atomic_load_n(&((struct ps_runtime *)runtime)->rule_switch, __ATOMIC_ACQUIRE) & 1;

		has = __atomic_load_n(&((struct ps_rule_head *)heads)[half].generation, __ATOMIC_ACQUIRE) != 0;
	}
	ps_maps_unmap(&runtime, sizeof(struct ps_runtime));
	ps_maps_unmap(&heads, size);
	return has;
}

bool ps_takeover_waits(const struct ps_takeover *takeover)
{
	return takeover && ps_former_attached(takeover->former) && !takeover->meta->swapped &&
	       !has_rules(takeover->maps);
}

void ps_takeover_follow(struct ps_takeover *takeover)
{
	if (takeover && takeover->carry)
		ps_carry_follow(takeover->carry);
}

int ps_takeover_swap(struct ps_takeover *takeover)
{
	uint32_t zero = 0;

	if (!takeover || !takeover->carry)
		return 0;
	takeover->meta->swapped = 1;
	if (bpf_map_update_elem(ps_maps_fd(takeover->maps, "ps_meta"), &zero, takeover->meta, BPF_ANY) < 0)
		return -errno;
	return ps_carry_last(takeover->carry);
}

void ps_takeover_rest(struct ps_takeover *takeover)
{
	const struct timespec grace = {.tv_nsec = PS_SWAP_GRACE_NS};

	if (!takeover || !takeover->carry)
		return;
	(void)nanosleep(&grace, NULL);
	ps_carry_rest(takeover->carry);
}
