/*
 * For the tests of the detectors: hosts that talk, as the records that the collector and the aggregator would make of
 * it, on a clock of the test's own. Include after cmocka.h.
 */
#ifndef PS_DETECT_RIG_H
#define PS_DETECT_RIG_H

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "bpf/abi.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/detect/detect.h"

#define RIG_START (1700000000ull * PS_NSEC)
#define RIG_TOLD 64
#define RIG_KEYS 2048

struct rig {
	struct ps_detect_config config;
	struct ps_detect *detect;
	uint64_t now;
	uint64_t id;
	struct ps_finding told[RIG_TOLD]; /* what the callback was given */
	size_t n_told;
	struct ps_icmp icmp[RIG_KEYS]; /* the kernel's counters */
	size_t n_icmp;
};

static inline void rig_hear(void *arg, const struct ps_finding *f)
{
	struct rig *rig = arg;

	assert_true(rig->n_told < RIG_TOLD);
	rig->told[rig->n_told++] = *f;
}

/* With the thresholds in rig->config. */
static inline void rig_begin(struct rig *rig)
{
	assert_int_equal(ps_detect_new(&rig->config, rig_hear, rig, &rig->detect), 0);
	rig->now = RIG_START;
	rig->n_told = rig->n_icmp = 0;
	rig->id = 0;
}

static inline int rig_setup(void **state)
{
	static struct rig rig;

	ps_detect_config_defaults(&rig.config);
	rig_begin(&rig);
	*state = &rig;
	return 0;
}

static inline int rig_teardown(void **state)
{
	struct rig *rig = *state;

	ps_detect_free(&rig->detect);
	return 0;
}

#define rig_test(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

static inline struct ps_addr rig_addr(const char *text)
{
	struct ps_addr a = {0};

	assert_int_equal(ps_addr_parse(text, strlen(text), &a), 0);
	return a;
}

/* Time passes, second by second. */
static inline void rig_wait(struct rig *rig, double seconds)
{
	uint64_t until = rig->now + (uint64_t)(seconds * (double)PS_NSEC);

	while (rig->now + PS_NSEC <= until) {
		rig->now += PS_NSEC;
		ps_detect_tick(rig->detect, rig->now);
	}
	rig->now = until;
}

/* --- connections ----------------------------------------------------------------------------------- */

static inline struct ps_conn rig_conn(
	struct rig *rig, uint8_t proto, const char *src, uint16_t sport, const char *dst, uint16_t dport)
{
	struct ps_conn c = {.id = ++rig->id,
		.proto = proto,
		.src_ip = rig_addr(src),
		.src_port = sport,
		.dst_ip = rig_addr(dst),
		.dst_port = dport,
		.view = PS_VIEW_BOTH,
		.first_seen = rig->now,
		.last_seen = rig->now,
		.rule_id = -1};

	if (proto == IPPROTO_TCP) {
		c.state = PS_TCP_SYN_SENT;
		c.orig_tcp_flags = 2;
		strcpy(c.history, "S");
	} else {
		c.state = PS_STATE_UNREPLIED;
		strcpy(c.history, "D");
	}
	c.orig_packets = 1;
	c.orig_bytes = 60;
	return c;
}

static inline void rig_new_conn(struct rig *rig, const struct ps_conn *c)
{
	ps_detect_conn(rig->detect, PS_DETECT_NEW, c, rig->now);
}

static inline void rig_update(struct rig *rig, struct ps_conn *c)
{
	c->last_seen = rig->now;
	c->duration = c->last_seen - c->first_seen;
	ps_detect_conn(rig->detect, PS_DETECT_UPDATE, c, rig->now);
}

/* A SYN, and nothing comes back. */
static inline struct ps_conn rig_syn(struct rig *rig, const char *src, const char *dst, uint16_t dport)
{
	struct ps_conn c = rig_conn(rig, IPPROTO_TCP, src, (uint16_t)(30000 + rig->id % 30000), dst, dport);

	rig_new_conn(rig, &c);
	return c;
}

static inline void rig_refuse(struct rig *rig, struct ps_conn *c)
{
	strcpy(c->history, "Sr");
	c->state = PS_TCP_CLOSE;
	c->resp_packets = 1;
	c->resp_bytes = 40;
	rig_update(rig, c);
}

static inline void rig_answer(struct rig *rig, struct ps_conn *c)
{
	strcpy(c->history, "ShA");
	c->state = PS_TCP_ESTABLISHED;
	c->orig_packets = 2;
	c->resp_packets = 1;
	c->orig_bytes = 112;
	c->resp_bytes = 60;
	rig_update(rig, c);
}

static inline void rig_talk(struct rig *rig, struct ps_conn *c, uint64_t orig_bytes, uint64_t resp_bytes)
{
	strcpy(c->history, "ShADd");
	c->orig_packets += 1 + orig_bytes / 1000;
	c->resp_packets += 1 + resp_bytes / 1000;
	c->orig_bytes += orig_bytes;
	c->resp_bytes += resp_bytes;
	rig_update(rig, c);
}

