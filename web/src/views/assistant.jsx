// The AI worker: how it is set up, what it makes of the traffic, and the rules it proposes. Nothing it proposes is installed unless
// somebody accepts it here.

import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, call, get, isAbsent } from "../api.js";
import { absent, ai, isStreaming, refresh, watchJobs } from "../store.js";
import { href } from "../route.js";
import { Absent, Badge, ConnectionLink, Impact } from "../ui/bits.jsx";
import { toast } from "../ui/toast.jsx";
import { effect, settable, summary } from "../rule.js";
import { act, forced } from "./rules.jsx";
import * as f from "../format.js";

const TYPES = [["security", "Security"], ["performance", "Performance"], ["balanced", "Balanced"], ["custom", "My own question"]];

function Config({ onchange }) {
	const [config, setConfig] = useState(null);
	const [error, setError] = useState(null);
	const [key, setKey] = useState("");
	useEffect(() => {
		get("/api/ai/config").then(({ body }) => setConfig(body), (problem) => setConfig(isAbsent(problem) ? false : null));
	}, []);
	if (config === false)
		return <p class="hint">This gateway offers no settings for the AI worker; it takes them from its environment.</p>;
	if (!config)
		return <p class="hint">Asking …</p>;
	const set = (name) => (event) => setConfig({ ...config, [name]: event.target.type === "checkbox" ? event.target.checked : event.target.value });
	const save = async (event) => {
		event.preventDefault();
		const { openai_endpoint, model, debug } = config;
		const temperature = Number(config.temperature), timeout = Number(config.timeout);
		try {
			const { body } = await call("POST", "/api/ai/config", { openai_endpoint, model, temperature, timeout, debug, ...(key ? { api_key: key } : {}) });
			setConfig(body?.openai_endpoint === undefined ? { ...config, has_api_key: config.has_api_key || Boolean(key) } : body);
			setKey("");
			setError(null);
			toast("The settings of the AI worker are saved.");
			refresh("ai");
			onchange?.();
		} catch (problem) {
			if (!(problem instanceof ApiError))
				throw problem;
			setError(problem);
		}
	};
	const invalid = (name) => (error?.field === name ? "true" : undefined);
	return (
		<form id="ai-config" class="stack" onsubmit={save} autocomplete="off">
			{error && <p class="error" role="alert">{error.message}</p>}
			<div class="grid">
				<label class="wide">Endpoint<input name="openai_endpoint" value={config.openai_endpoint ?? ""} oninput={set("openai_endpoint")} placeholder="http://127.0.0.1:11434/v1" spellcheck={false} aria-invalid={invalid("openai_endpoint")} /></label>
				<label>Model<input name="model" value={config.model ?? ""} oninput={set("model")} spellcheck={false} aria-invalid={invalid("model")} /></label>
				<label>API key<input name="api_key" type="password" autocomplete="off" value={key} oninput={(event) => setKey(event.target.value)} placeholder={config.has_api_key ? "set; type to replace it" : "none"} aria-invalid={invalid("api_key")} /></label>
				<label>Temperature<input name="temperature" inputmode="decimal" value={config.temperature ?? ""} oninput={set("temperature")} aria-invalid={invalid("temperature")} /></label>
				<label>Time limit in seconds<input name="timeout" inputmode="numeric" value={config.timeout ?? ""} oninput={set("timeout")} aria-invalid={invalid("timeout")} /></label>
			</div>
			<label class="check"><input type="checkbox" checked={Boolean(config.debug)} onchange={set("debug")} /> Log questions and answers (never the key)</label>
			<div class="actions"><button type="submit">Save settings</button></div>
		</form>
	);
}

function Status() {
	const s = ai.value;
	if (!s)
		return <Badge kind="warn">the AI worker does not answer</Badge>;
	return s.is_configured ? <Badge kind="established">a model is configured</Badge> : <Badge title="Local detectors answer by themselves">no model: local detectors answer</Badge>;
}

