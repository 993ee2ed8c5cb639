// Everything about one connection, beside the table.

import { arrange, h, setAttr, setText } from "./dom.js";
import { get } from "./api.js";
import * as f from "./format.js";

const yes = (b) => (b ? "yes" : "no");

const FACTS = [
	["State", (c) => [c.state, c.conn_state && `Zeek ${c.conn_state}`].filter(Boolean).join(" · ").replace("_", " ") || "–"],
	["History", (c) => c.history ?? "–"],
	["Ended", (c) => c.end_reason ?? "no"],
	["First seen", (c) => f.clock(c.first_seen)],
	["Last seen", (c) => `${f.clock(c.last_seen)} (${f.age(c.last_seen)})`],
	["Duration", (c) => f.span(c.duration)],
	["Rules say", (c) => (c.rule_id === null ? c.verdict ?? "–" : `${c.verdict} (rule ${c.rule_id})`)],
	["Interface", (c) => `${c.iface || "–"}${c.view === "ingress" ? ", incoming only" : ""}`],
	["VLAN", (c) => (c.vlan ? [c.vlan, c.inner_vlan].filter(Boolean).join(" / ") : "none")],
	["Beginning seen", (c) => yes(!c.midstream) + (c.flipped ? ", direction corrected" : "")],
	["Handshake RTT", (c) => f.micros(c.rtt_handshake_us)],
	["Smoothed RTT", (c) => f.micros(c.rtt_us)],
	["Estimated loss", (c) => `${(c.loss * 100).toFixed(2)} %`],
	["Community ID", (c) => c.community_id ?? "–"],
];

const whole = (name) => (c, side) => f.count(c[`${side}_${name}`]);

const SIDES = [
	["Packets", whole("packets")],
	["Bytes", (c, side) => f.bytes(c[`${side}_bytes`])],
	["Dropped by rules", whole("dropped_packets")],
	["TCP flags seen", (c, side) => f.tcpFlags(c[`${side}_tcp_flags`]), "tcp"],
	["Sequence", whole("seq"), "tcp"],
	["Acknowledgement", whole("ack"), "tcp"],
	["Window", whole("window"), "tcp"],
	["Retransmitted", (c, side) => `${f.count(c[`${side}_retrans_packets`])} / ${f.bytes(c[`${side}_retrans_bytes`])}`, "tcp"],
	["Out of order", whole("out_of_order"), "tcp"],
	["Duplicate ACKs", whole("dup_acks"), "tcp"],
	["Gaps", (c, side) => f.bytes(c[`${side}_gap_bytes`]), "tcp"],
	["Zero windows", whole("zero_windows"), "tcp"],
	["Small windows", whole("small_windows"), "tcp"],
];

export class Details {
	constructor(panel, { block, onclose }) {
		this.panel = panel;
		this.row = null;
		this.gone = h("p", { class: "gone", hidden: true }, "This connection has ended and is no longer kept.");
		this.title = h("h2", { tabindex: "-1" });
		this.onclose = onclose;
		this.facts = FACTS.map(([name, text]) => ({ text, dd: h("dd"), dt: h("dt", {}, name) }));
		this.sides = SIDES.map(([name, text, proto]) => {
			const cells = [h("td", { class: "number" }), h("td", { class: "number" })];
			return { text, proto, cells, tr: h("tr", {}, h("th", { scope: "row" }, name), cells) };
		});
		this.sidesBody = h("tbody");
		const close = h("button", { type: "button", class: "quiet close", "aria-label": "Close details", title: "Close (Esc)", onclick: () => this.close() }, "✕");
		const blockButton = h("button", { type: "button", onclick: () => block(this.row) }, "Make a rule from this…");
		panel.append(h("div", { class: "details-head" }, this.title, close), this.gone,
			h("dl", {}, this.facts.map(({ dt, dd }) => h("div", {}, dt, dd))),
			h("table", { class: "sides" }, h("thead", {}, h("tr", {}, h("td"), h("th", { scope: "col", class: "number" }, "Originator"),
				h("th", { scope: "col", class: "number" }, "Responder"))), this.sidesBody),
			h("p", { class: "details-actions" }, blockButton));
	}

	show(row) {
		const fresh = this.row?.id !== row.id;
		this.row = row;
		this.panel.hidden = false;
		setText(this.title, `${f.host(row.src_ip, row.src_port)} → ${f.host(row.dst_ip, row.dst_port)} ${row.proto.toUpperCase()}`);
		for (const { text, dd } of this.facts)
			setText(dd, text(row));
		arrange(this.sidesBody, this.sides.filter(({ proto }) => !proto || proto === row.proto).map(({ tr }) => tr));
		for (const { text, cells } of this.sides) {
			setText(cells[0], text(row, "orig"));
			setText(cells[1], text(row, "resp"));
		}
		setAttr(this.panel, "data-verdict", row.verdict);
		this.gone.hidden = true;
		if (fresh)
			this.panel.scrollTop = 0;
	}

	/** From the list when it is there, else by its id: a connection that ended is kept for a while. */
	async update(list) {
		if (!this.row)
			return;
		const id = this.row.id;
		let row = list.find((c) => c.id === id);
		if (!row) {
			const { status, body } = await get(`/api/connections/${id}`, [404]);
			if (this.row?.id !== id)
				return;
			row = status === 200 ? body : null;
		}
		if (row)
			this.show(row);
		else
			this.gone.hidden = false;
	}

	close() {
		if (!this.row)
			return;
		this.row = null;
		this.panel.hidden = true;
		this.onclose();
	}
}
