/*
 * How long rules take to come into force: compiled and copied to the kernel's maps, without the file and the API before
 * them. PS_BENCH_ROUNDS: another number of rounds.
 */
#include <math.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/rules.h"
#include "common/base/cleanup.h"
#include "harness.h"

#define ROUNDS_MAX 51

static unsigned rounds = 7;

static double ms_since(uint64_t began)
{
	return (double)(ps_bench_now() - began) / 1e6;
}

struct times {
	double compile[ROUNDS_MAX], install[ROUNDS_MAX], change[ROUNDS_MAX];
};

static void die(const struct ps_error *err)
{
	(void)fprintf(stderr, "%s\n", err->message);
	exit(1);
}

/* Everything at once, then one rule more and one less. */
static void measure(struct ps_rig *rig, struct ps_rule *rules, size_t n, unsigned round, struct times *t)
{
	_cleanup_(ps_rule_set_free) struct ps_rule_set *set = NULL;
	struct ps_rule *last = &rules[n - 1];
	struct ps_error err = {0};
	uint64_t began;

	if (ps_rule_set_new(&set) < 0)
		exit(1);
	last->enabled = false;
	began = ps_bench_now();
	if (ps_rule_set_compile(set, rules, n, 0, &err) < 0)
		die(&err);
	t->compile[round] = ms_since(began);
	if (ps_rule_install_prepare(&rig->view, set, 0, &err) < 0)
		die(&err);
	began = ps_bench_now();
	(void)ps_rule_install(&rig->view, set, 0);
	t->install[round] = ms_since(began);
	for (int i = 0; i < 3; i++) {
		struct ps_rule before = *last;

		last->enabled = !last->enabled;
		began = ps_bench_now();
		if (ps_rule_set_change(set, rules, n, &before, last, 0, &err) < 0 ||
			ps_rule_install_prepare(&rig->view, set, 0, &err) < 0)
			die(&err);
		(void)ps_rule_install(&rig->view, set, 0);
		/* the first copies what the other half lacks of everything: once, after a load */
		t->change[round] = ms_since(began);
	}
}

/* nft's file with a set of n addresses. False: it can't be written. */
static bool nft_write(char *path, size_t n)
{
	int fd = mkstemp(path);
	_cleanup_fclose_ FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	if (!f)
		return false;
	(void)fputs("table ip bench { set s { type ipv4_addr; elements = {", f);
	for (size_t i = 0; i < n; i++)
		(void)fprintf(
			f, "%s%zu.%zu.%zu.%zu", i ? "," : "", 1 + i / 65536 % 200, i / 256 % 256, i % 256, 1 + i % 251);
	(void)fputs("}; }; chain c { ip saddr @s drop; }; }\n", f);
	return fflush(f) == 0;
}

/* ms of nft -f, in a network namespace of its own; HUGE_VAL = not to be had. */
static double nft_load(const char *path)
{
	uint64_t began = ps_bench_now();
	char command[128];
	double ms;

	(void)snprintf(command, sizeof(command), "exec nft -f %s >/dev/null 2>&1", path);
	if (system(command) != 0)
		return HUGE_VAL;
	ms = ms_since(began);
	return system("exec nft flush ruleset") == 0 ? ms : HUGE_VAL;
}

static void report(const char *id, const char *figure, double ours, double reference, double goal)
{
	ps_bench_result(id, figure, ours, reference, goal, "ms; compile and install, or change and install");
}

int main(void)
{
	enum {
		MIXED = 10000,
		ADDRESSES = 100000
	};
	static struct times few, all;
	_cleanup_free_ struct ps_rule *rules = calloc(MIXED + ADDRESSES, sizeof(*rules));
	struct ps_rig *rig;
	double load[ROUNDS_MAX], nft[ROUNDS_MAX];
	char path[] = "/tmp/ps-bench-nft-XXXXXX";
	bool peer;

	if (getenv("PS_BENCH_ROUNDS"))
		rounds = (unsigned)PS_MIN(strtoul(getenv("PS_BENCH_ROUNDS"), NULL, 0), ROUNDS_MAX);
	if (ps_rig_skip())
		return 77;
	if (!rules)
		return 1;
	ps_bench_mixed(rules, MIXED, 0);
	ps_bench_addresses(rules + MIXED, ADDRESSES, MIXED);
	rig = ps_rig_new(NULL);
	peer = unshare(CLONE_NEWNET) == 0 && nft_write(path, MIXED);
	for (unsigned round = 0; round < rounds; round++) {
		measure(rig, rules, MIXED, round, &few);
		measure(rig, rules, MIXED + ADDRESSES, round, &all);
		load[round] = few.compile[round] + few.install[round];
		nft[round] = peer ? nft_load(path) : HUGE_VAL;
	}
	if (peer)
		(void)unlink(path);
	report("15.10k", "load 10,000 mixed rules, over nft -f with a set of 10,000", ps_bench_min(load, rounds),
		isfinite(ps_bench_min(nft, rounds)) ? nft[0] : 0, 0.1);
	report("15.110k.compile", "compile 110,000 rules (ms, over 1 s)", ps_bench_min(all.compile, rounds), 1000, 0.1);
	report("15.110k.install", "install 110,000 rules (ms, over 1 s)", ps_bench_min(all.install, rounds), 1000, 0.1);
	report("15.change", "one rule on top of 110,000 (ms, over 20 ms)", ps_bench_median(all.change, rounds), 20, 1);
	for (size_t i = 0; i < MIXED + ADDRESSES; i++)
		ps_rule_clear(&rules[i]);
	ps_rig_free(&rig);
	return 0;
}
