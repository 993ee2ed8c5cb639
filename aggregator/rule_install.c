#include "aggregator/rule_install.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "aggregator/limits.h"
#include "aggregator/rule_image.h"

static uint32_t active_half(const struct ps_kernel_view *view)
{
	return __atomic_load_n(&view->runtime->active_set, __ATOMIC_ACQUIRE) & 1;
}

int ps_rule_install_prepare(struct ps_kernel_view *view, const struct ps_rule_set *rules, uint64_t now,
	struct ps_error *err)
{
	(void)view;
	(void)rules;
	(void)now;
	(void)err;
	return 0;
}

bool ps_rule_install_current(const struct ps_kernel_view *view, const struct ps_rule_set *rules, uint64_t now)
{
	const struct ps_rule_image *image = rules->image;
	uint32_t half = active_half(view);
	const struct ps_rule_set_head *set = &view->rule_sets[half];

	(void)now;
	return set->generation != 0 && set->tuples == image->set.tuples &&
	       memcmp(set->tcp_flags_hit, image->set.tcp_flags_hit, sizeof(set->tcp_flags_hit)) == 0 &&
	       memcmp(set->tuple, image->set.tuple, sizeof(set->tuple)) == 0 &&
	       memcmp(&view->rule_slots[(size_t)half * PS_RULE_SLOTS], image->slots, sizeof(image->slots)) == 0;
}

static void wait_for_readers(void)
{
	struct timespec left = {.tv_nsec = PS_RULE_GRACE_NS};

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

uint32_t ps_rule_install(struct ps_kernel_view *view, struct ps_rule_set *rules, uint64_t confirm_by)
{
	const struct ps_rule_image *image = rules->image;
	uint32_t half = !active_half(view);
	struct ps_rule_set_head *set = &view->rule_sets[half];
	uint32_t generation = view->rule_sets[!half].generation + 1;

	(void)confirm_by;
	if (ps_rule_install_current(view, rules, 0))
		return generation - 1;
	if (generation == 0)
		generation = 1;
	memcpy(&view->rule_slots[(size_t)half * PS_RULE_SLOTS], image->slots, sizeof(image->slots));
	memcpy(set, &image->set, sizeof(*set));
	set->generation = generation;
	__atomic_store_n(&view->runtime->active_set, half, __ATOMIC_RELEASE);
	wait_for_readers();
	return generation;
}

struct ps_rule_pending ps_rule_install_pending(const struct ps_kernel_view *view)
{
	(void)view;
	return (struct ps_rule_pending){0};
}

int ps_rule_install_confirm(struct ps_kernel_view *view, uint64_t now)
{
	(void)view;
	(void)now;
	return -ENOENT;
}

int ps_rule_install_revert(struct ps_kernel_view *view)
{
	(void)view;
	return -ENOENT;
}

bool ps_rule_install_settle(struct ps_kernel_view *view, uint64_t now)
{
	(void)view;
	(void)now;
	return false;
}

uint32_t ps_rule_install_generation(const struct ps_kernel_view *view, uint64_t now)
{
	(void)now;
	return view->rule_sets[active_half(view)].generation;
}

struct ps_rule_hits ps_rule_install_hits(const struct ps_kernel_view *view, uint32_t id)
{
	const struct ps_rule_hits *h = &view->rule_hits[id];

	return (struct ps_rule_hits){
		.packets = __atomic_load_n(&h->packets, __ATOMIC_RELAXED),
		.bytes = __atomic_load_n(&h->bytes, __ATOMIC_RELAXED),
		.first_hit = __atomic_load_n(&h->first_hit, __ATOMIC_RELAXED),
		.last_hit = __atomic_load_n(&h->last_hit, __ATOMIC_RELAXED),
	};
}

void ps_rule_install_clear_hits(const struct ps_kernel_view *view, uint32_t id)
{
	memset(&view->rule_hits[id], 0, sizeof(view->rule_hits[id]));
}
