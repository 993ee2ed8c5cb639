// Which parts answer, in one line; and, in a bar above everything, what is wrong and what to do.

import { $, arrange, h, setAttr, setText } from "./dom.js";
import { get } from "./api.js";

const pills = new Map();

function pill(name) {
	let p = pills.get(name);
	if (!p) {
		const word = h("span", { class: "visually-hidden" });
		p = { node: h("li", { class: "pill" }, h("span", { class: "dot", "aria-hidden": "true" }), name, word), word };
		pills.set(name, p);
	}
	return p;
}

function banner(kind, text) {
	const node = $("banner");
	setAttr(node, "data-kind", kind);
	setText(node, text);
	node.hidden = !text;
}

export async function update() {
	const { body } = await get("/api/health", [503]);
	const parts = Object.entries(body.parts);
	const bad = parts.filter(([, part]) => !part.ok);
	const warnings = parts.flatMap(([name, part]) => (part.warnings ?? []).map((text) => `${name}: ${text}`));
	for (const [name, part] of parts) {
		const p = pill(name);
		setAttr(p.node, "data-state", part.ok ? "ok" : "down");
		setAttr(p.node, "title", part.reason ?? `process ${part.pid ?? "?"}${part.version ? `, version ${part.version}` : ""}`);
		setText(p.word, part.ok ? ": ok" : ": down");
	}
	arrange($("parts"), parts.map(([name]) => pill(name).node));
	if (bad.length)
		banner(body.status === "down" ? "down" : "warn", bad.map(([, part]) => part.reason).join("\n"));
	else
		banner(warnings.length ? "warn" : null, warnings.join("\n"));
}

export function unreachable(seconds, message) {
	for (const { node, word } of pills.values()) {
		setAttr(node, "data-state", "unknown");
		setText(word, ": unknown");
	}
	banner("down", `${message} Shown is what was known ${seconds} s ago; trying again each second.`);
}
