"use strict";
(() => {
  const by = (id) => document.getElementById(id);
  const make = (name, className, text) => {
    const it = document.createElement(name);
    if (className) it.className = className;
    if (text !== undefined) it.textContent = text;
    return it;
  };
  const HEIGHT = 28, MOST = 100000, PASTE = 4 << 20, COLOURS = 6;
  const list = by("rows"), space = by("space"), view = by("view"), state = by("state");

  // Answers are made of escaped text, and the policy of the page allows no script in them.
  const show = (html) => {
    const answer = new DOMParser().parseFromString(html, "text/html");
    view.replaceChildren(...answer.body.childNodes);
    view.querySelectorAll("article").forEach(linkInspection);
  };
  const fail = (text) => view.replaceChildren(make("p", "error", text));

  // Inspect what is pasted or dropped.
  const ask = async (body) => {
    if (body.size > PASTE) return fail("This has more than 4 MiB: use status-inspect FILE.");
    try {
      const answer = await fetch("inspect", { method: "POST", body });
      if (!answer.ok) return fail(`The tool answers ${answer.status}.`);
      show(await answer.text());
      view.scrollIntoView({ block: "start" });
    } catch { fail("The tool does not answer: it may have ended."); }
  };
  by("ask").addEventListener("submit", (event) => { event.preventDefault(); ask(new Blob([by("input").value])); });
  by("input").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) by("ask").requestSubmit();
  });
  by("file").addEventListener("change", (event) => ask(new Blob([...event.target.files])));
  for (const name of ["dragover", "dragleave", "drop"]) addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", name === "dragover");
    if (name !== "drop") return;
    const files = [...event.dataTransfer.files];
    ask(new Blob(files.length ? files : [event.dataTransfer.getData("text")]));
  });
  addEventListener("paste", (event) => {
    if (event.target.closest("input, textarea")) return;
    const files = [...event.clipboardData.files];
    ask(new Blob(files.length ? files : [event.clipboardData.getData("text")]));
  });

  // The rows: all that came, and the numbers of those that the filter passes.
  let rows = [], first = 0, next = 0, passing = [], active = -1, opened = -1;
  const wanted = () => (by("filter").value.toLowerCase().match(/"[^"]*"?|\S+/g) ?? []).map((it) => it.replaceAll('"', "")).filter(Boolean);
  const passes = (row, words) => words.every((word) => {
    if (word === "fails") return row.fails > 0;
    const [, member, text] = word.match(/^(topic|kind|chat|author):(.*)$/) ?? [];
    return member ? (row[member] ?? "").toLowerCase().includes(text) : row.all.includes(word);
  });
  const time = (second) => second === null ? "" : new Date(second * 1000).toISOString().slice(0, 19).replace("T", " ");

  const draw = () => {
    const words = wanted();
    passing = [];
    rows.forEach((row, index) => { if (passes(row, words)) passing.push(index); });
    active = Math.min(active, passing.length - 1);
    space.style.height = `${passing.length * HEIGHT}px`;
    by("count").textContent = `${passing.length} of ${rows.length}`;
    if (by("follow").checked && document.activeElement !== list) list.scrollTop = list.scrollHeight;
    place();
    drawTimeline();
  };

  // Only the rows in view are elements.
  const place = () => {
    const from = Math.max(0, Math.floor(list.scrollTop / HEIGHT) - 5);
    const to = Math.min(passing.length, Math.ceil((list.scrollTop + list.clientHeight) / HEIGHT) + 5);
    const shown = [];
    for (let at = from; at < to; at++) {
      const row = rows[passing[at]];
      const it = make("div", row.fails ? "row fails" : "row");
      it.id = `row-${row.number}`;
      it.setAttribute("role", "option");
      it.setAttribute("aria-posinset", at + 1);
      it.setAttribute("aria-setsize", passing.length);
      it.setAttribute("aria-selected", String(at === active));
      it.style.top = `${at * HEIGHT}px`;
      it.dataset.at = at;
      const parts = { when: time(row.sent), topic: row.topic ?? "", chat: row.chat ?? "", author: row.author ?? "", kind: row.text || row.kind, size: `${row.size} B` };
      for (const [name, text] of Object.entries(parts)) it.append(make("span", name, text));
      shown.push(it);
    }
    list.replaceChildren(space, ...shown);
    if (active >= 0 && active >= from && active < to) list.setAttribute("aria-activedescendant", `row-${rows[passing[active]].number}`);
    else list.removeAttribute("aria-activedescendant");
  };
  list.addEventListener("scroll", () => requestAnimationFrame(place), { passive: true });
  addEventListener("resize", () => requestAnimationFrame(place));

  const go = (to) => {
    if (!passing.length) return;
    active = Math.max(0, Math.min(to, passing.length - 1));
    const top = active * HEIGHT;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + HEIGHT > list.scrollTop + list.clientHeight) list.scrollTop = top + HEIGHT - list.clientHeight;
    place();
  };
  const open = async (moves) => {
    const row = rows[passing[active]];
    if (!row) return;
    opened = row.number;
    try {
      const answer = await fetch(`row?number=${row.number}`);
      // Another one was opened meanwhile.
      if (opened !== row.number) return;
      if (!answer.ok) return fail("This row has made room for newer ones.");
      show(await answer.text());
      if (moves) view.querySelector("[role=treeitem]")?.focus();
    } catch { fail("The tool does not answer: it may have ended."); }
  };
  list.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(list.clientHeight / HEIGHT) - 1);
    const to = { ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + page, PageUp: active - page, Home: 0, End: Infinity }[event.key];
    if (to !== undefined) go(to);
    else if (event.key === "Enter" || event.key === " ") open(event.key === "Enter");
    else return;
    event.preventDefault();
  });
  list.addEventListener("click", (event) => {
    const it = event.target.closest(".row");
    if (!it) return;
    go(+it.dataset.at);
    open(false);
  });
  view.addEventListener("keydown", (event) => { if (event.key === "Escape" && rows.length) list.focus(); });
  addEventListener("keydown", (event) => {
    if (event.target.closest("input, textarea") || event.ctrlKey || event.altKey || event.metaKey) return;
    const to = { "/": "filter", p: "input", r: "rows" }[event.key];
    if (!to || to !== "input" && !rows.length) return;
    event.preventDefault();
    by(to).focus();
  });
  let waits = 0;
  by("filter").addEventListener("input", () => { clearTimeout(waits); waits = setTimeout(draw, 100); });

  // Traffic over time, the topics with most of it by colour.
  const drawTimeline = () => {
    const counts = new Map();
    let from = Infinity, to = -Infinity;
    for (const row of rows) {
      counts.set(row.topic ?? "none", (counts.get(row.topic ?? "none") ?? 0) + 1);
      if (row.sent !== null) { from = Math.min(from, row.sent); to = Math.max(to, row.sent); }
    }
    const top = [...counts].sort((a, b) => b[1] - a[1]).slice(0, COLOURS).map(([topic]) => topic);
    const names = new Map(rows.filter((row) => row.chat).map((row) => [row.topic, row.chat]));
    const filter = wanted();
    by("topics").replaceChildren(...top.map((topic, index) => {
      const item = make("li"), button = make("button", `c${index}`);
      button.type = "button";
      button.setAttribute("aria-pressed", String(filter.includes(`topic:${topic}`)));
      button.append(make("b"), make("span", "", `${names.get(topic) ?? topic}: ${counts.get(topic)}`));
      button.addEventListener("click", () => {
        const word = `topic:${topic}`, words = wanted();
        by("filter").value = (words.includes(word) ? words.filter((it) => it !== word) : [...words, word]).join(" ");
        draw();
        by("topics").children[index]?.firstChild.focus();
      });
      item.append(button);
      return item;
    }));
    const BINS = 60, bins = Array.from({ length: BINS }, () => new Array(COLOURS + 1).fill(0));
    for (const index of passing) {
      const row = rows[index];
      if (row.sent === null) continue;
      const bin = to > from ? Math.min(BINS - 1, Math.floor((row.sent - from) / (to - from) * BINS)) : 0;
      const colour = top.indexOf(row.topic ?? "none");
      bins[bin][colour < 0 ? COLOURS : colour]++;
    }
    const most = Math.max(1, ...bins.map((bin) => bin.reduce((a, b) => a + b)));
    const svg = (name, members) => {
      const it = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const [key, value] of Object.entries(members)) it.setAttribute(key, value);
      return it;
    };
    const label = to >= from ? `Messages from ${time(from)} to ${time(to)}, by topic` : "No times";
    const chart = svg("svg", { viewBox: `0 0 ${BINS} 100`, preserveAspectRatio: "none", role: "img", "aria-label": label });
    bins.forEach((bin, x) => {
      let y = 100;
      bin.forEach((count, colour) => {
        const height = count / most * 96;
        y -= height;
        if (count) chart.append(svg("rect", { x: x + 0.05, y, width: 0.9, height, class: colour < COLOURS ? `c${colour}` : "rest" }));
      });
    });
    by("timeline").replaceChildren(chart);
  };

  // The sessions of a state, step by step.
  const MEANING = { own_key: "own ratchet key", remote_key: "their ratchet key", send_n: "next to send", receive_n: "next to receive", pn: "sent with the key before", keys_count: "keys so far", kept: "keys kept for late messages", ours: "started with our bundle", x3dh_key: "X3DH key" };
  const sessions = new Map();
  const steps = () => sessions.get(by("session").value) ?? [];
  const showStep = () => {
    const all = steps(), at = +by("step").value, step = all[at - 1];
    if (!step) return;
    by("step-text").textContent = `Step ${at} of ${all.length}: ${step.what}`;
    by("back").disabled = at <= 1;
    by("on").disabled = at >= all.length;
    const shown = (value) => value === null || value === undefined ? "" : String(value);
    by("parts").replaceChildren(...Object.keys(step.after ?? step.before ?? {}).map((name) => {
      const before = shown(step.before?.[name]), after = shown(step.after?.[name]);
      const row = make("tr", step.before && before !== after ? "changed" : "");
      const head = make("th", "", MEANING[name] ?? name);
      head.scope = "row";
      row.append(head, make("td", "", before), make("td", "", after));
      return row;
    }));
  };
  const goTo = (at) => { by("step").value = at; showStep(); };
  by("session").addEventListener("change", () => { by("step").max = steps().length; goTo(1); });
  by("step").addEventListener("input", showStep);
  by("back").addEventListener("click", () => goTo(+by("step").value - 1));
  by("on").addEventListener("click", () => goTo(+by("step").value + 1));
  const readSessions = async () => {
    const answer = await (await fetch("sessions")).json();
    if (!answer.steps.length) return;
    for (const step of answer.steps) {
      const key = JSON.stringify(step.session);
      if (!sessions.has(key)) sessions.set(key, []);
      sessions.get(key).push(step);
    }
    by("session").replaceChildren(...[...sessions].map(([key, [first]]) => {
      const { name, identity, installation } = first.session;
      const option = make("option", "", `${name ?? identity}, installation ${installation}`);
      option.value = key;
      return option;
    }));
    by("sessions").hidden = false;
    by("step").max = steps().length;
    goTo(1);
  };

  // New rows, once a second; at once while there are more.
  let hasSessions = false;
  const poll = async () => {
    let wait = 1000;
    try {
      const answer = await (await fetch(`rows?from=${next}`)).json();
      state.textContent = answer.state;
      if (answer.rows.length) {
        by("traffic").hidden = false;
        answer.rows.forEach((row, index) => {
          row.number = answer.from + index;
          row.all = [row.topic, row.chat, row.author, row.text, row.kind].join("\n").toLowerCase();
          rows.push(row);
        });
        next = answer.next;
        const gone = Math.max(rows.length - MOST, answer.first - first, 0);
        if (gone) { rows.splice(0, gone); first = rows[0]?.number ?? next; active = -1; }
        draw();
      }
      if (!answer.all) wait = 0;
      // Once the input was read.
      if (answer.state !== "reading the input" && !hasSessions) { hasSessions = true; await readSessions(); }
    } catch {
      state.textContent = "The tool does not answer: it may have ended.";
      wait = 3000;
    }
    setTimeout(poll, wait);
  };
  poll();
})();
