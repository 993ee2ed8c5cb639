/*
 * packetscope-replay: a capture through the whole pipeline.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/verb.h"
#include "common/base/cleanup.h"
#include "replay/filters.h"
#include "replay/report.h"

static int help(void)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;

	ps_options_help(ps_replay_options, &text);
	(void)printf("packetscope-replay FILE: a capture (pcap, pcapng) through the pipeline\n\n%s",
		ps_buf_str(&text) ?: "");
	return PS_EXIT_OK;
}

static int load_rules(const struct ps_replay_settings *s, struct ps_pipeline *pipeline, struct ps_rules *ret_rules,
	struct ps_error *err)
{
	size_t enabled = 0;
	int r;

	if (!*s->filters)
		return 0;
	r = ps_filters_load(s->filters, ret_rules, err);
	if (r == 0)
		r = ps_pipeline_rules(pipeline, ret_rules->rule, ret_rules->n, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ret_rules->n; i++)
		enabled += ret_rules->rule[i].enabled;
	if (ret_rules->n && !enabled)
		ps_log(PS_LOG_WARN, "no rule is enabled, so none will match", "rules=%zu", ret_rules->n);
	return 0;
}

static int show(const struct ps_replay_settings *s, const struct ps_replay_report *report, struct ps_error *err)
{
	int r = s->json ? ps_replay_json(report, stdout) : ps_replay_tables(report, ps_cli_colour(), stdout);

	if (r == -EIO)
		return ps_error_set(
			err, r, 500, "no_output", "", "cannot write to standard output: %s", strerror(errno));
	return r;
}

static int replay(const struct ps_replay_settings *s, struct ps_buf *log, struct ps_error *err)
{
	_cleanup_(ps_capture_free) struct ps_capture *capture = NULL;
	_cleanup_(ps_pipeline_free) struct ps_pipeline *pipeline = NULL;
	_cleanup_(ps_rules_clear) struct ps_rules rules = {0};
	struct ps_progress progress;
	struct ps_replay_counts counts = {0};
	struct ps_replay_report report = {.counts = &counts, .limit = s->limit};
	int r;

	r = ps_capture_open(s->file, &capture, err);
	if (r == 0)
		r = ps_pipeline_new((uint32_t)s->max_connections, &s->timeouts, &s->detect, &pipeline, log, err);
	if (r == 0)
		r = load_rules(s, pipeline, &rules, err);
	if (r < 0)
		return r;
	progress = ps_progress_begin();
	r = ps_replay_run(capture, pipeline, &s->local, &progress, &counts, err);
	ps_progress_end(&progress);
	if (r < 0)
		return r;
	report.capture = capture;
	report.pipeline = pipeline;
	report.rules = rules.rule;
	report.n_rules = rules.n;
	if (!counts.complete)
		ps_log(PS_LOG_WARN, "the capture was not read to its end; what came before counts",
			"packets=%llu reason=\"%s\"", (unsigned long long)counts.packets, err->message);
	ps_replay_warn(&report);
	return show(s, &report, err);
}

int main(int argc, char **argv)
{
	_cleanup_(ps_buf_free) struct ps_buf log = PS_BUF_INIT;
	struct ps_replay_settings settings;
	struct ps_error err = {0};
	int r;

	ps_log_setup("replay", PS_LOG_WARN);
	r = ps_replay_settings_read(argc, argv, &settings, &err);
	if (r == -ECANCELED)
		return help();
	if (r < 0) {
		ps_log_failure("bad option", r, &err);
		return PS_EXIT_USAGE;
	}
	ps_log_setup("replay", settings.level);
	if (settings.version)
		return printf("packetscope-replay %s\n", PS_VERSION) < 0 ? PS_EXIT_FAILED : PS_EXIT_OK;
	r = replay(&settings, &log, &err);
	if (r == 0)
		return PS_EXIT_OK;
	if (log.len)
		(void)fputs(ps_buf_str(&log) ?: "", stderr);
	ps_log_failure("cannot replay", r, &err);
	return err.status == 400 ? PS_EXIT_USAGE : PS_EXIT_FAILED;
}
