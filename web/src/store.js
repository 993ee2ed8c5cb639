// What all views share: figures, health, rules, findings, and how fresh they are. Figures come by the stream of events; while
// that is lost they are asked for each second.

import { signal, batch } from "@preact/signals";
import { ApiError, get, isAbsent, setToken } from "./api.js";
import { Stream } from "./stream.js";
import * as f from "./format.js";
import { askToken } from "./ui/dialog.jsx";
import { toast } from "./ui/toast.jsx";

const TICK = 1000;
const SAMPLES = 900; // a quarter of an hour

export const stats = signal(null);
export const health = signal(null);
export const rules = signal(null);
export const generation = signal(null); // of the rule set
export const findings = signal(null);
export const ai = signal(null); // what the AI worker says of itself
export const link = signal({ state: "connecting", text: "" }); // live, polling, down, connecting
export const paused = signal(false);
export const tick = signal(0); // counts seconds: read it where ages are shown
export const absent = signal({}); // name → true: this gateway does not offer it
export const samples = { version: signal(0), time: [], series: {} };
export const streamEvents = signal(0); // how many came
export const gaps = signal(0); // how many the gateway could not give us

/* --- figures ------------------------------------------------------------------------------------ */

const SERIES = {
	bits: (s) => s.rates.bytes * 8, in: (s) => s.rates.ingress_packets ?? 0, out: (s) => s.rates.egress_packets ?? 0,
	dropped: (s) => s.rates.dropped_packets, conns: (s) => s.rates.conns_new, known: (s) => s.table.known, retrans: (s) => s.rates.tcp_retrans,
	packets: (s) => s.rates.packets,
};

function sample(s) {
	const t = Date.parse(s.time) / 1000;
	const last = samples.time.at(-1);
	if (last !== undefined && t - last < 0.5)
		return;
	if (last !== undefined && t - last > 5)
		push(last + 1, () => null); // a hole stays a hole
	push(t, (name) => SERIES[name](s));
	samples.version.value++;
}

function push(t, value) {
	samples.time.push(t);
	for (const name of Object.keys(SERIES))
		(samples.series[name] ??= []).push(value(name));
	if (samples.time.length > SAMPLES) {
		samples.time.shift();
		for (const name of Object.keys(SERIES))
			samples.series[name].shift();
	}
}

function applyStats(body) {
	if (!body?.rates || !body.table)
		return false;
	f.setHostTime(body.time);
	stats.value = body;
	sample(body);
	return true;
}

/* --- what is asked for ---------------------------------------------------------------------------- */

const SELDOM = 60000; // between two questions for what this gateway did not have

/** Notes whether the gateway has the path at all; other errors are the caller's. */
async function optional(name, what) {
	try {
		await what();
		if (absent.value[name])
			absent.value = { ...absent.value, [name]: false };
	} catch (error) {
		if (!isAbsent(error))
			throw error;
		if (!absent.value[name])
			absent.value = { ...absent.value, [name]: true };
	}
}

const tasks = {
	stats: { every: 1, live: 10, run: async () => applyStats((await get("/api/stats")).body) },
	health: { every: 2, live: 2, run: async () => { health.value = (await get("/api/health", { accept: [503] })).body; } },
	rules: { every: 2, live: 4, run: async () => {
		const { body, headers } = await get("/api/filters");
		batch(() => {
			rules.value = body.sort((a, b) => a.priority - b.priority || a.id - b.id);
			generation.value = headers.get("ETag");
		});
	} },
	findings: { every: 3, live: 10, run: () => optional("findings", async () => {
		const { body } = await get("/api/findings");
		findings.value = Array.isArray(body) ? body : body.findings;
	}) },
	ai: { every: 15, live: 15, run: () => optional("ai", async () => { ai.value = (await get("/api/ai/status", { accept: [503] })).body; }) },
};

for (const [name, task] of Object.entries(tasks))
	Object.assign(task, { name, due: 0, busy: false, again: false });

/* Views bring tasks of their own: {every, run}. */
const extra = new Set();

export function addTask(task) {
	Object.assign(task, { due: 0, busy: false, again: false });
	extra.add(task);
	run(task);
	return () => extra.delete(task);
}

