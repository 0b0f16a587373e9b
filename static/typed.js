// Before something far-reaching is sent, a dialog asks to type its name. The dialog is no live part, so what is typed
// stays; a form says what to type in data-typed, or where that is chosen in data-typed-from. Without this script the
// form asks itself. The server wants the name either way.
"use strict";

(() => {
  const dialog = document.querySelector("[data-typed-dialog]");
  if (!dialog) return;
  const input = dialog.querySelector("input");
  const note = dialog.querySelector("[data-typed-note]");
  let formId = "";

  const wantedBy = (form) => form.dataset.typed ?? form.querySelector(form.dataset.typedFrom).value;

  function ask(form) {
    formId = form.id;
    dialog.querySelector("[data-typed-wanted]").textContent = wantedBy(form);
    dialog.querySelector("[data-typed-what]").textContent = form.dataset.typedWhat;
    input.value = "";
    note.textContent = "";
    dialog.showModal();
    input.focus();
  }

  // The page may have changed meanwhile: what is sent is the form that is there now.
  function answer() {
    const form = document.getElementById(formId);
    if (!form) {
      note.textContent = "That is gone from the page by now: nothing was sent.";
    } else if (input.value.trim() !== wantedBy(form)) {
      note.textContent = `Type ${wantedBy(form)} exactly.`;
      input.select();
    } else {
      form.elements.typed.value = input.value.trim();
      dialog.close();
      form.requestSubmit();
    }
  }

  document.documentElement.classList.add("scripted");
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.closest("[data-typed-dialog]")) {
      event.preventDefault();
      answer();
    } else if ((form.dataset.typed || form.dataset.typedFrom) && form.elements.typed.value !== wantedBy(form)) {
      event.preventDefault();
      ask(form);
    }
  });
  dialog.querySelector("[data-typed-cancel]").addEventListener("click", () => dialog.close());
})();
