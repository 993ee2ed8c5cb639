// A table of any length: only the rows in sight are in the document. It is a grid to assistive technology, with the true number of
// rows; the arrow keys move, Enter opens.

import { Component } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { useSize } from "./hooks.js";
import * as f from "../format.js";

const ROW = 34, CARD = 62;
const SPARE = 12; // rows beyond the edges, so that a quick turn of the wheel finds them there
const NARROW = 560;
/* The highest element that every browser draws (Firefox stops at 17.8 million pixels). */
const HEIGHT_MAX = 16e6;

const shown = (columns, width) => columns.filter(({ from = 0 }) => width >= from);

function Head({ columns, sort, order, onsort }) {
	return (
		<div class="thead" role="rowgroup">
			<div class="tr" role="row" aria-rowindex={1}>
				{columns.map((c) => {
					const state = c.sort && c.sort === sort ? (order === "asc" ? "ascending" : "descending") : c.sort ? "none" : undefined;
					return (
						<div key={c.id} role="columnheader" class={`th ${c.id}${c.number ? " number" : ""}`} aria-sort={state} title={c.title}>
							{c.sort ? <button type="button" onclick={() => onsort(c)}>{c.label}</button> : c.label || <span class="visually-hidden">{c.name}</span>}
						</div>
					);
				})}
			</div>
		</div>
	);
}

function SortMenu({ columns, sort, order, onsort }) {
	const sortable = columns.filter((c) => c.sort);
	if (!sortable.length)
		return null;
	return (
		<div class="sortmenu">
			<label>Order by <select value={sort} onchange={(event) => onsort(sortable.find((c) => c.sort === event.target.value))}>
				{sortable.map((c) => <option key={c.id} value={c.sort}>{c.name ?? c.label}</option>)}</select></label>
			<button type="button" class="quiet" aria-label={order === "asc" ? "Ascending; change to descending" : "Descending; change to ascending"}
				onclick={() => onsort(sortable.find((c) => c.sort === sort) ?? sortable[0])}>{order === "asc" ? "↑" : "↓"}</button>
		</div>
	);
}

/** One row. It is drawn anew only when something of it changed: while the table scrolls, the others stay as they are. */
class Row extends Component {
	shouldComponentUpdate(next) {
		const now = this.props;
		return next.row !== now.row || next.top !== now.top || next.active !== now.active || next.selected !== now.selected || next.columns !== now.columns || next.card !== now.card;
	}

	render({ id, i, row, top, active, selected, columns, card, attributes, onclick, keyOf }) {
		return (
			<div id={`${id}-${i}`} role="row" aria-rowindex={i + 2} class={row ? "tr" : "tr loading"} style={{ top: `${top}px` }} data-key={row ? keyOf(row) : undefined}
				data-active={active || undefined} aria-selected={selected} onclick={(event) => onclick(event, i, row)} {...(row ? attributes?.(row) : undefined)}>
				{!row ? <div role="gridcell" class="td skeleton">…</div> : card ? <div class="card" role="gridcell">{card(row)}</div> :
					columns.map((c) => <div key={c.id} role="gridcell" class={`td ${c.id}${c.number ? " number" : ""}`}>{c.cell(row)}</div>)}
			</div>
		);
	}
}

/**
 * columns: {id, label, name (in words, where the label is short), title, sort (undefined: can't be sorted by), number (right-aligned),
 *	width (CSS track), from (the width in pixels from which there is room for it), cell(row)}
 * columns and card must stay the same objects while they mean the same.
 * card(row): what stands for a row where columns have no room. total; at(i): the row or undefined (not known yet); keyOf(row).
 * sort, order, onsort(sort, order). onopen(row): a row was chosen; selected: its key. onrange(first, last): rows in sight changed.
 * attributes(row): data- attributes of the row. label: what it lists. empty: what stands there when there is nothing.
 * onhover(over): the pointer came or moved (true), or left.
 */
