// Filter rules: what they match, what they hit, and the form for a new one.

import { $, h, setAttr, setText } from "./dom.js";
import { call, get } from "./api.js";
import { confirmed, toast } from "./ask.js";
import * as f from "./format.js";
import { Table, setEmpty } from "./table.js";

const NUMBERS = new Set(["src_port", "dst_port", "icmp_type", "icmp_code", "inner_dst_port", "priority"]);

let table, changed;

const given = (ip) => ip && ip !== "any";

function end(ip, port) {
	if (!given(ip))
		return port ? `any:${port}` : "any";
	return port ? f.host(ip, port) : ip;
}

/** The rule's condition in a line. */
export function summary(r) {
	const words = [r.protocol === "any" ? "anything" : r.protocol];
	if (given(r.src_ip) || r.src_port)
		words.push("from", end(r.src_ip, r.src_port));
	if (given(r.dst_ip) || r.dst_port)
		words.push("to", end(r.dst_ip, r.dst_port));
	if (r.tcp_flags_mask)
		words.push(`flags ${f.tcpFlags(r.tcp_flags)} of ${f.tcpFlags(r.tcp_flags_mask)}`);
	if (r.icmp_type !== 255)
		words.push(`type ${r.icmp_type}`);
	if (r.icmp_code !== 255)
		words.push(`code ${r.icmp_code}`);
	const inner = [];
	if (given(r.inner_protocol))
		inner.push(r.inner_protocol);
	if (given(r.inner_src_ip) || r.inner_src_port)
		inner.push("from", end(r.inner_src_ip, r.inner_src_port));
	if (given(r.inner_dst_ip) || r.inner_dst_port)
		inner.push("to", end(r.inner_dst_ip, r.inner_dst_port));
	if (inner.length)
		words.push("quoting", ...inner);
	return words.join(" ");
}

async function act(what, done) {
	try {
		await what();
		if (done)
			toast(done);
	} catch (error) {
		toast(error.message, "error");
	}
	changed();
}

function paintEnabled(td, r) {
	let box = td.querySelector("input");
	if (!box) {
		box = h("input", { type: "checkbox", role: "switch", class: "switch", "data-id": r.id });
		box.addEventListener("change", () => {
			const verb = box.checked ? "enable" : "disable";
			act(() => call("POST", `/api/filters/${r.id}/${verb}`), `Rule ${r.id} is ${box.checked ? "in force" : "switched off"}.`);
		});
		td.append(box);
	}
	setAttr(box, "aria-label", `Rule ${r.id} enabled`);
	if (document.activeElement !== box || !box.matches(":active"))
		box.checked = r.enabled;
}

function paintDelete(td, r) {
	if (td.firstElementChild)
		return;
	td.append(h("button", { type: "button", class: "quiet danger", "aria-label": `Delete rule ${r.id}`, onclick: async () => {
		if (await confirmed(`Delete rule ${r.id}?`, `${summary(r)}${r.comment ? ` – ${r.comment}` : ""}. Its counters go with it.`, "Delete"))
			act(() => call("DELETE", `/api/filters/${r.id}`), `Rule ${r.id} is deleted.`);
	} }, "Delete"));
}

function paintAction(td, r) {
	if (!td.firstElementChild)
		td.append(h("span", { class: "badge" }));
	setText(td.firstElementChild, r.action);
	setAttr(td.firstElementChild, "data-state", r.action);
}

const COLUMNS = [
	{ id: "enabled", label: "On", paint: paintEnabled },
	{ id: "id", label: "Rule", number: true, text: (r) => String(r.id) },
	{ id: "action", label: "Action", paint: paintAction },
	{ id: "match", label: "Matches", text: summary },
	{ id: "direction", label: "Direction", hide: "medium", text: (r) => r.direction },
	{ id: "priority", label: "Priority", number: true, hide: "medium", text: (r) => f.count(r.priority) },
	{ id: "hits", label: "Packets", number: true, text: (r) => f.count(r.packets) },
	{ id: "hitbytes", label: "Bytes", number: true, hide: "narrow", text: (r) => f.bytes(r.bytes) },
	{ id: "lasthit", label: "Last hit", number: true, hide: "narrow", paint: (td, r) => {
		setText(td, r.last_hit ? f.age(r.last_hit) : "never");
		setAttr(td, "title", r.last_hit ? f.clock(r.last_hit) : null);
	} },
	{ id: "comment", label: "Comment", hide: "narrow", text: (r) => r.comment },
	{ id: "delete", label: "", paint: paintDelete },
];

export async function update() {
	const { body } = await get("/api/filters");
	body.sort((a, b) => a.priority - b.priority || a.id - b.id);
	table.update(body);
	setEmpty("rule-empty", body.length ? "" : "There are no rules: everything passes.");
}

/* --- the form ------------------------------------------------------------------------------------- */

const form = () => $("rule-form");

function showFields() {
	const type = form().elements.rule_type.value;
	for (const label of form().querySelectorAll("[data-for]"))
		label.hidden = !label.dataset.for.split(" ").includes(type);
}

function showError(error) {
	for (const field of form().querySelectorAll("[aria-invalid]"))
		field.removeAttribute("aria-invalid");
	$("rule-error").hidden = !error;
	setText($("rule-error"), error?.message ?? "");
	const field = error?.field && form().elements[error.field];
	if (field) {
		field.setAttribute("aria-invalid", "true");
		field.focus();
	}
}

function read() {
	const rule = {};
	for (const field of form().elements) {
		if (!field.name || field.closest("label")?.hidden)
			continue;
		const text = field.value.trim();
		if (field.type === "checkbox")
			rule[field.name] = field.checked;
		else if (text)
			rule[field.name] = NUMBERS.has(field.name) && /^\d+$/.test(text) ? Number(text) : text;
	}
	return rule;
}

/** Opens the form; `values`: what stands in it. */
export function open(values = {}) {
	form().reset();
	for (const [name, value] of Object.entries(values))
		form().elements[name].value = value;
	showFields();
	showError(null);
	$("rule-dialog").showModal();
	form().elements.rule_type.focus();
}

async function submit(event) {
	event.preventDefault();
	try {
		const { body } = await call("POST", "/api/filters", read());
		$("rule-dialog").close();
		toast(`Rule ${body.id} is made${body.enabled ? " and in force" : "; switch it on when you are ready"}.`);
		for (const warning of body.warnings ?? [])
			toast(warning, "error");
		changed();
	} catch (error) {
		showError(error);
	}
}

export function start({ refresh }) {
	changed = refresh;
	table = new Table($("rule-table"), { columns: COLUMNS, key: (r) => r.id, sort: null,
		paintRow: (tr, r) => setAttr(tr, "data-off", !r.enabled || null) });
	$("rule-new").addEventListener("click", () => open());
	$("rule-cancel").addEventListener("click", () => $("rule-dialog").close());
	form().addEventListener("submit", submit);
	form().elements.rule_type.addEventListener("change", showFields);
}