let lastGood = Date.now(), asking = false, failures = 0;

async function token(error) {
	if (asking)
		return;
	asking = true;
	const text = await askToken(error.code === "token_needed" ?
		"You come from elsewhere, so this host wants its API token. It stands in the file api-token of the state directory: " +
		"sudo cat /var/lib/packetscope/api-token" : error.message);
	asking = false;
	if (text) {
		setToken(text);
		restartStream();
		refresh();
	}
}

function failed(error) {
	if (!(error instanceof ApiError))
		throw error; // a fault of ours: into the console
	if (error.status === 401)
		token(error);
	else if (error.status === 0 && ++failures >= 2)
		link.value = { state: "down", text: `${error.message} Shown is what was known ${f.span((Date.now() - lastGood) / 1000)} ago; trying again each second.` };
	else if (error.status >= 400 && error.status !== 503)
		toast(error.message, "error");
}

async function run(task) {
	if (task.busy) {
		task.again = true;
		return;
	}
	task.busy = true;
	task.due = Infinity;
	const begun = performance.now();
	try {
		await task.run();
		lastGood = Date.now();
		failures = 0;
		if (link.value.state === "down" || link.value.state === "connecting")
			link.value = { state: streaming ? "live" : "polling", text: "" };
	} catch (error) {
		failed(error);
	} finally {
		task.busy = false;
		const every = (streaming && task.live) || task.every;
		/* what takes the gateway long is asked for less often */
		task.due = Date.now() + (absent.value[task.name] ? SELDOM : Math.max(every * 1000, (performance.now() - begun) * 4));
		if (task.again) {
			task.again = false;
			run(task);
		}
	}
}

/** At once, also while paused: all, or the tasks named. */
export function refresh(...names) {
	for (const [name, task] of Object.entries(tasks)) {
		if (!names.length || names.includes(name))
			run(task);
	}
	if (!names.length || names.includes("view")) {
		for (const task of extra)
			run(task);
	}
}

function beat() {
	if (!paused.value && !document.hidden) {
		tick.value++;
		const now = Date.now();
		for (const task of [...Object.values(tasks), ...extra]) {
			if (now + 20 >= task.due)
				run(task);
		}
	}
	setTimeout(beat, TICK - (Date.now() % 20));
}

/* --- the stream ------------------------------------------------------------------------------------ */

let stream = null, streaming = false;

const TOPICS = ["stats", "rule", "finding", "job"];

export const isStreaming = () => streaming;

const jobWatchers = new Set();

/** Calls fn(job) with each state of any job that the stream tells of, fn(null) when it may have missed one. Returns how to end it. */
export function watchJobs(fn) {
	jobWatchers.add(fn);
	return () => jobWatchers.delete(fn);
}

function tellJob(job) {
	for (const fn of jobWatchers)
		fn(job);
}

function onEvent(name, data) {
	streamEvents.value++;
	if (name === "job" || name === "gap")
		tellJob(name === "job" ? data : null); // somebody waits for it, paused or not
	if (paused.value)
		return;
	if (name === "stats")
		applyStats(data);
	else if (name === "rule")
		run(tasks.rules);
	else if (name === "finding")
		run(tasks.findings);
	else if (name === "gap") {
		gaps.value += data?.lost ?? 0;
		refresh("rules", "findings");
	}
}

function startStream() {
	stream = new Stream(TOPICS, {
		open: () => {
			streaming = true;
			link.value = { state: "live", text: "" };
			refresh();
			tellJob(null);
		},
		event: onEvent,
		lost: () => {
			if (streaming)
				refresh("stats", "health");
			streaming = false;
			tellJob(null);
			if (link.value.state === "live" || link.value.state === "connecting")
				link.value = { state: "polling", text: "" };
		},
	});
}

function restartStream() {
	stream?.close();
	streaming = false;
	startStream();
}

export function pause(on) {
	paused.value = on;
	if (!on)
		refresh();
}

export function start() {
	startStream();
	beat();
	refresh();
	document.addEventListener("visibilitychange", () => document.hidden || paused.value || refresh());
}
