import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { addTask } from "../store.js";

/** Runs fn now, when `inputs` change, and every so many seconds while the view is there. Returns a function that runs it at once. */
export function usePoll(fn, every, inputs) {
	const latest = useRef(fn);
	latest.current = fn;
	const again = useRef(() => {});
	useEffect(() => {
		let gone = false;
		const task = { every, run: () => latest.current(() => gone) };
		const remove = addTask(task);
		again.current = () => { task.due = 0; };
		return () => {
			gone = true;
			remove();
		};
	}, inputs);
	return again;
}

/** [ref, {width, height}] of an element's content box. */
export function useSize(initial = { width: 0, height: 0 }) {
	const ref = useRef(null);
	const [size, setSize] = useState(initial);
	useLayoutEffect(() => {
		const node = ref.current;
		const measure = () => setSize((was) => (was.width === node.clientWidth && was.height === node.clientHeight ? was :
			{ width: node.clientWidth, height: node.clientHeight }));
		const observer = new ResizeObserver(measure);
		observer.observe(node);
		measure();
		return () => observer.disconnect();
	}, []);
	return [ref, size];
}

/** Escape closes what is open beside a table, unless a dialog is open over it. It listens from the moment that it is seen. */
export function useEscape(close) {
	const latest = useRef(close);
	latest.current = close;
	useLayoutEffect(() => {
		const onkey = (event) => event.key === "Escape" && !document.querySelector("dialog[open]") && latest.current();
		document.addEventListener("keydown", onkey);
		return () => document.removeEventListener("keydown", onkey);
	}, []);
}

/** The value, as it was `ms` after it last changed. */
export function useSettled(value, ms) {
	const [settled, setSettled] = useState(value);
	const text = JSON.stringify(value);
	useEffect(() => {
		const timer = setTimeout(() => setSettled(value), ms);
		return () => clearTimeout(timer);
	}, [text]);
	return settled;
}
