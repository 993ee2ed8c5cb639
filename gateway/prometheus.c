#include "gateway/prometheus.h"

#include <string.h>

#include "common/base/cleanup.h"
#include "common/codec/json.h"

#define PS_STAT(name, help) {#name "_total", PS_METRIC_COUNTER, "stats.counters." #name, "", help},
#define PS_METRIC(name, type, path, label, help) {name, PS_METRIC_##type, path, label, help},

const struct ps_metric ps_metrics[] = {
#include "bpf/stats.def"
#include "gateway/metric.def"
};
const size_t ps_n_metrics = PS_ARRAY_SIZE(ps_metrics);
#undef PS_STAT

struct writer {
	struct ps_buf *out;
	const struct ps_metric *metric;
	bool begun; /* HELP and TYPE are there */
};

static void write_escaped(struct ps_buf *out, const char *text)
{
	for (const char *p = text; *p; p++) {
		if (*p == '\\' || *p == '"')
			ps_buf_addc(out, '\\');
		if (*p == '\n')
			ps_buf_adds(out, "\\n");
		else
			ps_buf_addc(out, *p);
	}
}

static bool is_number(const struct ps_value *v)
{
	switch (ps_value_kind(v)) {
	case PS_VALUE_BOOL:
	case PS_VALUE_INT:
	case PS_VALUE_UINT:
	case PS_VALUE_REAL:
		return true;
	default:
		return false;
	}
}

static void sample(struct writer *w, const struct ps_value *v, const char *label)
{
	const struct ps_metric *m = w->metric;

	if (!is_number(v))
		return;
	if (!w->begun) {
		ps_buf_addf(w->out, "# HELP packetscope_%s ", m->name);
		for (const char *p = m->help; *p; p++)
			ps_buf_addc(w->out, *p == '\n' ? ' ' : *p);
		ps_buf_addf(w->out, "\n# TYPE packetscope_%s %s\n", m->name,
			m->type == PS_METRIC_COUNTER ? "counter" : "gauge");
		w->begun = true;
	}
	ps_buf_addf(w->out, "packetscope_%s", m->name);
	if (label) {
		ps_buf_addf(w->out, "{%s=\"", m->label);
		write_escaped(w->out, label);
		ps_buf_adds(w->out, "\"}");
	}
	ps_buf_addc(w->out, ' ');
	if (ps_value_kind(v) == PS_VALUE_BOOL)
		ps_buf_adds(w->out, ps_value_as_bool(v, false) ? "1" : "0");
	else
		ps_json_write(w->out, v);
	ps_buf_addc(w->out, '\n');
}

static void walk(struct writer *w, const struct ps_value *at, const char *path, const char *label);

static void walk_children(struct writer *w, const struct ps_value *at, const char *path)
{
	char number[24];

	for (size_t i = 0; i < ps_value_count(at); i++) {
		const struct ps_value *child = ps_value_at(at, i);
		const char *name = ps_value_key_at(at, i);

		if (!name)
			name = ps_value_get_string(child, "name", NULL);
		if (!name) {
			(void)snprintf(number, sizeof(number), "%zu", i);
			name = number;
		}
		walk(w, child, path, name);
	}
}

/* `path` is what is left of it: "a.*.b". */
static void walk(struct writer *w, const struct ps_value *at, const char *path, const char *label)
{
	size_t len = strcspn(path, ".");
	const char *rest = path + len + (path[len] == '.');
	char key[64];

	if (!len) {
		sample(w, at, label);
		return;
	}
	if (len == 1 && *path == '*') {
		walk_children(w, at, rest);
		return;
	}
	if (ps_value_kind(at) != PS_VALUE_MAP || len >= sizeof(key))
		return;
	memcpy(key, path, len);
	key[len] = '\0';
	walk(w, ps_value_get(at, key), rest, label);
}

/* Events have metrics by type (ledger); the kernel's counters of them would say the same again. */
static bool told_by_ledger(const struct ps_metric *m)
{
	static const char made[] = "stats.counters.ev_", lost[] = "stats.counters.lost_";

	return !strncmp(m->path, made, sizeof(made) - 1) || !strncmp(m->path, lost, sizeof(lost) - 1);
}

void ps_prometheus_write(struct ps_buf *out, const struct ps_value *tree)
{
	for (size_t i = 0; i < ps_n_metrics; i++) {
		struct writer w = {.out = out, .metric = &ps_metrics[i]};

		if (!told_by_ledger(&ps_metrics[i]))
			walk(&w, tree, ps_metrics[i].path, NULL);
	}
}
