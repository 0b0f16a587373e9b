// Keeps the live part of a page current: fetches it every few seconds, changes only what differs,
// and says when what is shown is old. Without this script the page is complete, and still.
"use strict";

(() => {
  const live = document.querySelector("[data-live]");
  const freshness = document.querySelector("[data-freshness]");
  const announcement = document.querySelector("[data-announcement]");
  const clock = document.querySelector("[data-clock]");
  let serverOffset = live ? Date.parse(live.dataset.now) - Date.now() : 0;
  let readAt = Date.now();
  let state = "live";
  let etag = "";
  let timer = 0;

  const now = () => Date.now() + serverOffset;
  const count = (number, unit) => `${number} ${unit}`;

  function ageText(milliseconds) {
    const seconds = Math.max(0, Math.floor(milliseconds / 1000));
    if (seconds < 60) return count(seconds, "s");
    if (seconds < 3600) return `${count(Math.floor(seconds / 60), "min")} ${count(seconds % 60, "s")}`;
    if (seconds < 86400) return `${count(Math.floor(seconds / 3600), "h")} ${count(Math.floor((seconds % 3600) / 60), "min")}`;
    return `${count(Math.floor(seconds / 86400), "d")} ${count(Math.floor((seconds % 86400) / 3600), "h")}`;
  }

  function setText(element, text) {
    if (element && element.textContent !== text) element.textContent = text;
  }

  function tick() {
    if (clock) setText(clock, `${new Date(now()).toISOString().slice(0, 19).replace("T", " ")}Z`);
    for (const element of document.querySelectorAll("time[data-age]")) {
      setText(element, ageText(now() - Date.parse(element.dateTime)));
    }
    for (const element of document.querySelectorAll("time[data-until]")) {
      setText(element, ageText(Date.parse(element.dateTime) - now()));
    }
    if (live) showFreshness();
  }

  function showFreshness() {
    const age = Date.now() - readAt;
    const stale = state === "live" && age > Number(live.dataset.seconds) * 3000;
    const shown = stale ? "stale" : state;
    const texts = {
      live: `Data ${ageText(age)} old`,
      stale: `Stale: read ${ageText(age)} ago`,
      offline: `Offline: no answer; read ${ageText(age)} ago`,
      "signed-out": "Signed out: log in again to see newer data",
    };
    if (freshness.dataset.state !== shown) {
      if (freshness.dataset.state) announce(texts[shown]);
      freshness.dataset.state = shown;
      live.dataset.state = shown;
    }
    setText(freshness, texts[shown]);
  }

  function announce(text) {
    setText(announcement, text);
  }

  // Change `old` into `fresh` where they differ. Elements with ids keep their identity, so what a
  // person focuses, types, chooses or opens stays as it is.
  function change(old, fresh) {
    if (old.nodeType === Node.ELEMENT_NODE) {
      changeAttributes(old, fresh);
      changeChildren(old, fresh);
    } else if (old.data !== fresh.data) {
      old.data = fresh.data;
    }
  }

  function changeAttributes(old, fresh) {
    const kept = old.nodeName === "DETAILS" ? ["open"] : [];
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !kept.includes(name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
  }

  function changeChildren(old, fresh) {
    const pairs = pairChildren(old, fresh);
    const kept = new Set(pairs.map(([same]) => same));
    for (const child of [...old.childNodes]) if (!kept.has(child)) child.remove();
    let place = old.firstChild;
    for (const [same, child] of pairs) {
      if (same?.contains(document.activeElement)) place = bringForward(old, place, same);
      if (same && same === place) place = place.nextSibling;
      else old.insertBefore(same ?? child, place);
      if (same) change(same, child);
    }
  }

  // An element that moves loses focus: move those in front of it to the end instead, where each is yet to be placed.
  function bringForward(parent, place, focused) {
    while (place && place !== focused) {
      const skipped = place;
      place = place.nextSibling;
      parent.append(skipped);
    }
    return place;
  }

  // Pair each fresh child with the old one that becomes it: by id, else the next of its kind, else none.
  function pairChildren(old, fresh) {
    const byId = new Map();
    const byKind = new Map();
    for (const child of old.childNodes) {
      if (child.id) byId.set(child.id, child);
      else byKind.set(child.nodeName, [...(byKind.get(child.nodeName) ?? []), child]);
    }
    return [...fresh.childNodes].map((child) => {
      const same = child.id ? byId.get(child.id) : byKind.get(child.nodeName)?.shift();
      return [same?.nodeName === child.nodeName ? same : null, child];
    });
  }

  function show(html) {
    const parsed = new DOMParser().parseFromString(html, "text/html");
    const focused = live.contains(document.activeElement);
    changeChildren(live, parsed.body);
    const lostFocus = focused && document.activeElement === document.body;
    document.dispatchEvent(new CustomEvent("stanchion:changed", { detail: { lostFocus } }));
    mirror(live.querySelector("[data-says]"));
    const critical = live.querySelector("[data-critical]")?.dataset.critical ?? "0";
    const title = critical === "0" ? live.dataset.title : `(${critical}) ${live.dataset.title}`;
    if (document.title === title) return;
    document.title = title;
    announce(critical === "0" ? "Nothing needs a person now." : `Needing a person: ${critical}`);
  }

  // The top bar is not part of what refreshes: what it says of trading comes with it.
  function mirror(fresh) {
    const here = document.querySelector("[data-says-here]");
    if (!here || !fresh || here.textContent === fresh.dataset.says) return;
    here.textContent = fresh.dataset.says;
    here.dataset.tone = fresh.dataset.tone;
  }

  async function ask() {
    try {
      return await fetch(live.dataset.live, {
        headers: etag ? { "If-None-Match": etag } : {},
        cache: "no-store",
        redirect: "manual",
        signal: AbortSignal.timeout(5000),
      });
    } catch {
      return null;
    }
  }

  async function take(answer) {
    const signedOut = answer?.type === "opaqueredirect";
    const answered = answer !== null && (answer.ok || answer.status === 304);
    state = signedOut ? "signed-out" : answered ? "live" : "offline";
    if (!answered) return;
    if (answer.ok) {
      show(await answer.text());
      etag = answer.headers.get("ETag") ?? "";
    }
    readAt = Date.now();
  }

  async function refresh() {
    window.clearTimeout(timer);
    try {
      await take(await ask());
    } finally {
      tick();
      timer = window.setTimeout(refresh, Number(live.dataset.seconds) * 1000);
    }
  }

  function chooseAll(event) {
    const name = event.target.dataset?.pickAll;
    if (!name) return;
    for (const box of event.target.form.querySelectorAll(`input[name="${name}"]`)) box.checked = event.target.checked;
  }

  for (const element of document.querySelectorAll("[data-shown-by-script]")) element.hidden = false;
  document.addEventListener("change", chooseAll);
  window.setInterval(tick, 1000);
  if (live) {
    timer = window.setTimeout(refresh, Number(live.dataset.seconds) * 1000);
    document.addEventListener("visibilitychange", () => document.hidden || refresh());
  }
  tick();
})();
