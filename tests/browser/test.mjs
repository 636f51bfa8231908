// The pages of status-inspect, as a person uses them: with a mouse, with keys, with a screen reader,
// on a narrow screen, with 10,000 messages.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const tool = process.env.STATUSKIT;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const shots = path.resolve(import.meta.dirname, "../../target/browser");
const dir = mkdtempSync(path.join(tmpdir(), "statuskit-browser-"));
const HOSTILE = "</script><img src=x onerror='window.hit=1'>\"\u202e&lt;\u0000";
const MESSAGES = 10_000;
let browser;

const run = (args, input = "") => execFileSync(tool, args, { input, maxBuffer: 1 << 28, encoding: "utf8" });
const seal = (chat, lines) =>
  run(["envelope", "seal", "--lines", "--quiet", "--chat", chat, "--pow", "0", "--output", "hex", "--seed", chat], lines.map((it) => `${it}\n`).join(""));

before(async () => {
  mkdirSync(shots, { recursive: true });
  browser = await chromium.launch({ timeout: 300_000, executablePath: process.env.CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });
});
after(async () => {
  await browser?.close();
  rmSync(dir, { recursive: true, force: true });
});

// Opens a page that fails if its script does, if its policy is violated, or if it asks for anything that
// is not `own`.
const visit = async (url, own, options = {}) => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  // Nothing here may depend on the speed of the machine.
  context.setDefaultTimeout(600_000);
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
  page.on("request", (request) => request.url().startsWith(own) || request.url() === "data:," || wrong.push(request.url()));
  page.on("dialog", () => wrong.push("a dialog"));
  await page.goto(url);
  const close = async () => {
    assert.deepEqual(wrong, []);
    await context.close();
  };
  return { page, close };
};

// What stands in the way of a screen reader, of keys or of weak eyes, as axe finds it.
const isAccessible = async (page, rest = {}) => {
  await page.evaluate(axe);
  const found = await page.evaluate((options) => axe.run(document, options), rest);
  const shown = found.violations.map((it) => `${it.id}: ${it.nodes.map((node) => node.html.slice(0, 200)).slice(0, 3).join("\n  ")}`);
  assert.deepEqual(shown, []);
};

const isNoWiderThanItsWindow = async (page) => {
  const [width, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(width <= window, `${width} in ${window}`);
};

test("a report is a file that works by itself", async () => {
  const file = path.join(dir, "report.html");
  const envelope = seal("status", [HOSTILE.replaceAll("\u0000", "")]);
  writeFileSync(file, run(["inspect", "--chat", "status", "--output", "html"], envelope));
  const url = `file://${file}`;
  const { page, close } = await visit(url, url);
  assert.equal(await page.evaluate(() => window.hit), undefined);
  const items = page.getByRole("treeitem");
  assert.ok((await items.count()) > 8);
  assert.equal(await page.locator(".dump").count(), 2, "the plaintext has its own bytes");

  // Hover: the bytes of a field, and the field of a byte.
  await items.filter({ hasText: /^\s*\d+ \+\d+\s+topic/ }).hover();
  assert.equal((await page.locator(".h .hot").allTextContents()).join(" ").replaceAll(" ", "").length, 10);
  await page.locator(".dump[data-b='0'] .h i").first().hover();
  assert.match(await page.locator("[role=treeitem].hot").textContent(), /list header/);

  // Keys: down the tree, closing and opening, and along the bytes.
  await items.first().focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  assert.match(await page.locator(":focus").textContent(), /expiry/);
  assert.match(await page.getByRole("status").textContent(), /expiry/);
  assert.ok((await page.locator(".h .on").count()) > 0);
  await page.keyboard.press("ArrowLeft");
  const visible = async () => items.filter({ visible: true }).count();
  const all = await visible();
  await page.keyboard.press("ArrowLeft");
  assert.equal(await page.locator(":focus").getAttribute("aria-expanded"), "false");
  assert.equal(await visible(), 1);
  await page.keyboard.press("ArrowRight");
  assert.equal(await visible(), all);
  await page.locator(".dump[data-b='1']").focus();
  await page.keyboard.press("ArrowRight");
  assert.match(await page.getByRole("status").textContent(), /flags/);
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  assert.match(await page.getByRole("status").textContent(), /payload/);
  await page.keyboard.press("Enter");
  assert.match(await page.locator(":focus").textContent(), /payload/);

  // A click on a byte selects its field.
  await page.locator(".dump[data-b='0'] .h i").nth(1).click();
  assert.match(await page.locator("[aria-selected=true]").textContent(), /expiry/);

  await page.screenshot({ path: path.join(shots, "report-light.png"), fullPage: true });
  await isAccessible(page);
  const light = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.emulateMedia({ colorScheme: "dark" });
  assert.notEqual(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), light);
  await page.screenshot({ path: path.join(shots, "report-dark.png"), fullPage: true });
  await isAccessible(page);
  await page.setViewportSize({ width: 360, height: 640 });
  await isNoWiderThanItsWindow(page);
  await page.screenshot({ path: path.join(shots, "report-narrow.png") });
  await close();
});

