// The live table of connections and, beside it, everything about one. The gateway sorts and filters; only what is in sight is fetched.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { get } from "../api.js";
import { refresh } from "../store.js";
import { note, route } from "../route.js";
import { Table } from "../ui/table.jsx";
import { Age, Badge, Host } from "../ui/bits.jsx";
import { usePoll, useSettled } from "../ui/hooks.js";
import { STATES, parse } from "./query.js";
import { Connection } from "./connection.jsx";
import * as f from "../format.js";

const CHUNK = 200; // rows of one question, more than any screen has
const HOLD = 4000; // the order stands still so long after the pointer last moved over the table

const retrans = (c) => c.orig_retrans_packets + c.resp_retrans_packets;

/** Bits a second of each connection, from what it had when we last asked. */
class Rates {
	constructor() {
		this.known = new Map(); // id → {total, at, bits}
	}

	update(rows) {
		const now = performance.now();
		for (const c of rows) {
			const total = c.orig_bytes + c.resp_bytes, known = this.known.get(c.id);
			if (!known)
				this.known.set(c.id, { total, at: now, bits: 0 });
			else if (now - known.at >= 900) {
				known.bits = Math.max(0, ((total - known.total) * 8000) / (now - known.at));
				Object.assign(known, { total, at: now });
			}
		}
		if (this.known.size > 5000) {
			for (const [id, { at }] of this.known) {
				if (now - at > 5000)
					this.known.delete(id);
			}
		}
	}

	of(c) {
		const known = this.known.get(c.id);
		return known && performance.now() - known.at < 5000 ? known.bits : 0;
	}
}

function State({ c }) {
	const word = c.end_reason ? `ended: ${c.end_reason}` : (c.state ?? "–").replace("_", " ");
	if (c.verdict === "drop")
		return <Badge kind="drop" title={`Dropped by rule ${c.rule_id}; ${word}`}>dropped</Badge>;
	return <Badge kind={c.end_reason ? "ended" : c.state} title={c.conn_state ? `Zeek: ${c.conn_state}` : undefined}>{word}</Badge>;
}

function columns(rates) {
	return [
		{ id: "proto", label: "Proto", sort: "proto", width: "48px", cell: (c) => <span class="proto" data-proto={c.proto}>{c.proto.toUpperCase()}</span> },
		{ id: "src", label: "Originator", sort: "src_ip", width: "minmax(150px, 1fr)", cell: (c) => <Host ip={c.src_ip} port={c.src_port} /> },
		{ id: "dst", label: "Responder", sort: "dst_ip", width: "minmax(150px, 1fr)", cell: (c) => <Host ip={c.dst_ip} port={c.dst_port} /> },
		{ id: "state", label: "State", sort: "state", width: "104px", cell: (c) => <State c={c} /> },
		{ id: "rate", label: "Now", title: "Both directions, since the last look", number: true, width: "84px", from: 840, cell: (c) => (rates.of(c) ? f.bits(rates.of(c)) : "") },
		{ id: "opk", label: "Pkts →", name: "Packets from the originator", sort: "orig_packets", number: true, width: "62px", from: 980, cell: (c) => f.count(c.orig_packets) },
		{ id: "rpk", label: "Pkts ←", name: "Packets from the responder", sort: "resp_packets", number: true, width: "62px", from: 980, cell: (c) => f.count(c.resp_packets) },
		{ id: "ob", label: "Bytes →", name: "Bytes from the originator", sort: "orig_bytes", number: true, width: "78px", cell: (c) => f.bytes(c.orig_bytes) },
		{ id: "rb", label: "Bytes ←", name: "Bytes from the responder", sort: "resp_bytes", number: true, width: "78px", cell: (c) => f.bytes(c.resp_bytes) },
		{ id: "rtt", label: "RTT", name: "Round-trip time", sort: "rtt_us", number: true, width: "68px", from: 1060, cell: (c) => f.micros(c.rtt_us || c.rtt_handshake_us) },
		{ id: "retr", label: "Retr.", name: "Retransmitted", title: "Retransmitted segments, both directions", number: true, width: "46px", from: 1120,
			cell: (c) => (c.proto === "tcp" ? <span data-some={retrans(c) > 0 || undefined}>{f.count(retrans(c))}</span> : "") },
		{ id: "duration", label: "Duration", sort: "duration", number: true, width: "76px", from: 1230, cell: (c) => f.span(c.duration) },
		{ id: "age", label: "Last seen", sort: "last_seen", number: true, width: "78px", from: 715, cell: (c) => <Age time={c.last_seen} /> },
	];
}

const card = (rates) => (c) => (
	<>
		<div><span class="proto" data-proto={c.proto}>{c.proto.toUpperCase()}</span> <Host ip={c.src_ip} port={c.src_port} /> <span class="soft">→</span> <Host ip={c.dst_ip} port={c.dst_port} /></div>
		<div class="soft"><State c={c} /> <span>→ {f.bytes(c.orig_bytes)}</span> <span>← {f.bytes(c.resp_bytes)}</span> <span class="end">{rates.of(c) ? f.bits(rates.of(c)) : <Age time={c.last_seen} />}</span></div>
	</>
);

