// The REST interface: one function, errors as what the gateway says of them (RFC 9457).

const TIMEOUT = 5000;
const KEY = "packetscope-token";

export class ApiError extends Error {
	constructor(status, problem) {
		super(problem?.detail ?? (status ? `The gateway answered with status ${status}.` : "The gateway does not answer."));
		this.status = status; // 0: no answer at all
		this.code = problem?.code;
		this.field = problem?.field;
	}
}

let token = sessionStorage.getItem(KEY);

export function setToken(text) {
	token = text;
	sessionStorage.setItem(KEY, text);
}

/** {status, headers, body}; `accept`: statuses beside 2xx that are an answer and no error. */
export async function call(method, path, body, accept = []) {
	const headers = {};
	if (body !== undefined)
		headers["Content-Type"] = "application/json";
	if (token)
		headers.Authorization = `Bearer ${token}`;
	let response, data;
	try {
		response = await fetch(path, {
			method, headers, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT),
			body: body === undefined ? undefined : JSON.stringify(body),
		});
		const text = await response.text();
		data = text && (response.headers.get("Content-Type") ?? "").includes("json") ? JSON.parse(text) : null;
	} catch {
		throw new ApiError(0, null);
	}
	if (!response.ok && !accept.includes(response.status))
		throw new ApiError(response.status, data);
	return { status: response.status, headers: response.headers, body: data };
}

export const get = (path, accept) => call("GET", path, undefined, accept);
