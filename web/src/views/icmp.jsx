// ICMP traffic: who sent which message to whom, and which packet it complains about.

import { useState } from "preact/hooks";
import { get } from "../api.js";
import { note, route } from "../route.js";
import { Table } from "../ui/table.jsx";
import { Age, ConnectionLink } from "../ui/bits.jsx";
import { useEscape, usePoll } from "../ui/hooks.js";
import { icmpName, isEchoRequest, portName } from "../words.js";
import * as f from "../format.js";

const LIMIT = 2000;

const keyOf = (i) => [i.src_ip, i.dst_ip, i.icmp_type, i.icmp_code, i.vlan, i.inner_vlan].join("|");

const end = (ip, port) => (port ? f.host(ip, port) : f.address(ip));
const quoted = (i) => (i.inner_protocol ? `${i.inner_protocol} ${end(i.inner_src_ip, i.inner_src_port)} → ${end(i.inner_dst_ip, i.inner_dst_port)}` : "");

const VALUES = {
	message: icmpName, src: (i) => i.src_ip, dst: (i) => i.dst_ip, packets: (i) => i.packets, bytes: (i) => i.bytes, dropped: (i) => i.dropped_packets,
	rtt: (i) => i.rtt_us, unanswered: (i) => i.unanswered, last_seen: (i) => i.last_seen, quoted,
};

const COLUMNS = [
	{ id: "message", label: "Message", sort: "message", width: "minmax(150px, 1.1fr)", cell: (i) => <span title={`type ${i.icmp_type}, code ${i.icmp_code}`}>{icmpName(i)}</span> },
	{ id: "typecode", label: "Type/code", number: true, width: "76px", from: 1160, cell: (i) => `${i.icmp_type}/${i.icmp_code}` },
	{ id: "src", label: "From", sort: "src", width: "minmax(120px, 1fr)", cell: (i) => <span class="mono">{i.src_ip ?? "–"}</span> },
	{ id: "dst", label: "To", sort: "dst", width: "minmax(120px, 1fr)", cell: (i) => <span class="mono">{i.dst_ip ?? "–"}</span> },
	{ id: "packets", label: "Packets", sort: "packets", number: true, width: "70px", cell: (i) => f.count(i.packets) },
	{ id: "bytes", label: "Bytes", sort: "bytes", number: true, width: "74px", from: 800, cell: (i) => f.bytes(i.bytes) },
	{ id: "dropped", label: "Dropped", sort: "dropped", number: true, width: "70px", from: 700, cell: (i) => <span data-some={i.dropped_packets > 0 || undefined}>{f.count(i.dropped_packets)}</span> },
	{ id: "rtt", label: "RTT", sort: "rtt", number: true, width: "70px", from: 940, cell: (i) => f.micros(i.rtt_us) },
	{ id: "unanswered", label: "Unanswered", sort: "unanswered", number: true, width: "92px", from: 1060, cell: (i) => (isEchoRequest(i) ? f.count(i.unanswered) : "") },
	{ id: "quoted", label: "Quoted packet", sort: "quoted", width: "minmax(150px, 1.4fr)", from: 860, cell: (i) => <span class="mono small">{quoted(i) || "–"}</span> },
	{ id: "age", label: "Last seen", sort: "last_seen", number: true, width: "80px", cell: (i) => <Age time={i.last_seen} /> },
];

const card = (i) => (
	<>
		<div><b>{icmpName(i)}</b> <span class="soft end"><Age time={i.last_seen} /></span></div>
		<div class="soft"><span class="mono">{i.src_ip} → {i.dst_ip}</span> <span class="end">{f.plural(i.packets, "packet")}</span></div>
	</>
);

function Quoted({ i }) {
	if (!i.inner_protocol)
		return <p class="hint">This message quotes no packet; only errors do.</p>;
	const service = portName(i.inner_dst_port);
	return (
		<section class="quoted" aria-label="Quoted packet">
			<h3>The packet it complains about</h3>
			<div class="packet">
				<div><span>Protocol</span><b>{i.inner_protocol.toUpperCase()}</b></div>
				<div><span>Source</span><b class="mono">{end(i.inner_src_ip, i.inner_src_port)}</b></div>
				<div><span>Destination</span><b class="mono">{end(i.inner_dst_ip, i.inner_dst_port)}</b>{service && <span>{service}</span>}</div>
			</div>
			{i.connection ? <p>It belongs to connection <ConnectionLink id={i.connection} />.</p> :
				i.unmatched && <p class="warning">No connection is known that this packet belongs to: the error may be late, or made up.</p>}
		</section>
	);
}

