#include "cli/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "common/base/cleanup.h"

/* ECMA-48, and xterm's second screen. */
#define ALTERNATE_ON "\x1b[?1049h\x1b[?25l"
#define ALTERNATE_OFF "\x1b[?25h\x1b[?1049l"
#define HOME "\x1b[H"
#define CLEAR_LINE "\x1b[K"
#define CLEAR_BELOW "\x1b[J"

struct ps_screen {
	struct termios before;
	sigset_t signals_before;
	int signals; /* SIGINT, SIGTERM, SIGHUP, SIGWINCH */
};

int ps_screen_new(struct ps_screen **ret_screen)
{
	_cleanup_free_ struct ps_screen *s = calloc(1, sizeof(*s));
	struct termios raw;
	sigset_t wanted;

	if (!s)
		return -ENOMEM;
	if (!isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &s->before) < 0)
		return -ENOTTY;
	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGINT);
	(void)sigaddset(&wanted, SIGTERM);
	(void)sigaddset(&wanted, SIGHUP);
	(void)sigaddset(&wanted, SIGWINCH);
	if (sigprocmask(SIG_BLOCK, &wanted, &s->signals_before) < 0)
		return -errno;
	s->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals < 0) {
		int r = -errno;

		(void)sigprocmask(SIG_SETMASK, &s->signals_before, NULL);
		return r;
	}
	raw = s->before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	(void)fputs(ALTERNATE_ON, stdout);
	(void)fflush(stdout);
	*ret_screen = PS_TAKE(s);
	return 0;
}

void ps_screen_free(struct ps_screen **screen)
{
	struct ps_screen *s = *screen;

	if (!s)
		return;
	(void)fputs(ALTERNATE_OFF, stdout);
	(void)fflush(stdout);
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &s->before);
	ps_closep(&s->signals);
	(void)sigprocmask(SIG_SETMASK, &s->signals_before, NULL);
	ps_freep(screen);
}

void ps_screen_size(const struct ps_screen *screen, unsigned *ret_lines, unsigned *ret_columns)
{
	struct winsize size = {0};

	(void)screen;
	(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	*ret_lines = size.ws_row ? size.ws_row : 24;
	*ret_columns = size.ws_col ? size.ws_col : 80;
}

void ps_screen_compose(const char *text, unsigned lines, struct ps_buf *out)
{
	ps_buf_adds(out, HOME);
	for (unsigned i = 0; i < lines && *text; i++) {
		size_t n = strcspn(text, "\n");

		ps_buf_add(out, text, n);
		ps_buf_adds(out, i + 1 < lines ? CLEAR_LINE "\n" : CLEAR_LINE);
		text += n + (text[n] == '\n');
	}
	ps_buf_adds(out, CLEAR_BELOW);
}

void ps_screen_draw(const struct ps_screen *screen, struct ps_buf *text)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	unsigned lines, columns;

	ps_screen_size(screen, &lines, &columns);
	ps_screen_compose(ps_buf_str(text) ?: "", lines, &out);
	if (out.error == 0) {
		(void)fwrite(out.data, 1, out.len, stdout);
		(void)fflush(stdout);
	}
}

int ps_screen_key(const struct ps_screen *screen, uint64_t ns)
{
	struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = screen->signals, .events = POLLIN}};
	struct signalfd_siginfo info;
	unsigned char key;
	ssize_t n;

	if (poll(fds, PS_ARRAY_SIZE(fds), (int)PS_MIN(ns / 1000000, (uint64_t)86400000)) <= 0)
		return 0;
	if (read(screen->signals, &info, sizeof(info)) == sizeof(info))
		return info.ssi_signo == SIGWINCH ? 0 : -1;
	if (!fds[0].revents)
		return 0;
	n = read(STDIN_FILENO, &key, 1);
	return n == 1 ? key : n == 0 && !(fds[0].revents & POLLHUP) ? 0 : -1;
}
