// SPDX-License-Identifier: MIT
// The parts of the page that know neither browser nor gateway: what is typed into the filter box, server-sent events, rules and codes in words.

import assert from "node:assert/strict";
import { test } from "node:test";
import { EventParser } from "../../web/src/event_parser.js";
import * as f from "../../web/src/format.js";
import { effect, settable, summary } from "../../web/src/rule.js";
import { parse } from "../../web/src/views/query.js";
import { dropWords, explainHistory, icmpName } from "../../web/src/words.js";

test("words of the filter box become parameters", () => {
	assert.deepEqual(parse(""), {});
	assert.deepEqual(parse("10.0.0.5 :443 tcp established"), { ip: "10.0.0.5", port: "443", proto: "tcp", state: "established" });
	assert.deepEqual(parse("fd00:203::2"), { ip: "fd00:203::2" });
	assert.deepEqual(parse("UDP :53"), { proto: "udp", port: "53" });
	assert.deepEqual(parse(":70000"), { q: ":70000" }, "no port");
	assert.deepEqual(parse("10.0.0.256"), { q: "10.0.0.256" }, "no address");
	assert.deepEqual(parse("10.0.0."), { q: "10.0.0." }, "part of one");
	assert.deepEqual(parse("dead"), { q: "dead" }, "hexadecimal, but no address");
	assert.deepEqual(parse("10.0.0.1 10.0.0.2 -> x"), { ip: "10.0.0.1", q: "10.0.0.2 -> x" });
});

function events(...chunks) {
	const met = [];
	const parser = new EventParser((event) => met.push(event));
	chunks.forEach((chunk) => parser.feed(chunk));
	return met;
}

test("events, however the network cuts them", () => {
	const text = ": hello\nretry: 2000\n\nid: a-1\nevent: stats\ndata: {\"n\":1}\n\nid: a-2\ndata: x\ndata: y\n\n";
	const expected = [{ id: "a-1", event: "stats", data: "{\"n\":1}" }, { id: "a-2", event: "message", data: "x\ny" }];
	assert.deepEqual(events(text), expected);
	assert.deepEqual(events(...text), expected, "byte by byte");
	assert.deepEqual(events(text.replaceAll("\n", "\r\n")), expected);
	for (let cut = 1; cut < text.length; cut++)
		assert.deepEqual(events(text.replaceAll("\n", "\r\n").slice(0, cut), text.replaceAll("\n", "\r\n").slice(cut)), expected);
	assert.deepEqual(events("data: not finished\n"), []);
	assert.deepEqual(events("event: empty\n\ndata:no space\n\n"), [{ id: undefined, event: "message", data: "no space" }]);
});

test("rules in a line", () => {
	assert.equal(summary({ rule_type: "tcp", protocol: "tcp", src_ip: "10.0.0.0/8", src_port: 0, dst_ip: "any", dst_port: "8000-8100" }), "tcp from 10.0.0.0/8 to any:8000-8100");
	assert.equal(summary({ rule_type: "icmp", protocol: "icmp", icmp_type: 3, icmp_code: 255, inner_protocol: "udp", inner_dst_port: 53 }), "icmp type 3 quoting udp to any:53");
	assert.equal(summary({ rule_type: "tcp", tcp_flags: 2, tcp_flags_mask: 18, dst_ip: "2001:db8::1", dst_port: 22 }), "tcp to [2001:db8::1]:22 flags SYN of SYN ACK");
	assert.equal(summary({}), "anything");
	assert.equal(effect({ action: "drop", rate_limit: 100 }), "drop above 100/s");
	assert.deepEqual(settable({ id: 3, dst_port: 22, packets: 7, impact: {}, confirm_by: null }), { id: 3, dst_port: 22 });
});

test("codes in words", () => {
	assert.equal(icmpName({ src_ip: "10.0.0.1", icmp_type: 3, icmp_code: 3 }), "Destination unreachable: port");
	assert.equal(icmpName({ src_ip: "fd00::1", icmp_type: 1, icmp_code: 4 }), "Destination unreachable: port");
	assert.equal(icmpName({ src_ip: "10.0.0.1", icmp_type: 77, icmp_code: 0 }), "Type 77");
	assert.deepEqual(explainHistory("Sh^").map(({ letter, who }) => [letter, who]), [["S", "originator"], ["h", "responder"], ["^", ""]]);
	assert.deepEqual(explainHistory(null), []);
});

test("drops, and what would be one", () => {
	const drop = { mode: "enforce", rule_id: 3, proto: "tcp", src_ip: "10.0.0.1", src_port: 1234, dst_ip: "2001:db8::1", dst_port: 22, bytes: 60 };
	assert.deepEqual(dropWords(drop), { text: "dropped by rule 3: tcp 10.0.0.1:1234 → [2001:db8::1]:22, 60\u2009B", label: "drop", kind: "drop" });
	assert.deepEqual(dropWords({ ...drop, mode: "shadow", proto: "icmp", dst_ip: "10.0.0.2" }),
		{ text: "would be dropped by rule 3: icmp 10.0.0.1 → 10.0.0.2, 60\u2009B", label: "would drop", kind: "shadow" });
});

test("figures", () => {
	assert.equal(f.bytes(0), "0\u2009B");
	assert.equal(f.bytes(999), "999\u2009B");
	assert.equal(f.bytes(1500), "1.50\u2009kB");
	assert.equal(f.short(1234567), "1.23M");
	assert.equal(f.span(59.94), "59.9\u2009s");
	assert.equal(f.span(3723), "1h\u200902m");
	assert.equal(f.micros(0), "–");
	assert.equal(f.host("fd00::1", 80), "[fd00::1]:80");
	assert.equal(f.plural(1, "row"), "1 row");
});