function Details({ i, onclose }) {
	useEscape(onclose);
	const facts = [
		["Type and code", `${i.icmp_type} / ${i.icmp_code}`], ["Packets", f.count(i.packets)], ["Bytes", f.bytes(i.bytes)], ["Dropped by rules", f.count(i.dropped_packets)],
		...(isEchoRequest(i) ? [["Last round trip", f.micros(i.rtt_us)], ["Answered", f.count(i.answered)], ["Unanswered", f.count(i.unanswered)]] : []),
		["First seen", f.clock(i.first_seen)], ["Last seen", f.clock(i.last_seen)], ["Interface", i.iface || "–"], ["Community ID", i.community_id ?? "–"],
	];
	return (
		<aside class="details" id="icmp-details" aria-label="Details of ICMP traffic">
			<div class="details-head"><h2>{icmpName(i)}</h2><button type="button" class="quiet close" aria-label="Close details" title="Close (Esc)" onclick={onclose}>✕</button></div>
			<p class="mono">{i.src_ip} <span class="soft">→</span> {i.dst_ip}</p>
			<Quoted i={i} />
			<dl class="facts">{facts.map(([name, text]) => <div key={name}><dt>{name}</dt><dd>{text}</dd></div>)}</dl>
		</aside>
	);
}

export function Icmp() {
	const { args } = route.value;
	const [list, setList] = useState(null);
	const [total, setTotal] = useState(0);
	const [text, setText] = useState("");
	const [[sort, order], setSort] = useState(["last_seen", "desc"]);
	usePoll(async (gone) => {
		const { body, headers } = await get(`/api/icmp?limit=${LIMIT}`);
		if (gone())
			return;
		setList(body);
		setTotal(Number(headers.get("X-Total-Count") ?? body.length));
	}, 1, []);
	const words = text.trim().toLowerCase().split(/\s+/).filter(Boolean);
	const value = VALUES[sort], sign = order === "asc" ? 1 : -1;
	const rows = (list ?? []).filter((i) => {
		const all = `${icmpName(i)} ${i.key} ${quoted(i)} ${i.inner_protocol ? "error" : ""}`.toLowerCase();
		return words.every((word) => all.includes(word));
	}).sort((a, b) => {
		const x = value(a), y = value(b);
		return sign * (x < y ? -1 : x > y ? 1 : keyOf(a) < keyOf(b) ? -1 : 1);
	});
	const chosen = args.key && (list ?? []).find((i) => keyOf(i) === args.key);
	return (
		<div class="view fill" id="view-icmp">
			<form class="bar" role="search" autocomplete="off" onsubmit={(event) => event.preventDefault()}>
				<label class="grow search"><span class="visually-hidden">Filter ICMP traffic</span>
					<input type="search" id="icmp-q" placeholder="Filter: address, message, error   ( / )" spellcheck={false} maxlength={120} value={text} oninput={(event) => setText(event.target.value)} /></label>
				<p class="shown" role="status">{list ? `${f.count(rows.length)}${rows.length < total ? ` of ${f.count(total)}` : ""} shown` : "…"}</p>
			</form>
			<div class="split">
				<Table id="icmp-table" label="ICMP traffic" columns={COLUMNS} card={card} total={rows.length} at={(i) => rows[i]} keyOf={keyOf} sort={sort} order={order}
					onsort={(to, way) => setSort([to, way])} onopen={(i) => note({ key: keyOf(i) })} selected={args.key}
					attributes={(i) => ({ "data-verdict": i.dropped_packets > 0 ? "some" : undefined, "data-error": i.inner_protocol ? "" : undefined })}
					empty={!list ? "Waiting for the first answer …" : list.length ? "No ICMP traffic matches this filter." : "No ICMP traffic yet."} />
				{chosen && <Details i={chosen} onclose={() => note({})} />}
			</div>
		</div>
	);
}