function Proposal({ rule, state, onaccept, onreject }) {
	const evidence = rule.evidence ?? {};
	return (
		<li class="proposal-card" data-state={state}>
			<div class="finding-head"><Badge kind={rule.mode === "shadow" ? "shadow" : rule.action}>{rule.mode === "shadow" ? `shadow ${rule.action}` : effect(rule)}</Badge>
				<div class="grow"><h3 class="mono">{summary(rule)}</h3>{(rule.reason || rule.comment) && <p>{rule.reason || rule.comment}</p>}</div>
				{state && <Badge kind={state === "rejected" ? "ended" : "established"}>{state}</Badge>}</div>
			<Impact impact={rule.impact} warnings={rule.warnings} />
			{(evidence.connections?.length > 0 || evidence.findings?.length > 0) && (
				<p class="evidence">Because of {(evidence.findings ?? []).map((id) => <a key={id} href={href("findings", { id })}>{id}</a>)} {(evidence.connections ?? []).slice(0, 6).map((id) => <ConnectionLink key={id} id={id} />)}</p>)}
			{!state && (
				<div class="actions">
					<button type="button" class="quiet reject" onclick={onreject}>Reject</button>
					<button type="button" class="accept-shadow" onclick={() => onaccept("shadow")} title="Counts what it would do; promote it under Rules">Accept as shadow</button>
					<button type="button" class="primary accept" onclick={() => onaccept("enforce")}>Accept and enforce</button>
				</div>)}
		</li>
	);
}

function Result({ result, decided, decide }) {
	if (!result.success)
		return <p class="error" role="alert">{result.error ?? "It did not work out."}</p>;
	const accept = (rule, i) => async (mode) => {
		await act(async (force) => {
			await call("POST", forced("/api/filters", force), { ...rule, mode, enabled: true });
			decide(i, mode === "shadow" ? "accepted as shadow" : "accepted");
		}, "The rule is installed.");
	};
	return (
		<>
			{result.filters && (
				<section class="panel" id="ai-proposals" aria-labelledby="proposals-title">
					<header><h2 id="proposals-title">Proposed rules</h2><span class="soft">none is installed unless you accept it</span></header>
					<ul class="findings">{result.filters.map((rule, i) => <Proposal key={i} rule={rule} state={decided[i]} onaccept={accept(rule, i)} onreject={() => decide(i, "rejected")} />)}</ul>
					{!result.filters.length && <p class="empty">It proposes no rules.</p>}
					{result.rejected?.length > 0 && <details><summary>{f.plural(result.rejected.length, "proposal")} thrown away by the checks</summary>
						<ul class="prose">{result.rejected.map((r, i) => <li key={i}><code>{typeof r.rule === "string" ? r.rule : summary(r.rule ?? {})}</code>: {r.reason}</li>)}</ul></details>}
				</section>)}
			<section class="panel" id="ai-analysis" aria-labelledby="analysis-title">
				<header><h2 id="analysis-title">Analysis</h2><span class="soft">{result.engine === "llm" ? `by ${result.model ?? "the model"}` : "by the local detectors"}{result.tokens_used ? `, ${f.plural(result.tokens_used, "token")}` : ""}</span></header>
				{result.summary && <p class="lead">{result.summary}</p>}
				<div class="prose">{String(result.analysis ?? "").split(/\n{2,}/).map((part) => <p key={part}>{part}</p>)}</div>
				{result.suggestions?.length > 0 && <><h3>Suggestions</h3><ul class="prose">{result.suggestions.map((text) => <li key={text}>{typeof text === "string" ? text : JSON.stringify(text)}</li>)}</ul></>}
			</section>
		</>
	);
}

const LOOK = 700, LOOK_STREAMING = 15000; // ms between two questions for a job, and while the stream tells of it