static inline void rig_close(struct rig *rig, struct ps_conn *c)
{
	strcpy(c->history, "ShADdFf");
	c->state = PS_TCP_TIME_WAIT;
	rig_update(rig, c);
}

/* A whole TCP connection that takes `seconds`. */
static inline void rig_session(struct rig *rig, const char *src, const char *dst, uint16_t dport, double seconds,
	uint64_t orig_bytes, uint64_t resp_bytes)
{
	struct ps_conn c = rig_syn(rig, src, dst, dport);

	rig_answer(rig, &c);
	rig_talk(rig, &c, orig_bytes, resp_bytes);
	rig_wait(rig, seconds);
	rig_close(rig, &c);
}

/* One UDP packet and, if resp_bytes is not 0, what comes back. */
static inline struct ps_conn rig_udp(struct rig *rig, const char *src, uint16_t sport, const char *dst, uint16_t dport,
	uint64_t orig_bytes, uint64_t resp_bytes)
{
	struct ps_conn c = rig_conn(rig, IPPROTO_UDP, src, sport, dst, dport);

	c.orig_bytes = orig_bytes;
	rig_new_conn(rig, &c);
	if (resp_bytes) {
		c.resp_packets = 1 + resp_bytes / 1500;
		c.resp_bytes = resp_bytes;
		c.state = PS_STATE_REPLIED;
		strcpy(c.history, "Dd");
		rig_update(rig, &c);
	}
	return c;
}

/* --- ICMP ------------------------------------------------------------------------------------------ */

/* One message; its record, as the kernel would report it. */
static inline void rig_icmp(struct rig *rig, const char *src, const char *dst, uint8_t type, uint64_t bytes)
{
	struct ps_addr s = rig_addr(src), d = rig_addr(dst);
	struct ps_icmp *i = rig->icmp;

	while (i < rig->icmp + rig->n_icmp &&
		(i->icmp_type != type || !ps_addr_equal(&i->src_ip, &s) || !ps_addr_equal(&i->dst_ip, &d)))
		i++;
	if (i == rig->icmp + rig->n_icmp) {
		assert_true(rig->n_icmp < RIG_KEYS);
		*i = (struct ps_icmp){.src_ip = s, .dst_ip = d, .icmp_type = type, .first_seen = rig->now};
		rig->n_icmp++;
	}
	i->packets++;
	i->bytes += bytes;
	i->last_seen = rig->now;
	ps_detect_icmp(rig->detect, i, rig->now);
}

static inline void rig_ping(struct rig *rig, const char *src, const char *dst, bool answered, uint64_t bytes)
{
	bool six = strchr(src, ':') != NULL;

	rig_icmp(rig, src, dst, six ? 128 : 8, bytes);
	if (answered)
		rig_icmp(rig, dst, src, six ? 129 : 0, bytes);
}

/* --- what came of it ------------------------------------------------------------------------------- */

static inline void rig_expect_none(struct rig *rig)
{
	rig_wait(rig, 10);
	if (ps_detect_count(rig->detect))
		fail_msg("%s", ps_detect_finding(rig->detect, 0)->title);
}

/* The only finding there is, of this kind and source ("" = many). */
static inline const struct ps_finding *rig_expect_one(struct rig *rig, enum ps_finding_kind kind, const char *source)
{
	const struct ps_finding *f;
	char text[PS_ADDR_TEXT];

	rig_wait(rig, 10);
	for (size_t i = 1; i < ps_detect_count(rig->detect); i++)
		print_message("%s\n", ps_detect_finding(rig->detect, i)->title);
	assert_int_equal(ps_detect_count(rig->detect), 1);
	f = ps_detect_finding(rig->detect, 0);
	assert_string_equal(ps_finding_kind_name(f->kind), ps_finding_kind_name(kind));
	assert_string_equal(ps_addr_format(&f->source, text), source);
	return f;
}

static inline void rig_expect_target(const struct ps_finding *f, const char *target)
{
	char text[PS_FINDING_TARGET_TEXT];

	assert_string_equal(ps_finding_target(&f->target, text), target);
}

static inline uint64_t rig_number(const struct ps_finding *f, const char *name)
{
	for (size_t i = 0; i < f->n_numbers; i++) {
		if (strcmp(f->numbers[i].name, name) == 0)
			return f->numbers[i].value;
	}
	fail_msg("no number %s in \"%s\"", name, f->title);
	return 0;
}

/* "10.0.0.N" and the like */
static inline const char *rig_host(char buf[static PS_ADDR_TEXT], const char *prefix, unsigned n)
{
	(void)snprintf(buf, PS_ADDR_TEXT, strchr(prefix, ':') ? "%s%x" : "%s%u", prefix, n);
	return buf;
}

#endif
