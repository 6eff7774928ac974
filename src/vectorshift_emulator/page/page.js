// The front page: asks for the figures again and again, and shows them.
import { element, keep, put, rows, time } from "./dom.js";

const PAUSE = 1500; // milliseconds between two looks
const $ = (id) => document.getElementById(id);
const count = new Intl.NumberFormat("en");
let choices = null;

const number = (value) => (value === null ? "" : count.format(value));
const percent = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(1)} %` : "");

function size(bytes) {
  if (bytes === null) return "";
  const step = bytes < 1e3 ? 0 : bytes < 1e6 ? 1 : bytes < 1e9 ? 2 : 3;
  return `${(bytes / 1000 ** step).toFixed(step ? 1 : 0)} ${["B", "kB", "MB", "GB"][step]}`;
}

function tiles(state) {
  const counters = state.counters;
  const asked = Object.values(counters.requests).reduce((sum, each) => sum + each, 0);
  const failed = state.held.days.reduce((sum, day) => sum + day.failure, 0);
  const shown = [
    ["Events", number(state.held.events)],
    ["Failed events", percent(failed, state.held.events) || "0"],
    ["Arriving", state.settings.live ? `${state.settings.live}/s` : "none"],
    ["Requests", number(asked)],
    ["Exports", number(counters.exports_created)],
    ["Downloaded", size(counters.download_bytes)],
    ["Faults hit", number(counters.faults_injected)],
  ];
  const make = () => element("div", {}, element("dt"), element("dd"));
  keep($("tiles"), shown, (each) => each[0], make, (tile, [name, value]) => {
    put(tile.firstChild, { textContent: name });
    put(tile.lastChild, { textContent: value });
  });
}

const STATUSES = ["success", "failure", "in_progress"];

function days(held) {
  const all = held.days;
  const sum = (day) => STATUSES.reduce((whole, name) => whole + day[name], 0);
  const most = Math.max(1, ...all.map(sum));
  const make = () => element("div", {}, ...STATUSES.map((name) => element("i", { className: name })));
  keep($("bars"), all, (day) => day.day, make, (bar, day) => {
    put(bar, { title: `${day.day}: ${number(sum(day))} events, ${number(day.failure)} failed` });
    STATUSES.forEach((name, place) => {
      bar.children[place].style.height = `${(100 * day[name]) / most}%`;
    });
  });
  put($("first-day"), { textContent: all[0]?.day ?? "no events" });
  put($("last-day"), { textContent: all.length > 1 ? all.at(-1).day : "" });
  put($("most"), { textContent: all.length ? `up to ${number(most)} events a day` : "" });
  rows("days", all, (day) => day.day, (day) =>
    [[day.day], ...STATUSES.map((name) => [number(day[name]), "n"])]);
}

const tone = (status) => (status === null ? "wait" : status < 400 ? "good" : "bad");
const STATES = { ready: "good", failed: "bad", pending: "wait" };

function lists(state) {
  rows("requests", state.requests, (each) => each.number, (each) => [
    [time(each.at), "at"],
    [`${each.method} ${each.path}`, "free", each.fault ? `fault: ${each.fault}` : "", "bad"],
    [each.status === null ? (each.ms === null ? "open" : "cut") : String(each.status), tone(each.status)],
    [each.ms === null ? "" : each.ms.toFixed(0), "n"],
  ]);
  rows("exports", state.exports, (each) => each.id, (each) => [
    [time(each.at), "at"],
    [each.file, "free", each.error ?? each.id, each.error ? "bad" : ""],
    [each.status, STATES[each.status], each.format],
    [number(each.rows), "n"],
    [size(each.bytes), "n"],
  ]);
  rows("objects", state.held.objects, (each) => each.id, (each) => [
    [each.name ?? each.id, "", each.id],
    [each.entity],
    [number(each.events), "n"],
    [number(each.runs), "n"],
    [number(each.failed), "n", percent(each.failed, each.runs)],
  ]);
  const numbered = state.faults.map((fault, place) => ({ ...fault, place }));
  rows("faults", numbered, (each) => each.place, (each) => [
    [each.kind, "", (choices.kinds[each.kind].options ?? [])
      .filter((name) => each[name] !== null).map((name) => `${name} ${each[name]}`).join(", ")],
    [each.route],
    [String(each.injected), each.injected ? "n bad" : "n"],
    [each.times ? String(each.times) : "all", "n"],
  ]);
  for (const name of ["requests", "exports", "faults"]) {
    put($(`no-${name}`), { hidden: state[name].length > 0 });
    put($(name).closest("div"), { hidden: state[name].length === 0 });
  }
  put($("clear-faults"), { hidden: state.faults.length === 0 });
}

// A control has no `name`: the form would have a property of that name, and lose its own, like `matches`.
function control(name, takes) {
  const made = Array.isArray(takes)
    ? element("select", {}, ...takes.map((value, place) =>
      element("option", { value: String(place), textContent: String(value) })))
    : element("input", { type: { flag: "checkbox", text: "text" }[takes] ?? "number", min: "0", step: "any" });
  if (takes === "optional number") made.placeholder = "none";
  made.dataset.name = name;
  return made;
}

function shown(input, takes, value) {
  if (document.activeElement === input && input.type !== "checkbox") return; // somebody is at it
  if (Array.isArray(takes)) put(input, { value: String(takes.indexOf(value)) });
  else if (takes === "flag") put(input, { checked: value });
  else put(input, { value: value === null ? "" : String(value) });
}

function chosen(input, takes) {
  if (Array.isArray(takes)) return takes[Number(input.value)];
  if (takes === "flag") return input.checked;
  if (takes === "text") return input.value;
  return input.value === "" ? null : Number(input.value);
}

function switches(state) {
  const names = Object.entries(choices.switches);
  const make = ([name, { about, takes }]) =>
    element("label", {}, element("span", { textContent: name }), control(name, takes),
      element("small", { textContent: about }));
  keep($("switches"), names, ([name]) => name, make, (label, [name, { takes }]) => {
    label.classList.toggle("changed", state.changed.includes(name));
    shown(label.children[1], takes, state.settings[name]);
  });
}

const TEXTS = ["kind", "route", "framing", "body", "retry_after"];

function faultForm() {
  const kind = $("kind").value || Object.keys(choices.kinds)[0];
  const { routes, options } = choices.kinds[kind];
  const all = ["*", ...routes];
  const make = (route) => element("option", { value: route, textContent: route === "*" ? "every route" : route });
  keep($("route"), all, (route) => route, make, () => {});
  const input = (name) => {
    const type = TEXTS.includes(name) ? "text" : "number";
    const made = name === "framing"
      ? element("select", {}, ...choices.framings.map((each) => element("option", { textContent: each })))
      : element("input", { type, step: "any", placeholder: "as usual" });
    made.dataset.name = name;
    return element("label", {}, name.replaceAll("_", " "), made);
  };
  keep($("fault-options"), options, (name) => name, input, () => {});
}

function say(text) {
  $("said").textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => put($("said"), { textContent: "" }), 6000);
}

async function ask(method, path, body) {
  const reply = await fetch(`/_page${path}`, {
    method,
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(30000),
  });
  const told = await reply.json();
  if (!reply.ok) throw new Error(told.error);
  return told;
}

async function act(words, method, path, body) {
  try {
    await ask(method, path, body);
    say(words);
  } catch (problem) {
    say(`Not done: ${problem.message}`);
  }
  await look();
}

async function look() {
  try {
    choices ??= await ask("GET", "/choices");
    const state = await ask("GET", "/state");
    tiles(state);
    days(state.held);
    lists(state);
    switches(state);
    put($("base-url"), { textContent: `${location.origin}/v1` });
    put($("key"), { textContent: state.key ? `key ${state.key}` : "with a key of its own" });
    document.querySelectorAll("form input, form select, button").forEach((each) => {
      put(each, { disabled: !state.may_change });
    });
    put($("live"), { textContent: `live, ${time(state.now)}`, className: "pill up" });
  } catch {
    put($("live"), { textContent: "the emulator does not answer", className: "pill down" });
  }
}

function listen() {
  $("switches").addEventListener("change", ({ target }) => {
    const { takes } = choices.switches[target.dataset.name];
    const name = target.dataset.name;
    act(`${name} is changed`, "POST", "/settings", { [name]: chosen(target, takes) });
  });
  $("switches").addEventListener("submit", (event) => event.preventDefault());
  $("kind").addEventListener("change", faultForm);
  $("fault-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const given = [...event.target.querySelectorAll("input, select")].filter(({ value }) => value !== "");
    const fault = given.map(({ dataset: { name }, value }) =>
      [name, TEXTS.includes(name) ? value : Number(value)]);
    act("The fault is on", "POST", "/faults", Object.fromEntries(fault));
  });
  $("burst-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const body = { count: Number($("burst-count").value), error_message: $("burst-message").value };
    act(`${number(body.count)} failed runs are there`, "POST", "/burst", body);
  });
  $("clear-faults").addEventListener("click", () => act("Every fault is off", "DELETE", "/faults"));
  $("expire-urls").addEventListener("click", () => act("Every download URL has ended", "POST", "/expire-urls"));
  $("reset").addEventListener("click", () => act("All is as at the start", "POST", "/reset"));
}

async function main() {
  listen();
  await look();
  if (choices) {
    $("kind").append(...Object.keys(choices.kinds).map((kind) => element("option", { textContent: kind })));
    faultForm();
  }
  for (;;) {
    await new Promise((resume) => setTimeout(resume, PAUSE));
    if (document.visibilityState === "visible") await look();
  }
}

main();
