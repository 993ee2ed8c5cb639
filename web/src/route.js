// Which view is shown, and what it was called with: kept in the address, so that Back, links and reloads work. #view?key=value

import { signal } from "@preact/signals";

export const VIEWS = ["overview", "connections", "icmp", "rules", "findings", "assistant", "events", "health"];

function read() {
	const [name, query = ""] = location.hash.slice(1).split("?");
	return { view: VIEWS.includes(name) ? name : VIEWS[0], args: Object.fromEntries(new URLSearchParams(query)) };
}

export const route = signal(read());

export function href(view, args = {}) {
	const query = new URLSearchParams(Object.entries(args).filter(([, value]) => value !== undefined && value !== "" && value !== null)).toString();
	return `#${view}${query ? `?${query}` : ""}`;
}

export function go(view, args) {
	location.hash = href(view, args);
}

/** Changes the arguments of the view without a step in the history. */
export function note(args) {
	history.replaceState(null, "", href(route.value.view, args));
	route.value = read();
}

window.addEventListener("hashchange", () => { route.value = read(); });
