// Work with the keyboard: j and k go through the rows of a page, a acknowledges, x chooses, ? tells of it.
// A row is reached by focusing its first link, so Enter opens it and every reader of the screen says where one is.
"use strict";

(() => {
  const help = document.querySelector("[data-keys]");
  if (!help) return;
  const STORE = "stanchion-keys";
  const ROWS = "#content tbody tr, #content .effects > li, #content .tile[id], #content .timeline > li";
  const TARGETS = "a[href], button, summary";
  let place = -1;

  const isVisible = (element) => element.checkVisibility();
  const rows = () => [...document.querySelectorAll(ROWS)].filter((row) => isVisible(row) && row.querySelector(TARGETS));
  const isOn = () => localStorage.getItem(STORE) !== "off";

  function rowOf(element) {
    return element?.closest?.(ROWS) ?? null;
  }

  function go(step) {
    const all = rows();
    if (!all.length) return;
    const here = all.indexOf(rowOf(document.activeElement));
    const from = here >= 0 ? here : step > 0 ? place : Math.max(place, 0);
    focusRow(all, here < 0 && place >= 0 ? Math.min(place, all.length - 1) : from + step);
  }

  function focusRow(all, wanted) {
    place = Math.min(Math.max(wanted, 0), all.length - 1);
    const target = all[place].querySelector("a[href]") ?? all[place].querySelector(TARGETS);
    target.focus();
    all[place].scrollIntoView({ block: "nearest" });
  }

  // The button of the row one is in; on the page of one thing, the button of that.
  function press(key) {
    const within = rowOf(document.activeElement)?.querySelector(`[data-key="${key}"]`);
    (within ?? document.querySelector(`.subject [data-key="${key}"]`) ?? document.querySelector(`#handle-it [data-key="${key}"]`))?.click();
  }

  function choose() {
    const box = rowOf(document.activeElement)?.querySelector('input[type="checkbox"]');
    if (box) box.click();
  }

  const ACTS = { j: () => go(1), k: () => go(-1), a: () => press("a"), x: choose, "?": () => help.showModal() };

  function types(element) {
    return element.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(element.nodeName);
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || document.querySelector("dialog[open]")) return;
    const isBox = event.target.type === "checkbox";
    if (!Object.hasOwn(ACTS, event.key) || (types(event.target) && !isBox)) return;
    if (!isOn() && event.key !== "?") return;
    event.preventDefault();
    ACTS[event.key]();
  });

  document.addEventListener("focusin", (event) => {
    const row = rowOf(event.target);
    if (row) place = rows().indexOf(row);
  });

  // What one was on may end while one looks at it: go on with what took its place, which moves as rows come above it.
  document.addEventListener("stanchion:changed", (event) => {
    const all = rows();
    const here = all.indexOf(rowOf(document.activeElement));
    if (here >= 0) place = here;
    else if (event.detail.lostFocus && place >= 0 && all.length) focusRow(all, place);
  });

  const toggle = help.querySelector("[data-keys-toggle]");
  function showToggle() {
    toggle.textContent = isOn() ? "Switch single keys off" : "Switch single keys on";
  }
  toggle.addEventListener("click", () => {
    localStorage.setItem(STORE, isOn() ? "off" : "on");
    showToggle();
  });
  for (const button of document.querySelectorAll("[data-keys-open]")) {
    button.addEventListener("click", () => help.showModal());
    button.hidden = false;
  }
  showToggle();
})();
