// The live table of connections and the details of one.

import { $, h, setAttr, setText } from "./dom.js";
import { get } from "./api.js";
import * as f from "./format.js";
import { Table, setEmpty } from "./table.js";
import { Details } from "./details.js";

const PAGE = 200, LIMIT = 1000;

let table, details, limit = PAGE, changed;
const rates = new Map(); // id -> {bytes, at, bits}

const retrans = (c) => c.orig_retrans_packets + c.resp_retrans_packets;

/** Bits a second since we last saw this connection move. */
function bitsNow(c) {
	const total = c.orig_bytes + c.resp_bytes, at = Date.parse(c.last_seen), now = performance.now();
	const known = rates.get(c.id);
	if (!known) {
		rates.set(c.id, { total, at: now, seen: at, bits: null });
		return null;
	}
	if (now - known.at >= 900) {
		known.bits = Math.max(0, ((total - known.total) * 8000) / (now - known.at));
		Object.assign(known, { total, at: now, seen: at });
	}
	return known.bits;
}

function paintProto(td, c) {
	setText(td, c.proto.toUpperCase());
	setAttr(td, "data-proto", c.proto);
}

function paintState(td, c) {
	const word = c.end_reason ? `ended: ${c.end_reason}` : c.state ?? "–";
	let badge = td.firstElementChild;
	if (!badge)
		td.append(badge = h("span", { class: "badge" }));
	setText(badge, c.verdict === "drop" ? "dropped" : word.replace("_", " "));
	setAttr(badge, "data-state", c.verdict === "drop" ? "drop" : c.end_reason ? "ended" : c.state);
	setAttr(badge, "title", c.verdict === "drop" ? `Dropped by rule ${c.rule_id}; ${word}` : null);
}

function paintAge(td, c) {
	setText(td, f.age(c.last_seen));
	setAttr(td, "title", f.clock(c.last_seen));
}

function paintHost(ip, port) {
	return (td, c) => {
		if (!td.firstElementChild)
			td.append(h("span", { class: "ip" }), h("span", { class: "port" }));
		setText(td.firstElementChild, c[ip] === null ? "–" : c[ip].includes(":") ? `[${c[ip]}]` : c[ip]);
		setText(td.lastElementChild, `:${c[port]}`);
	};
}

const bitsText = (c) => {
	const n = bitsNow(c);
	return n ? f.bits(n) : "";
};

const COLUMNS = [
	{ id: "proto", label: "Proto", sort: "proto", paint: paintProto },
	{ id: "src", label: "Originator", sort: "src_ip", paint: paintHost("src_ip", "src_port") },
	{ id: "dst", label: "Responder", sort: "dst_ip", paint: paintHost("dst_ip", "dst_port") },
	{ id: "state", label: "State", sort: "state", paint: paintState },
	{ id: "rate", label: "Now", short: "", title: "Both directions, since the last look", number: true, text: bitsText },
	{ id: "opk", label: "Pkts →", title: "Packets from the originator", sort: "orig_packets", number: true, hide: "medium", text: (c) => f.count(c.orig_packets) },
	{ id: "rpk", label: "Pkts ←", title: "Packets from the responder", sort: "resp_packets", number: true, hide: "medium", text: (c) => f.count(c.resp_packets) },
	{ id: "ob", label: "Bytes →", short: "→", title: "IP bytes from the originator", sort: "orig_bytes", number: true, text: (c) => f.bytes(c.orig_bytes) },
	{ id: "rb", label: "Bytes ←", short: "←", title: "IP bytes from the responder", sort: "resp_bytes", number: true, text: (c) => f.bytes(c.resp_bytes) },
	{ id: "rtt", label: "RTT", title: "Smoothed round-trip time", sort: "rtt_us", number: true, hide: "medium", text: (c) => f.micros(c.rtt_us || c.rtt_handshake_us) },
	{ id: "retrans", label: "Retr.", title: "Retransmitted segments, both directions", number: true, hide: "medium",
		paint: (td, c) => { setText(td, c.proto === "tcp" ? f.count(retrans(c)) : "–"); setAttr(td, "data-some", retrans(c) > 0 || null); } },
	{ id: "duration", label: "Duration", sort: "duration", number: true, hide: "narrow", text: (c) => f.span(c.duration) },
	{ id: "age", label: "Last seen", short: "", sort: "last_seen", number: true, paint: paintAge },
];

function query() {
	const p = new URLSearchParams({ limit: String(limit), sort: table.sort, order: table.order });
	for (const id of ["q", "proto", "state"]) {
		const text = $(id).value.trim();
		if (text)
			p.set(id, text);
	}
	/* ":53" is port 53 itself; as text it would be any port that begins so */
	const port = /(?:^|\s):(\d{1,5})(?=\s|$)/.exec(p.get("q") ?? "");
	if (port && Number(port[1]) <= 65535) {
		const rest = p.get("q").replace(port[0], "").trim();
		p.set("port", port[1]);
		if (rest)
			p.set("q", rest);
		else
			p.delete("q");
	}
	if ($("ended").checked)
		p.set("ended", "true");
	return p;
}

const filtered = () => ["q", "proto", "state"].some((id) => $(id).value.trim());

function forget(rows) {
	const ids = new Set(rows.map((c) => c.id));
	for (const id of rates.keys()) {
		if (!ids.has(id))
			rates.delete(id);
	}
}

export async function update() {
	const { body, headers } = await get(`/api/connections?${query()}`);
	const total = Number(headers.get("X-Total-Count") ?? body.length);
	table.update(body);
	forget(body);
	setText($("conn-shown"), body.length < total ? `${f.count(body.length)} of ${f.count(total)}` : `${f.count(total)} shown`);
	setEmpty("conn-empty", body.length ? "" : filtered() ? "No connection matches this filter." :
		"No connections yet. They appear here with their first packet.");
	$("conn-more").hidden = body.length >= total || limit >= LIMIT;
	await details.update(body);
}

export function start({ refresh, block }) {
	changed = refresh;
	details = new Details($("details"), { block, onclose: () => table.select(null) });
	table = new Table($("conn-table"), {
		columns: COLUMNS, key: (c) => c.id, sort: "last_seen", order: "desc", onsort: changed,
		onselect: (id, row) => details.show(row),
		paintRow: (tr, c) => { setAttr(tr, "data-verdict", c.verdict); setAttr(tr, "data-ended", c.end_reason); },
	});
	let typing;
	$("conn-filter").addEventListener("submit", (event) => event.preventDefault());
	$("conn-filter").addEventListener("input", () => {
		clearTimeout(typing);
		typing = setTimeout(() => { limit = PAGE; changed(); }, 150);
	});
	$("conn-more").addEventListener("click", () => { limit = Math.min(limit + PAGE * 2, LIMIT); changed(); });
	document.addEventListener("keydown", (event) => {
		if (event.key === "Escape" && !document.querySelector("dialog[open]"))
			details.close();
	});
}
