// What runs when: one look a second at figures, parts and the view that is open; tabs, pause, keys.

import { $, setAttr, setText } from "./dom.js";
import { get, setToken } from "./api.js";
import * as ask from "./ask.js";
import * as connections from "./connections.js";
import * as f from "./format.js";
import * as health from "./health.js";
import * as icmp from "./icmp.js";
import * as rules from "./rules.js";
import { Tiles } from "./tiles.js";

const PERIOD = 1000;
const VIEWS = { connections, icmp, rules };

let tiles, view = "connections", paused = false, timer = null, busy = false, again = false;
let lastGood = Date.now(), asking = false;

async function figures() {
	const { body } = await get("/api/stats");
	f.setHostTime(body.time);
	tiles.update(body);
	setText($("count-connections"), f.count(body.table.known));
	setText($("count-icmp"), body.table.icmp ? f.count(body.table.icmp) : "");
	setText($("count-rules"), body.rules.rules ? f.count(body.rules.rules) : "");
}

async function token(error) {
	if (asking)
		return;
	asking = true;
	const text = await ask.askToken(error.code === "token_needed" ?
		"You come from elsewhere, so this host wants its API token. It stands in the file api-token of the state directory: " +
		"sudo cat /var/lib/packetscope/api-token" : error.message);
	asking = false;
	if (text)
		setToken(text);
}

/** Everything at once; what fails does not keep the rest from being shown. */
async function look() {
	const results = await Promise.allSettled([health.update(), figures(), VIEWS[view].update()]);
	const errors = results.filter((r) => r.status === "rejected").map((r) => r.reason);
	const silent = errors.find((e) => e.status === 0);
	const refused = errors.find((e) => e.status === 401);

	for (const error of errors) {
		if (error.status === undefined)
			throw error; // a fault of ours: into the console
	}
	if (refused) {
		token(refused);
	} else if (silent) {
		health.unreachable(Math.round((Date.now() - lastGood) / 1000), silent.message);
	} else if (!errors.length) {
		lastGood = Date.now();
	}
	setAttr(document.body, "data-stale", errors.length > 0 || null);
	const other = errors.find((e) => e.status >= 400 && e.status !== 401 && e.status !== 503);
	if (other)
		ask.toast(other.message, "error");
}

async function beat() {
	if (busy) {
		again = true; // somebody changed something meanwhile: look once more
		return;
	}
	busy = true;
	clearTimeout(timer);
	try {
		await look();
	} finally {
		busy = false;
		schedule(again ? 0 : PERIOD);
		again = false;
	}
}

function schedule(ms) {
	clearTimeout(timer);
	if (!paused && !document.hidden)
		timer = setTimeout(beat, ms);
}

/** After a change of filter, order or rules: at once, also while paused. */
const refresh = () => { beat(); };

function pause(on) {
	paused = on;
	setAttr($("pause"), "aria-pressed", String(on));
	setText($("pause"), on ? "Resume" : "Pause");
	setAttr(document.body, "data-paused", on || null);
	schedule(0);
}

/* --- views ---------------------------------------------------------------------------------------- */

function show(name, focus) {
	view = name;
	for (const other of Object.keys(VIEWS)) {
		const tab = $(`tab-${other}`);
		setAttr(tab, "aria-selected", String(other === name));
		setAttr(tab, "tabindex", other === name ? null : "-1");
		$(`view-${other}`).hidden = other !== name;
	}
	if (focus)
		$(`tab-${name}`).focus();
	if (location.hash.slice(1) !== name)
		history.replaceState(null, "", `#${name}`);
	refresh();
}

function tabKeys(event) {
	const names = Object.keys(VIEWS), i = names.indexOf(view);
	const next = { ArrowRight: names[(i + 1) % names.length], ArrowLeft: names[(i + names.length - 1) % names.length],
		Home: names[0], End: names[names.length - 1] }[event.key];
	if (!next)
		return;
	event.preventDefault();
	show(next, true);
}

function keys(event) {
	if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog"))
		return;
	if (event.key === "p") {
		pause(!paused);
	} else if (event.key === "/") {
		const field = $(view === "icmp" ? "icmp-q" : "q");
		if (view === "rules")
			show("connections");
		field.focus();
		field.select();
		event.preventDefault();
	}
}

function ruleFrom(c) {
	show("rules");
	rules.open({ rule_type: c.proto === "udp" ? "udp" : "tcp", src_ip: c.src_ip, dst_ip: c.dst_ip, dst_port: c.dst_port,
		comment: `From ${c.key}` });
}

function start() {
	tiles = new Tiles($("tiles"));
	ask.start();
	connections.start({ refresh, block: ruleFrom });
	icmp.start();
	rules.start({ refresh });
	for (const name of Object.keys(VIEWS))
		$(`tab-${name}`).addEventListener("click", () => show(name));
	document.querySelector(".tabs").addEventListener("keydown", tabKeys);
	$("pause").addEventListener("click", () => pause(!paused));
	document.addEventListener("keydown", keys);
	document.addEventListener("visibilitychange", () => schedule(0));
	window.addEventListener("hashchange", () => VIEWS[location.hash.slice(1)] && show(location.hash.slice(1)));
	show(VIEWS[location.hash.slice(1)] ? location.hash.slice(1) : "connections");
}

start();
