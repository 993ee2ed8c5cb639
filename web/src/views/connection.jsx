// Everything about one connection.

import { useState } from "preact/hooks";
import { get } from "../api.js";
import { go } from "../route.js";
import { Age, Badge } from "../ui/bits.jsx";
import { useEscape, usePoll } from "../ui/hooks.js";
import { CONN_STATES, explainHistory } from "../words.js";
import * as f from "../format.js";

const FACTS = [
	["State", (c) => (c.end_reason ? `${(c.state ?? "–").replace("_", " ")}, ended: ${c.end_reason}` : (c.state ?? "–").replace("_", " "))],
	["Summary", (c) => (c.conn_state ? `${c.conn_state}: ${CONN_STATES[c.conn_state] ?? ""}` : "–")],
	["First seen", (c) => f.clock(c.first_seen)],
	["Last seen", (c) => <>{f.clock(c.last_seen)} (<Age time={c.last_seen} />)</>],
	["Duration", (c) => f.span(c.duration)],
	["Rules say", (c) => (c.rule_id === null ? c.verdict ?? "–" : `${c.verdict} (rule ${c.rule_id})`)],
	["Interface", (c) => `${c.iface || "–"}${c.view === "ingress" ? ", incoming only" : ""}`],
	["VLAN", (c) => (c.vlan ? [c.vlan, c.inner_vlan].filter(Boolean).join(" / ") : "none")],
	["Beginning seen", (c) => (c.midstream ? "no" : "yes") + (c.flipped ? ", direction corrected" : "")],
	["Community ID", (c) => c.community_id ?? "–"],
];

const whole = (name) => (c, side) => f.count(c[`${side}_${name}`]);

const SIDES = [
	["Packets", whole("packets")],
	["Bytes", (c, side) => f.bytes(c[`${side}_bytes`])],
	["Dropped by rules", whole("dropped_packets")],
	["TCP flags seen", (c, side) => f.tcpFlags(c[`${side}_tcp_flags`]), "tcp"],
	["Retransmitted", (c, side) => `${f.count(c[`${side}_retrans_packets`])} · ${f.bytes(c[`${side}_retrans_bytes`])}`, "tcp"],
	["Out of order", whole("out_of_order"), "tcp"],
	["Duplicate ACKs", whole("dup_acks"), "tcp"],
	["Never seen (gaps)", (c, side) => f.bytes(c[`${side}_gap_bytes`]), "tcp"],
	["Zero windows", whole("zero_windows"), "tcp"],
	["Small windows", whole("small_windows"), "tcp"],
	["Window", (c, side) => f.bytes(c[`${side}_window`]), "tcp"],
	["Sequence", whole("seq"), "tcp"],
	["Acknowledgement", whole("ack"), "tcp"],
];

function Both({ c }) {
	const most = Math.max(c.orig_bytes, c.resp_bytes, 1);
	return (
		<div class="both" role="img" aria-label={`${f.bytes(c.orig_bytes)} from the originator, ${f.bytes(c.resp_bytes)} from the responder`}>
			<span class="way">→ {f.bytes(c.orig_bytes)}</span><span class="track"><span class="to" style={{ width: `${(100 * c.orig_bytes) / most}%` }} /></span>
			<span class="way">← {f.bytes(c.resp_bytes)}</span><span class="track"><span class="fro" style={{ width: `${(100 * c.resp_bytes) / most}%` }} /></span>
		</div>
	);
}

function Quality({ c }) {
	return (
		<dl class="figures">
			<div><dt>handshake RTT</dt><dd>{f.micros(c.rtt_handshake_us)}</dd></div>
			<div><dt>smoothed RTT</dt><dd>{f.micros(c.rtt_us)}</dd></div>
			<div><dt>retransmitted</dt><dd data-some={c.orig_retrans_packets + c.resp_retrans_packets > 0 || undefined}>{f.count(c.orig_retrans_packets + c.resp_retrans_packets)}</dd></div>
			<div><dt>estimated loss</dt><dd data-some={c.loss > 0 || undefined}>{f.percent(c.loss, 2)}</dd></div>
		</dl>
	);
}

function History({ text }) {
	const letters = explainHistory(text);
	return (
		<section class="history" aria-label="History">
			<h3>History <code>{text || "–"}</code></h3>
			<ol>{letters.map(({ letter, who, text: words }, i) => <li key={i}><code data-who={who}>{letter}</code> {who && <span class="soft">{who}</span>} {words}</li>)}</ol>
		</section>
	);
}

/** A rule that would match this connection. */
function ruleFor(c) {
	return { rule_type: c.proto === "udp" ? "udp" : "tcp", src_ip: c.src_ip, dst_ip: c.dst_ip, dst_port: c.dst_port, comment: `From ${c.key}` };
}

export function Connection({ id, known, onclose }) {
	const [asked, setAsked] = useState(null);
	const [gone, setGone] = useState(false);
	usePoll(async (left) => {
		const { status, body } = await get(`/api/connections/${id}`, { accept: [404] });
		if (left())
			return;
		setGone(status === 404);
		if (status === 200)
			setAsked(body);
	}, 1, [id]);
	useEscape(onclose);
	const c = asked ?? known;
	return (
		<aside class="details" id="details" aria-label="Details of a connection" data-verdict={c?.verdict}>
			<div class="details-head">
				<h2>{c ? <>{f.host(c.src_ip, c.src_port)} <span class="soft">→</span> {f.host(c.dst_ip, c.dst_port)}</> : id}</h2>
				<button type="button" class="quiet close" aria-label="Close details" title="Close (Esc)" onclick={onclose}>✕</button>
			</div>
			{gone && <p class="gone">This connection has ended and is no longer kept.</p>}
			{c && (
				<>
					<p class="tags"><span class="proto" data-proto={c.proto}>{c.proto.toUpperCase()}</span> {c.verdict === "drop" && <Badge kind="drop">dropped by rule {c.rule_id}</Badge>}</p>
					<Both c={c} />
					{c.proto === "tcp" && <Quality c={c} />}
					<table class="sides"><thead><tr><td /><th scope="col" class="number">Originator</th><th scope="col" class="number">Responder</th></tr></thead>
						<tbody>{SIDES.filter(([, , proto]) => !proto || proto === c.proto).map(([name, text]) => (
							<tr key={name}><th scope="row">{name}</th><td class="number">{text(c, "orig")}</td><td class="number">{text(c, "resp")}</td></tr>))}</tbody></table>
					{c.proto === "tcp" && <History text={c.history} />}
					<dl class="facts">{FACTS.map(([name, text]) => <div key={name}><dt>{name}</dt><dd>{text(c)}</dd></div>)}</dl>
					<p class="details-actions"><button type="button" onclick={() => go("rules", { new: JSON.stringify(ruleFor(c)) })}>Make a rule from this…</button></p>
				</>)}
		</aside>
	);
}