export function Table({ id, columns, card, total, at, keyOf, sort, order, onsort, onopen, selected, onrange, attributes, label, empty, onhover }) {
	const [scroller, size] = useSize({ width: 1200, height: 600 });
	const [top, setTop] = useState(0);
	const [active, setActive] = useState(0);
	const frame = useRef(0);
	const narrow = card && size.width < NARROW;
	const high = narrow ? CARD : ROW;
	const reach = Math.min(total, Math.floor(HEIGHT_MAX / high));
	const first = Math.max(0, Math.min(Math.floor(top / high), reach - 1) - SPARE);
	const last = Math.min(reach, Math.ceil((top + size.height) / high) + SPARE);
	const visible = useMemo(() => (narrow ? columns : shown(columns, size.width)), [columns, narrow, size.width]);

	useEffect(() => { onrange?.(first, last); }, [first, last]);
	useEffect(() => () => cancelAnimationFrame(frame.current), []);
	useLayoutEffect(() => {
		if (active >= reach)
			setActive(Math.max(0, reach - 1));
	}, [reach]);

	const onscroll = () => {
		if (!frame.current) {
			frame.current = requestAnimationFrame(() => {
				frame.current = 0;
				setTop(scroller.current?.scrollTop ?? 0);
			});
		}
	};
	const change = (c) => {
		if (c.sort === sort)
			onsort(sort, order === "desc" ? "asc" : "desc");
		else
			onsort(c.sort, c.number ? "desc" : "asc");
		scroller.current.scrollTop = 0;
	};
	const move = (i) => {
		const to = Math.max(0, Math.min(reach - 1, i));
		const node = scroller.current, head = narrow ? 0 : ROW;
		setActive(to);
		if (to * high < node.scrollTop)
			node.scrollTop = to * high;
		else if ((to + 1) * high + head > node.scrollTop + node.clientHeight)
			node.scrollTop = (to + 1) * high + head - node.clientHeight;
		setTop(node.scrollTop);
	};
	const onkey = (event) => {
		if (event.target !== scroller.current || event.ctrlKey || event.metaKey || event.altKey)
			return;
		const page = Math.max(1, Math.floor(size.height / high) - 2);
		const to = { ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + page, PageUp: active - page, Home: 0, End: reach - 1 }[event.key];
		if (to !== undefined)
			move(to);
		else if ((event.key === "Enter" || event.key === " ") && at(active))
			onopen?.(at(active));
		else
			return;
		event.preventDefault();
	};
	const onclick = (event, i, row) => {
		setActive(i);
		if (row && !event.target.closest("button, input, a, label, select") && !String(getSelection()))
			onopen?.(row);
	};

	/* Rows live longer than one drawing of the table, so what they call must not change. */
	const click = useRef(onclick);
	click.current = onclick;
	const clicked = useMemo(() => (...args) => click.current(...args), []);

	const rows = [];
	for (let i = first; i < last; i++) {
		const row = at(i);
		const key = row ? keyOf(row) : `#${i}`;
		rows.push(<Row key={key} id={id} i={i} row={row} top={i * high} active={i === active} selected={onopen ? key === selected : undefined} columns={visible} card={narrow ? card : null}
			attributes={attributes} onclick={clicked} keyOf={keyOf} />);
	}
	return (
		<div class="tablebox" data-narrow={narrow || undefined}>
			{narrow && <SortMenu columns={columns} sort={sort} order={order} onsort={change} />}
			<div class="scroll" ref={scroller} tabindex={0} role="grid" id={id} aria-label={label} aria-rowcount={total + 1} aria-colcount={visible.length}
				aria-activedescendant={active >= first && active < last ? `${id}-${active}` : undefined} onscroll={onscroll} onkeydown={onkey}
				style={{ "--cols": visible.map((c) => c.width ?? "minmax(0, 1fr)").join(" "), "--row": `${high}px` }}>
				{!narrow && <Head columns={visible} sort={sort} order={order} onsort={change} />}
				<div class="tbody" role="rowgroup" style={{ height: `${reach * high}px` }} onpointerenter={() => onhover?.(true)} onpointerdown={() => onhover?.(true)} onpointermove={() => onhover?.(true)}
					onpointerleave={() => onhover?.(false)}>{rows}</div>
			</div>
			{total === 0 && empty && <p class="empty" id={`${id}-empty`}>{empty}</p>}
			{reach < total && <p class="hint tablenote">The first {f.count(reach)} of {f.count(total)} can be scrolled to; filter to see the others.</p>}
		</div>
	);
}