/** The rows in sight, kept up to date. */
function useRows(query, rates) {
	const range = useRef([0, CHUNK]);
	const hovered = useRef(0);
	const [rows, setRows] = useState({ query: null, offset: 0, list: [], total: null });
	const latest = useRef(rows);
	latest.current = rows;
	const running = useRef(false), pending = useRef(false), current = useRef(null), mounted = useRef(true);
	useEffect(() => () => { mounted.current = false; }, []);

	const fetchRows = async () => {
		if (running.current) {
			pending.current = true; // what is in sight changed meanwhile
			return;
		}
		running.current = true;
		try {
			const [first, last] = range.current;
			const offset = Math.max(0, Math.floor((first + last - CHUNK) / 2));
			const { body, headers } = await get(`/api/connections?${new URLSearchParams({ ...query, limit: CHUNK, offset })}`);
			if (!mounted.current || current.current.query !== query)
				return;
			rates.update(body);
			const was = latest.current;
			const held = was.query === query && was.offset === offset && Date.now() - hovered.current < HOLD;
			setRows({ query, offset, list: held ? hold(was.list, body) : body, total: Number(headers.get("X-Total-Count") ?? body.length) });
		} finally {
			running.current = false;
			if (pending.current && mounted.current) {
				pending.current = false;
				current.current.fetchRows();
			}
		}
	};
	current.current = { query, fetchRows };
	usePoll(() => current.current.fetchRows(), 1, [query]);
	return {
		rows: rows.query === query ? rows : { offset: 0, list: [], total: rows.total },
		settled: rows.query === query,
		onrange: (first, last) => {
			range.current = [first, last];
			const { offset, list, total } = latest.current;
			if (first < offset || last > offset + list.length + (offset + list.length >= (total ?? 0) ? CHUNK : 0))
				fetchRows();
		},
		onhover: (over) => { hovered.current = over ? Date.now() : 0; },
	};
}

/** The old order with the new figures: nothing jumps away from under a click. */
function hold(was, now) {
	const fresh = new Map(now.map((c) => [c.id, c]));
	const kept = was.map((c) => fresh.get(c.id) ?? c);
	return was.length < now.length ? [...kept, ...now.filter((c) => !was.some((old) => old.id === c.id))].slice(0, now.length) : kept;
}

function useQuery(text, proto, state, ended, sort, order) {
	const [query, setQuery] = useState(null);
	const wanted = { ...(proto ? { proto } : {}), ...(state ? { state } : {}), ...parse(text), sort, order, ...(ended ? { ended: "true" } : {}) };
	const settled = useSettled(wanted, 120);
	useEffect(() => setQuery(settled), [JSON.stringify(settled)]);
	return query ?? settled;
}

export function Connections() {
	const { args } = route.value;
	const [text, setText] = useState(args.q ?? "");
	const [proto, setProto] = useState(args.proto ?? "");
	const [state, setState] = useState(args.state ?? "");
	const [ended, setEnded] = useState(args.ended === "true");
	const [sort, setSort] = useState(args.sort ?? "last_seen");
	const [order, setOrder] = useState(args.order ?? "desc");
	const rates = useMemo(() => new Rates(), []);
	const [cells, cards] = useMemo(() => [columns(rates), card(rates)], []);
	const query = useQuery(text, proto, state, ended, sort, order);
	const { rows, settled, onrange, onhover } = useRows(query, rates);
	const { list, offset } = rows;
	const total = rows.total ?? 0;

	/* A link from elsewhere brings its own filter. */
	useEffect(() => { if (args.q !== undefined && args.q !== text) setText(args.q); }, [args.q]);
	const keep = (changed) => note({ q: text, proto, state, ended: ended ? "true" : "", sort: sort === "last_seen" ? "" : sort, order: order === "desc" ? "" : order, id: args.id, ...changed });
	const open = (c) => keep({ id: c.id });
	const filtered = text || proto || state;

	return (
		<div class="view fill" id="view-connections">
			<form class="bar" role="search" autocomplete="off" onsubmit={(event) => event.preventDefault()}>
				<label class="grow search"><span class="visually-hidden">Filter connections by address, port, protocol or state</span>
					<input type="search" id="q" placeholder="Filter: address, :port, tcp, established …   ( / )" spellcheck={false} maxlength={120} value={text}
						oninput={(event) => { setText(event.target.value); keep({ q: event.target.value }); }} /></label>
				<label><span class="visually-hidden">Protocol</span><select id="proto" value={proto} onchange={(event) => { setProto(event.target.value); keep({ proto: event.target.value }); }}>
					<option value="">All protocols</option><option value="tcp">TCP</option><option value="udp">UDP</option></select></label>
				<label><span class="visually-hidden">State</span><select id="state" value={state} onchange={(event) => { setState(event.target.value); keep({ state: event.target.value }); }}>
					<option value="">All states</option>{STATES.map((word) => <option key={word} value={word}>{word.replace("_", " ")}</option>)}</select></label>
				<label class="check"><input type="checkbox" id="ended" checked={ended} onchange={(event) => { setEnded(event.target.checked); keep({ ended: event.target.checked ? "true" : "" }); }} /> with ended ones</label>
				<p id="conn-shown" class="shown" role="status">{rows.total === null ? "…" : f.plural(total, "connection")}</p>
			</form>
			<div class="split">
				<Table id="conn-table" label="Connections" columns={cells} card={cards} total={total} at={(i) => list[i - offset]} keyOf={(c) => c.id}
					sort={sort} order={order} onsort={(to, way) => { setSort(to); setOrder(way); keep({ sort: to, order: way }); }} onopen={open} selected={args.id} onrange={onrange} onhover={onhover}
					attributes={(c) => ({ "data-verdict": c.verdict, "data-ended": c.end_reason ?? undefined })}
					empty={!settled ? "Waiting for the answer …" : filtered ? "No connection matches this filter." : "No connections yet. They appear here with their first packet."} />
				{args.id && <Connection key={args.id} id={args.id} known={list.find((c) => c.id === args.id)} onclose={() => { keep({ id: "" }); refresh("view"); }} />}
			</div>
		</div>
	);
}
