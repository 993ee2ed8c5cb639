// Dark, light, or as the system has it; kept in the browser.

import { signal } from "@preact/signals";

const KEY = "packetscope-theme";
const CHOICES = ["auto", "dark", "light"];

const dark = matchMedia("(prefers-color-scheme: dark)");

export const choice = signal(CHOICES.includes(localStorage.getItem(KEY)) ? localStorage.getItem(KEY) : "auto");
export const theme = signal("dark");

function apply() {
	theme.value = choice.value === "auto" ? (dark.matches ? "dark" : "light") : choice.value;
	document.documentElement.dataset.theme = theme.value;
}

export function nextTheme() {
	choice.value = CHOICES[(CHOICES.indexOf(choice.value) + 1) % CHOICES.length];
	localStorage.setItem(KEY, choice.value);
	apply();
}

dark.addEventListener("change", apply);
apply();
