/* SPDX-License-Identifier: MIT */
/*
 * A tap on libpacketscope: keeps a table of the live connections in step with the aggregator's.
 *
 *	cc -O2 -Wall -Wextra -o tap tap.c $(pkg-config --cflags --libs packetscope)
 *	sudo ./tap                      a line for each change
 *	sudo ./tap --dump-after 10      the table after ten seconds, one JSON object a line
 */
#include <inttypes.h>
#include <packetscope.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void on_gap(void *arg, const struct ps_tap_gap *gap)
{
	(void)arg;
	if (gap->restarted)
		fprintf(stderr, "restarted %s\n", gap->source);
	else
		fprintf(stderr, "gap %s %s %" PRIu64 " messages %" PRIu64 " records before %" PRIu64 "\n", gap->source,
			gap->topic, gap->messages, gap->records, gap->seq);
}

static long milliseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void dump(struct ps_tap *tap)
{
	const struct ps_tap_record *r;
	size_t position = 0;

	while ((r = ps_tap_walk(tap, &position)))
		puts(ps_tap_json(tap, r, NULL));
}

int main(int argc, char **argv)
{
	struct ps_tap *tap = ps_tap_new();
	const struct ps_tap_record *r;
	struct ps_tap_counters counters;
	const char *run_dir = "/run/packetscope";
	double seconds = 0;
	long until;
	int got = 0;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--run-dir") == 0)
			run_dir = argv[i + 1];
		else if (strcmp(argv[i], "--dump-after") == 0)
			seconds = atof(argv[i + 1]);
	}
	if (!tap)
		return 1;
	ps_tap_keep_table(tap, true);
	ps_tap_on_gap(tap, on_gap, NULL);
	if (ps_tap_set_run_dir(tap, run_dir) < 0 || ps_tap_connect(tap) < 0) {
		fprintf(stderr, "%s\n", ps_tap_error(tap));
		return 1;
	}
	until = milliseconds() + (long)(seconds * 1000);
	for (;;) {
		long left = until - milliseconds();

		if (seconds > 0 && left <= 0)
			break;
		got = ps_tap_next(tap, seconds > 0 ? (int)left : -1, &r);
		if (got < 0)
			break;
		if (got > 0 && seconds == 0)
			printf("%-12s %s\n", ps_tap_topic(r), ps_tap_line(tap, r));
	}
	if (seconds > 0)
		dump(tap);
	ps_tap_counters(tap, &counters);
	fprintf(stderr, "%" PRIu64 " connections, %" PRIu64 " messages lost, %" PRIu64 " snapshots, %s\n",
		ps_tap_live(tap), counters.lost_messages, counters.resyncs,
		ps_tap_in_step(tap) ? "in step" : "not in step");
	ps_tap_free(&tap);
	return got < 0;
}
