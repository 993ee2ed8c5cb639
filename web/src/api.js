// The REST interface: one function, errors as what the gateway says of them (RFC 9457).

const TIMEOUT = 8000;
const KEY = "packetscope-token";

export class ApiError extends Error {
	constructor(status, problem) {
		super(problem?.detail ?? (status ? `The gateway answered with status ${status}.` : "The gateway does not answer."));
		this.status = status; // 0: no answer at all
		this.code = problem?.code;
		this.field = problem?.field;
		this.guard = problem?.guard ?? [];
	}
}

let token = sessionStorage.getItem(KEY);

export function setToken(text) {
	token = text;
	sessionStorage.setItem(KEY, text);
}

export const authorization = () => (token ? { Authorization: `Bearer ${token}` } : {});

/** text, or parsed when it is JSON (problems are JSON too). */
async function read(response) {
	const text = await response.text();
	return (response.headers.get("Content-Type") ?? "").includes("json") ? JSON.parse(text || "null") : text;
}

/**
 * {status, headers, body}. options: accept (statuses beside 2xx that are an answer and no error), headers, timeout (ms), signal;
 * text: the body is sent as it is, as plain text.
 */
export async function call(method, path, body, { accept = [], headers = {}, timeout = TIMEOUT, signal, text = false } = {}) {
	const sent = { ...authorization(), ...headers };
	if (body !== undefined)
		sent["Content-Type"] = text ? "text/plain" : "application/json";
	const limits = [AbortSignal.timeout(timeout), signal].filter(Boolean);
	let response, data;
	try {
		response = await fetch(path, { method, headers: sent, cache: "no-store", signal: AbortSignal.any(limits),
			body: body === undefined || text ? body : JSON.stringify(body) });
		data = await read(response);
	} catch (error) {
		if (signal?.aborted)
			throw error;
		throw new ApiError(0, null);
	}
	if (!response.ok && !accept.includes(response.status))
		throw new ApiError(response.status, typeof data === "object" ? data : null);
	return { status: response.status, headers: response.headers, body: data };
}

export const get = (path, options) => call("GET", path, undefined, options);

/** Is this the answer of a gateway that has no such path, or of a part that has no such operation? */
export const isAbsent = (error) => error instanceof ApiError && (error.status === 405 || (error.status === 404 && ["no_such_path", "unknown_op"].includes(error.code)));
