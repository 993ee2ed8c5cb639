#include "cli/confirm.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

static void say(int out, uint64_t left)
{
	char text[128];
	int n = snprintf(text, sizeof(text),
		"\rIn force for now. Enter keeps it; undone in %llu s (Ctrl-C leaves it to that). ",
		(unsigned long long)left);

	if (n > 0)
		(void)!write(out, text, (size_t)n);
}

/* One line, or the end: what is on it does not matter. */
static int read_answer(int in)
{
	char text[256];
	ssize_t n = read(in, text, sizeof(text));

	if (n < 0 && errno == EINTR)
		return -EAGAIN;
	if (n <= 0)
		return PS_CONFIRM_LEFT;
	return memchr(text, '\n', (size_t)n) ? PS_CONFIRM_KEEP : -EAGAIN;
}

static int wait_until(int in, int out, uint64_t deadline)
{
	uint64_t now;

	while ((now = ps_clock_boot()) < deadline) {
		struct pollfd p = {.fd = in, .events = POLLIN};
		uint64_t left = deadline - now;
		int r;

		if (interrupted)
			return PS_CONFIRM_LEFT;
		say(out, (left + PS_NSEC - 1) / PS_NSEC);
		/* up to where the number changes */
		r = poll(&p, 1, (int)((left - 1) % PS_NSEC / 1000000) + 1);
		if (r > 0) {
			r = read_answer(in);
			if (r != -EAGAIN)
				return r;
		}
	}
	return PS_CONFIRM_LATE;
}

int ps_confirm_wait(int in, int out, uint64_t seconds)
{
	struct sigaction mine = {.sa_handler = on_signal}, old_int, old_term;
	int r;

	interrupted = 0;
	(void)sigaction(SIGINT, &mine, &old_int);
	(void)sigaction(SIGTERM, &mine, &old_term);
	r = wait_until(in, out, ps_clock_boot() + seconds * PS_NSEC);
	(void)sigaction(SIGINT, &old_int, NULL);
	(void)sigaction(SIGTERM, &old_term, NULL);
	(void)!write(out, "\n", 1);
	return r;
}
