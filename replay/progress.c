#include "replay/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/human.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "replay/limits.h"

#define COLUMNS_MAX 100 /* a wider bar says no more */
#define BAR_MIN 10
#define FRAME 9 /* brackets, percentage and blanks around the bar */

struct ps_progress ps_progress_begin(void)
{
	return (struct ps_progress){
		.out = isatty(STDERR_FILENO) ? stderr : NULL,
		.started = ps_clock_boot(),
	};
}

void ps_progress_line(struct ps_buf *out, unsigned columns, double done, uint64_t packets, double seconds)
{
	_cleanup_(ps_buf_free) struct ps_buf tail = PS_BUF_INIT;
	char count[PS_HUMAN_TEXT], rate[PS_HUMAN_TEXT];
	double per_second = seconds > 0 ? (double)packets / seconds : 0;
	unsigned bar;

	ps_buf_addf(
		&tail, "%s packets, %s/s", ps_human_count(packets, count), ps_human_count((uint64_t)per_second, rate));
	if (done > 0 && done < 1 && seconds > 1)
		ps_buf_addf(&tail, ", %s left", ps_human_span(seconds / done - seconds, rate));
	if (done < 0) {
		ps_buf_addf(out, "%.*s", (int)columns, ps_buf_str(&tail) ?: "");
		return;
	}
	if (tail.len + FRAME + BAR_MIN <= columns) {
		bar = columns - (unsigned)tail.len - FRAME;
		ps_buf_addc(out, '[');
		for (unsigned i = 0; i < bar; i++)
			ps_buf_addc(out, i < (unsigned)((double)bar * done) ? '#' : ' ');
		ps_buf_adds(out, "] ");
	}
	ps_buf_addf(out, "%3u %% %s", (unsigned)(done * 100), ps_buf_str(&tail) ?: "");
	if (out->len > columns)
		out->len = columns;
}

static unsigned columns_of(FILE *f)
{
	struct winsize size;

	if (ioctl(fileno(f), TIOCGWINSZ, &size) < 0 || size.ws_col < 2)
		return 79;
	return PS_MIN(size.ws_col - 1u, (unsigned)COLUMNS_MAX);
}

void ps_progress_show(struct ps_progress *p, double done, uint64_t packets)
{
	_cleanup_(ps_buf_free) struct ps_buf line = PS_BUF_INIT;
	uint64_t now;

	if (!p->out)
		return;
	now = ps_clock_boot();
	if (now - p->shown < PS_REPLAY_PROGRESS_NS)
		return;
	p->shown = now;
	p->visible = true;
	ps_progress_line(&line, columns_of(p->out), done, packets, (double)(now - p->started) / (double)PS_NSEC);
	(void)fprintf(p->out, "\r%s\033[K", ps_buf_str(&line) ?: "");
	(void)fflush(p->out);
}

void ps_progress_end(struct ps_progress *p)
{
	if (p->visible)
		(void)fputs("\r\033[K", p->out);
	p->visible = false;
}