/** Runs generate or analyze as a job. The stream tells how far it is and that it ended; what came of it is asked for then. */
function useJob() {
	const [job, setJob] = useState({ state: "idle" });
	const id = useRef(null), timer = useRef(0);
	const apply = (j) => {
		if (j.state === "done" || j.state === "failed") {
			id.current = null;
			clearTimeout(timer.current);
			setJob({ state: "done", result: j.result ?? { success: false, error: j.error ?? "The job failed." } });
		} else {
			setJob({ state: "running", progress: j.progress, stage: j.stage });
		}
	};
	const look = async () => {
		const asked = id.current;
		clearTimeout(timer.current);
		if (!asked)
			return;
		try {
			const { body } = await get(`/api/ai/jobs/${asked}`);
			if (id.current === asked)
				apply(body);
		} catch (error) {
			if (id.current === asked && error.status === 404) {
				id.current = null;
				setJob({ state: "done", result: { success: false, error: "The AI worker was restarted meanwhile; ask again." } });
			}
		}
		if (id.current === asked) {
			clearTimeout(timer.current);
			timer.current = setTimeout(look, isStreaming() ? LOOK_STREAMING : LOOK);
		}
	};
	useEffect(() => watchJobs((j) => {
		if (j && j.job !== id.current)
			return;
		if (!j || j.state === "done" || j.state === "failed")
			look();
		else
			apply(j);
	}), []);
	useEffect(() => () => { id.current = null; clearTimeout(timer.current); }, []);

	const start = async (verb, question) => {
		setJob({ state: "running", progress: 0, stage: "asking" });
		try {
			const { status, body } = await call("POST", `/api/ai/${verb}?async=1`, question, { timeout: 180000 });
			if (status !== 202) {
				setJob({ state: "done", result: body });
				return;
			}
			id.current = body.job;
			setJob({ state: "running", progress: body.progress ?? 0, stage: body.stage ?? body.state });
			look();
		} catch (error) {
			if (!(error instanceof ApiError))
				throw error;
			setJob({ state: "done", result: { success: false, error: isAbsent(error) ? "This gateway cannot generate rules." : error.message } });
		}
	};
	return [job, start];
}

export function Assistant() {
	const [type, setType] = useState("security");
	const [prompt, setPrompt] = useState("");
	const [include, setInclude] = useState({ include_tcp: true, include_icmp: true, include_stats: true });
	const [decided, setDecided] = useState({});
	const [job, start] = useJob();
	if (absent.value.ai)
		return <div class="view" id="view-assistant"><Absent what="the AI worker" /></div>;
	const ask = (verb) => {
		setDecided({});
		start(verb, { ...include, ...(verb === "generate" ? { analyze_type: type, ...(type === "custom" ? { custom_prompt: prompt } : {}) } : {}) });
	};
	const running = job.state === "running";
	return (
		<div class="view" id="view-assistant">
			<div class="pair uneven">
				<section class="panel" aria-labelledby="ask-ai-title">
					<header><h2 id="ask-ai-title">Ask about the traffic</h2><Status /></header>
					<form id="ai-ask" class="stack" onsubmit={(event) => { event.preventDefault(); ask("generate"); }}>
						<fieldset class="choices"><legend>Look at it for</legend>{TYPES.map(([value, label]) => (
							<label key={value} class="check"><input type="radio" name="type" value={value} checked={type === value} onchange={() => setType(value)} /> {label}</label>))}</fieldset>
						{type === "custom" && <label>Question<textarea id="ai-prompt" rows={3} maxlength={4000} value={prompt} oninput={(event) => setPrompt(event.target.value)} /></label>}
						<fieldset class="choices"><legend>Show it</legend>{[["include_tcp", "connections"], ["include_icmp", "ICMP"], ["include_stats", "counters"]].map(([name, label]) => (
							<label key={name} class="check"><input type="checkbox" checked={include[name]} onchange={(event) => setInclude({ ...include, [name]: event.target.checked })} /> {label}</label>))}</fieldset>
						<div class="actions"><button type="button" id="ai-analyze" disabled={running} onclick={() => ask("analyze")}>Only analyse</button>
							<button type="submit" id="ai-generate" class="primary" disabled={running || (type === "custom" && !prompt.trim())}>Propose rules</button></div>
					</form>
					{running && <div class="progress" role="status"><progress max={100} value={job.progress || undefined} aria-label="Progress" /><span>{job.stage ?? "working"}{job.progress ? ` · ${job.progress}\u2009%` : ""}</span></div>}
				</section>
				<section class="panel" aria-labelledby="ai-config-title"><header><h2 id="ai-config-title">Settings</h2></header><Config /></section>
			</div>
			{job.state === "done" && job.result && <Result result={job.result} decided={decided} decide={(i, word) => setDecided((was) => ({ ...was, [i]: word }))} />}
		</div>
	);
}
