// The start page: asks how far everything is, and shows it.
import { element, keep, put, rows, time } from "./dom.js";

const PAUSE = 1000; // milliseconds between two looks
const $ = (id) => document.getElementById(id);
const SIGNS = { waiting: "·", "at work": "…", done: "✓", failed: "✗" };
const TONES = { waiting: "", "at work": "wait", done: "good", failed: "bad" };

function place(made, each) {
  const [heading, about, login, links] = made.children;
  const [name, pill] = heading.children;
  put(name, { textContent: each.name });
  put(pill, { textContent: each.up ? "up" : "starting", className: each.up ? "pill up" : "pill" });
  put(about, { textContent: each.about });
  put(login, { textContent: each.login });
  const open = each.up ? { Open: each.url, ...each.links } : {};
  const link = ([text, href]) => element("a", { href, textContent: text, target: "_blank", rel: "noopener" });
  keep(links, Object.entries(open), ([text]) => text, link, (anchor, [text, href]) => {
    put(anchor, { href: new URL(href, location.href).href });
    anchor.setAttribute("aria-label", `${text}: ${each.name}`);
  });
}

function shown(state) {
  const card = () => element("li", {},
    element("h2", {}, element("span"), element("span")), element("p"), element("p"), element("nav"));
  keep($("places"), Object.entries(state.places), ([key]) => key, card, (made, [, each]) => {
    place(made, each);
    made.lastChild.setAttribute("aria-label", each.name);
  });
  const step = () => element("li", {}, element("span", { ariaHidden: "true" }), element("span"), element("span"), element("small"));
  keep($("steps"), state.steps, (each) => each.title, step, (made, each) => {
    const [sign, title, seconds, text] = made.children;
    put(sign, { textContent: SIGNS[each.state], className: TONES[each.state] });
    put(title, { textContent: each.title });
    put(seconds, { textContent: each.seconds === null ? each.state : `${each.seconds.toFixed(0)} s`, className: "n" });
    put(text, { textContent: each.text, hidden: !each.text });
  });

  rows("alerts", state.alerts, (each) => each.at, (each) => [
    [time(each.at), "at"],
    [each.from],
    [each.title, "free", each.text],
  ]);
  put($("no-alerts"), { hidden: state.alerts.length > 0 });
  put($("alerts").closest("div"), { hidden: state.alerts.length === 0 });
  const failed = state.steps.some((each) => each.state === "failed");
  put($("live"), state.ready !== null
    ? { textContent: `ready after ${state.ready.toFixed(0)} s`, className: "pill up" }
    : { textContent: failed ? "something failed" : `starting, ${state.seconds.toFixed(0)} s`, className: failed ? "pill down" : "pill" });
}

for (;;) {
  if (document.visibilityState === "visible") {
    try {
      const reply = await fetch("/state", { signal: AbortSignal.timeout(10000) });
      shown(await reply.json());
    } catch {
      put($("live"), { textContent: "`make up` has ended", className: "pill down" });
    }
  }
  await new Promise((resume) => setTimeout(resume, PAUSE));
}
