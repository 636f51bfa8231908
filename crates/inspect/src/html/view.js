"use strict";
// Links the tree of an inspection with its bytes: hover, click and keys on either side.
const linkInspection = (article) => {
  const items = [...article.querySelectorAll("[role=treeitem]")];
  if (!items.length) return;
  const status = article.querySelector("[role=status]");
  const level = (item) => +item.getAttribute("aria-level");
  // Of each buffer the parts of its lines, in order, and the fields that have bytes in it.
  const panes = new Map();
  for (const dump of article.querySelectorAll(".dump")) {
    const hex = [...dump.querySelectorAll(".h i")], text = [...dump.querySelectorAll(".t i")];
    const starts = hex.map((part) => +part.dataset.o);
    panes.set(dump.dataset.b, { dump, hex, text, starts, fields: [] });
  }
  items.forEach((item, index) => {
    const next = items[index + 1];
    item.tabIndex = index ? -1 : 0;
    if (next && level(next) > level(item)) item.setAttribute("aria-expanded", "true");
    if (item.dataset.b) panes.get(item.dataset.b)?.fields.push(item);
  });
  const range = (item) => [+item.dataset.o, +item.dataset.o + +item.dataset.l];

  const marked = { hot: [], on: [] };
  const mark = (name, item) => {
    marked[name].forEach((it) => it.classList.remove(name));
    marked[name] = [];
    if (!item) return null;
    marked[name].push(item);
    const pane = panes.get(item.dataset.b);
    let first = null;
    if (pane) {
      const [start, end] = range(item);
      let low = 0, high = pane.starts.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (pane.starts[middle] < start) low = middle + 1; else high = middle;
      }
      first = pane.hex[low];
      for (; low < pane.starts.length && pane.starts[low] < end; low++)
        marked[name].push(pane.hex[low], pane.text[low]);
    }
    marked[name].forEach((it) => it.classList.add(name));
    return first;
  };

  let current = null;
  const choose = (item, { focus = true, scroll = true } = {}) => {
    if (current) current.tabIndex = -1; else items[0].tabIndex = -1;
    current = item;
    item.tabIndex = 0;
    items.forEach((it) => it.removeAttribute("aria-selected"));
    item.setAttribute("aria-selected", "true");
    const first = mark("on", item);
    status.textContent = item.textContent.trim().slice(0, 200);
    if (focus) item.focus();
    if (scroll && first) {
      const dump = first.closest(".dump");
      const [box, it] = [dump.getBoundingClientRect(), first.getBoundingClientRect()];
      if (it.top < box.top || it.bottom > box.bottom) dump.scrollTop += it.top - box.top - box.height / 3;
      dump.closest("section").scrollIntoView({ block: "nearest" });
    }
    if (!focus) item.scrollIntoView({ block: "nearest" });
  };

  const toggle = (item, open) => {
    if (!item.hasAttribute("aria-expanded")) return;
    item.setAttribute("aria-expanded", String(open));
    let closed = open ? Infinity : level(item);
    for (let index = items.indexOf(item) + 1; index < items.length && level(items[index]) > level(item); index++) {
      const it = items[index];
      if (level(it) <= closed) closed = Infinity;
      it.hidden = level(it) > closed;
      if (!it.hidden && it.getAttribute("aria-expanded") === "false") closed = level(it);
    }
  };

  // The innermost field at a byte: the shortest, and of two the later one.
  const fieldAt = (pane, at) => {
    let best = null, size = Infinity;
    for (const item of pane.fields) {
      const [start, end] = range(item);
      if (start <= at && at < end && end - start <= size) [best, size] = [item, end - start];
    }
    return best;
  };
  const itemOf = (target) => {
    const item = target.closest("[role=treeitem]");
    if (item) return item;
    const pane = panes.get(target.closest(".dump")?.dataset.b);
    let part = target.closest("i");
    if (!pane || !part) return null;
    if (!part.dataset.o) part = pane.hex[pane.text.indexOf(part)];
    return part ? fieldAt(pane, +part.dataset.o) : null;
  };

  article.addEventListener("pointerover", (event) => mark("hot", itemOf(event.target)));
  article.addEventListener("pointerleave", () => mark("hot", null));
  article.addEventListener("click", (event) => {
    const item = itemOf(event.target);
    if (!item) return;
    const isTree = item.contains(event.target);
    // The triangle stands before the text.
    if (isTree && event.clientX - item.getBoundingClientRect().left < 20)
      toggle(item, item.getAttribute("aria-expanded") === "false");
    const show = () => { for (let it = item; it; it = parent(it)) it.hidden = false; };
    if (!isTree) show();
    choose(item, { focus: isTree, scroll: isTree });
  });
  article.addEventListener("focusin", (event) => {
    const item = event.target.closest("[role=treeitem]");
    if (item && item !== current) choose(item, { focus: false });
  });

  const parent = (item) => {
    let index = items.indexOf(item);
    while (--index >= 0) if (level(items[index]) < level(item)) return items[index];
    return null;
  };
  const step = (item, by) => {
    let index = items.indexOf(item) + by;
    while (items[index]?.hidden) index += by;
    return items[index];
  };
  article.querySelector("[role=tree]").addEventListener("keydown", (event) => {
    const item = event.target.closest("[role=treeitem]");
    if (!item || event.ctrlKey || event.altKey || event.metaKey) return;
    const expanded = item.getAttribute("aria-expanded");
    let to = null;
    switch (event.key) {
      case "ArrowDown": to = step(item, 1); break;
      case "ArrowUp": to = step(item, -1); break;
      case "Home": to = items[0]; break;
      case "End": to = items.findLast((it) => !it.hidden); break;
      case "ArrowRight": if (expanded === "false") toggle(item, true); else if (expanded) to = step(item, 1); break;
      case "ArrowLeft": if (expanded === "true") toggle(item, false); else to = parent(item); break;
      case "Enter": case " ": if (expanded) toggle(item, expanded === "false"); break;
      case "*": items.filter((it) => level(it) === level(item)).forEach((it) => toggle(it, true)); break;
      default: return;
    }
    event.preventDefault();
    if (to) choose(to);
  });
  for (const { dump, fields } of panes.values()) {
    const ends = fields.filter((item) => !item.hasAttribute("aria-expanded") && +item.dataset.l);
    dump.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Enter" && current) { current.focus(); event.preventDefault(); }
      if (!by || !ends.length || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      const at = ends.indexOf(current);
      const to = at < 0 ? ends[0] : ends[Math.min(Math.max(at + by, 0), ends.length - 1)];
      for (let it = to; it; it = parent(it)) it.hidden = false;
      choose(to, { focus: false });
    });
  }
};