// Starts the server with these arguments and input. Returns its address.
const serve = async (args, input) => {
  const child = spawn(tool, ["inspect", "serve", "--output", "json", ...args], { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.end(input);
  let text = "";
  for await (const chunk of child.stdout) {
    text += chunk;
    if (text.includes("\n")) break;
  }
  return { url: JSON.parse(text).url, stop: () => child.kill("SIGINT") };
};

test("ten thousand messages are browsed with mouse and keys", async () => {
  const chats = ["status", "other", "third", "fourth"];
  const count = MESSAGES / chats.length;
  const lines = chats.map((chat) => seal(chat, Array.from({ length: count }, (_, n) => (n ? `${chat} ${n}` : HOSTILE.replaceAll("\u0000", "")))));
  const { url, stop } = await serve(["-", "--chat", "status", "--quiet"], lines.join(""));
  try {
    const { page, close } = await visit(url, url);
    const counted = page.locator("#count");
    const waitFor = (text) => page.waitForFunction((text) => document.getElementById("count").textContent === text, text);
    await waitFor(`${MESSAGES} of ${MESSAGES}`);
    assert.equal(await page.evaluate(() => window.hit), undefined);
    const rows = page.getByRole("option");
    assert.ok((await rows.count()) < 60, "only those in view are there");

    // Down, to the end, and back to the start.
    const list = page.getByRole("listbox", { name: "Messages" });
    await list.focus();
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowDown");
    const active = () => page.evaluate(() => {
      const id = document.getElementById("rows").getAttribute("aria-activedescendant");
      const it = document.getElementById(id);
      return [it.getAttribute("aria-posinset"), it.getAttribute("aria-setsize"), it.textContent];
    });
    assert.deepEqual((await active()).slice(0, 2), ["2", String(MESSAGES)]);
    assert.match((await active())[2], /status 1/);
    await page.keyboard.press("End");
    assert.equal((await active())[0], String(MESSAGES));
    assert.ok((await rows.count()) < 60);
    await page.keyboard.press("PageUp");
    assert.ok(+(await active())[0] < MESSAGES);

    // Filters, by text and by topic.
    await page.keyboard.press("/");
    await page.keyboard.type('"status 77"');
    await waitFor(`11 of ${MESSAGES}`);
    await page.locator("#filter").fill("");
    await waitFor(`${MESSAGES} of ${MESSAGES}`);
    const topic = page.getByRole("list", { name: "Topics" }).getByRole("button").first();
    await topic.click();
    await waitFor(`${count} of ${MESSAGES}`);
    assert.equal(await topic.getAttribute("aria-pressed"), "true");
    await topic.click();
    await waitFor(`${MESSAGES} of ${MESSAGES}`);
    assert.ok((await page.locator("#timeline rect").count()) > 0);
    assert.match(await counted.textContent(), /10000/);

    // A message layer by layer, and back.
    await page.locator("#filter").fill('"status 1234"');
    await waitFor(`1 of ${MESSAGES}`);
    await list.focus();
    await page.keyboard.press("Home");
    await page.keyboard.press("Enter");
    const tree = page.getByRole("tree");
    await tree.waitFor();
    await page.waitForFunction(() => document.activeElement.getAttribute("role") === "treeitem");
    assert.match(await tree.textContent(), /opened with chat status/);
    assert.match(await tree.textContent(), /text status 1234/);
    await page.screenshot({ path: path.join(shots, "serve-light.png"), fullPage: true });
    await isAccessible(page);
    await page.emulateMedia({ colorScheme: "dark" });
    await page.screenshot({ path: path.join(shots, "serve-dark.png"), fullPage: true });
    await isAccessible(page);
    await page.keyboard.press("Escape");
    assert.equal(await page.evaluate(() => document.activeElement.id), "rows");
    await page.setViewportSize({ width: 360, height: 640 });
    await isNoWiderThanItsWindow(page);
    await page.screenshot({ path: path.join(shots, "serve-narrow.png"), fullPage: true });
    await close();
  } finally {
    stop();
  }
});

test("the sessions of a state are shown step by step", async () => {
  const session = { identity: `0x02${"11".repeat(32)}`, installation: "phone", bundle: `0x03${"22".repeat(32)}` };
  const state = (n, key) => ({ own_key: `0x02${key.repeat(32)}`, remote_key: `0x03${"44".repeat(32)}`, send_n: n, receive_n: 0, root_key: `0x${"99".repeat(32)}` });
  const records = [
    { type: "ratchet_step", direction: "send", session, before: null, after: state(1, "33") },
    { type: "ratchet_step", direction: "send", session, before: state(1, "33"), after: state(2, "33") },
    { type: "session", session: { ...session, installation: "desk" }, in_use: true, state: state(7, "55") },
  ];
  const { url, stop } = await serve(["-"], records.map((it) => `${JSON.stringify(it)}\n`).join(""));
  try {
    const { page, close } = await visit(url, url);
    const step = page.locator("#step-text");
    await page.getByText("Step 1 of 2: a message is sent").waitFor();
    await page.getByRole("button", { name: "On" }).click();
    assert.match(await step.textContent(), /^Step 2 of 2/);
    assert.deepEqual(await page.locator(".changed").allTextContents(), ["next to send12"]);
    assert.equal(await page.getByRole("button", { name: "On" }).isDisabled(), true);
    await page.getByLabel("Session", { exact: true }).selectOption({ index: 1 });
    assert.match(await step.textContent(), /^Step 1 of 1: as it is in the state/);
    assert.equal((await page.content()).includes("99".repeat(32)), false, "no secrets");
    await page.screenshot({ path: path.join(shots, "sessions.png"), fullPage: true });
    await isAccessible(page);
    await page.setViewportSize({ width: 360, height: 640 });
    await isNoWiderThanItsWindow(page);
    await close();
  } finally {
    stop();
  }
});

test("bytes are pasted and dropped, and others are kept out", async () => {
  const { url, stop } = await serve([], "");
  try {
    const { page, close } = await visit(url, url);
    assert.equal(await page.locator("#traffic").isVisible(), false, "there are no rows");
    await page.keyboard.press("p");
    await page.keyboard.insertText("status-im://chat/public/status\n0xffee");
    await page.keyboard.press("Control+Enter");
    await page.getByRole("heading", { name: "account.share_link" }).waitFor();
    assert.match(await page.locator("#view .error").textContent(), /line 2: .*inspect\.unknown/);
    await isAccessible(page);
    await page.screenshot({ path: path.join(shots, "paste.png") });

    // A file, dropped.
    const data = await page.evaluateHandle(() => {
      const data = new DataTransfer();
      data.items.add(new File(["status-im://chat/public/dropped"], "x.txt"));
      return data;
    });
    await page.dispatchEvent("body", "drop", { dataTransfer: data });
    await page.waitForFunction(() => document.querySelector("#view [role=tree]")?.textContent.includes("dropped"));
    await page.locator("#file").setInputFiles({ name: "big", mimeType: "text/plain", buffer: Buffer.alloc(5 << 20, 48) });
    await page.getByText("more than 4 MiB").waitFor();
    await close();

    // Neither another path nor another site sees anything.
    const other = new URL("/", url);
    assert.equal((await fetch(other)).status, 404);
    assert.equal((await fetch(new URL("rows?from=0", url), { headers: { origin: "http://evil.example" } })).status, 403);
    const answer = await fetch(url);
    assert.match(answer.headers.get("content-security-policy"), /^default-src 'none'; script-src 'self'/);
    assert.equal(answer.headers.get("access-control-allow-origin"), null);
    const context = await browser.newContext();
    const stranger = await context.newPage();
    await stranger.route("http://evil.example/", (route) => route.fulfill({ contentType: "text/html", body: "<p>" }));
    await stranger.goto("http://evil.example/");
    const stolen = await stranger.evaluate((url) => fetch(`${url}rows?from=0`).then((it) => it.text(), () => "refused"), url);
    assert.equal(stolen, "refused");
    await context.close();
  } finally {
    stop();
  }
});
