// ICMP traffic: who sent which message to whom, and which packet it complains about.

import { $, setAttr, setText } from "./dom.js";
import { get } from "./api.js";
import * as f from "./format.js";
import { Table, setEmpty } from "./table.js";

const LIMIT = 1000;

let table, last = [];

function quoted(i) {
	if (!i.inner_protocol)
		return "–";
	const port = (ip, n) => (n ? f.host(ip, n) : ip ?? "any");
	return `${i.inner_protocol} ${port(i.inner_src_ip, i.inner_src_port)} → ${port(i.inner_dst_ip, i.inner_dst_port)}${i.unmatched ? " (no such connection)" : ""}`;
}

const VALUES = {
	message: f.icmpName, src: (i) => i.src_ip, dst: (i) => i.dst_ip, packets: (i) => i.packets, bytes: (i) => i.bytes,
	dropped: (i) => i.dropped_packets, rtt: (i) => i.rtt_us, unanswered: (i) => i.unanswered, last_seen: (i) => i.last_seen, quoted,
};

const COLUMNS = [
	{ id: "message", label: "Message", sort: "message", paint: (td, i) => {
		setText(td, f.icmpName(i));
		setAttr(td, "title", `type ${i.icmp_type}, code ${i.icmp_code}`);
	} },
	{ id: "typecode", label: "Type/code", short: "", number: true, hide: "narrow", text: (i) => `${i.icmp_type}/${i.icmp_code}` },
	{ id: "src", label: "From", sort: "src", text: (i) => i.src_ip ?? "–" },
	{ id: "dst", label: "To", sort: "dst", text: (i) => i.dst_ip ?? "–" },
	{ id: "packets", label: "Packets", sort: "packets", number: true, text: (i) => f.count(i.packets) },
	{ id: "bytes", label: "Bytes", sort: "bytes", number: true, hide: "narrow", text: (i) => f.bytes(i.bytes) },
	{ id: "dropped", label: "Dropped", sort: "dropped", number: true, hide: "narrow", paint: (td, i) => {
		setText(td, f.count(i.dropped_packets));
		setAttr(td, "data-some", i.dropped_packets > 0 || null);
	} },
	{ id: "rtt", label: "RTT", sort: "rtt", number: true, hide: "narrow", text: (i) => f.micros(i.rtt_us) },
	{ id: "unanswered", label: "Unanswered", sort: "unanswered", number: true, hide: "medium", text: (i) => (f.isEchoRequest(i) ? f.count(i.unanswered) : "–") },
	{ id: "quoted", label: "Quoted packet", sort: "quoted", hide: "medium", text: quoted },
	{ id: "age", label: "Last seen", short: "", sort: "last_seen", number: true, paint: (td, i) => {
		setText(td, f.age(i.last_seen));
		setAttr(td, "title", f.clock(i.last_seen));
	} },
];

const key = (i) => [i.src_ip, i.dst_ip, i.icmp_type, i.icmp_code, i.vlan, i.inner_vlan].join("|");

function show() {
	const words = $("icmp-q").value.trim().toLowerCase().split(/\s+/).filter(Boolean);
	const rows = last.filter((i) => {
		const text = `${f.icmpName(i)} ${i.key} ${quoted(i)}`.toLowerCase();
		return words.every((word) => text.includes(word));
	});
	const value = VALUES[table.sort], sign = table.order === "asc" ? 1 : -1;
	rows.sort((a, b) => {
		const x = value(a), y = value(b);
		return sign * (x < y ? -1 : x > y ? 1 : key(a) < key(b) ? -1 : 1);
	});
	table.update(rows);
	setText($("icmp-shown"), `${f.count(rows.length)}${rows.length < last.length ? ` of ${f.count(last.length)}` : ""} shown`);
	setEmpty("icmp-empty", rows.length ? "" : last.length ? "No ICMP traffic matches this filter." : "No ICMP traffic yet.");
}

export async function update() {
	({ body: last } = await get(`/api/icmp?limit=${LIMIT}`));
	show();
}

export function start() {
	table = new Table($("icmp-table"), { columns: COLUMNS, key, sort: "last_seen", order: "desc", onsort: show,
		paintRow: (tr, i) => setAttr(tr, "data-verdict", i.dropped_packets > 0 ? "some" : null) });
	$("icmp-filter").addEventListener("submit", (event) => event.preventDefault());
	$("icmp-q").addEventListener("input", show);
}
