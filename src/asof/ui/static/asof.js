"use strict";
// Everything works without this: it saves clicks. It writes what the server sent, and text; never markup of its own.

const theme = localStorage.getItem("asof-theme");
if (theme) document.documentElement.dataset.theme = theme;

document.addEventListener("DOMContentLoaded", () => {
  toggleTheme(document.querySelector(".theme"));
  const field = document.querySelector(".search input");
  if (field) searchWhileTyping(field, document.querySelector(".hits"));
  document.querySelectorAll("table[data-whole]").forEach(sortInPlace);
  document.querySelectorAll(".copy").forEach(copyText);
  signedInElsewhere(document.querySelector("[data-sign-in]"));
});

function toggleTheme(button) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("asof-theme", root.dataset.theme);
  });
}

function searchWhileTyping(field, box) {
  let waiting = 0, asked = 0;
  const close = () => { box.hidden = true; };
  const show = async () => {
    const words = field.value.trim(), mine = ++asked;
    if (!words) return close();
    const answer = await fetch(`/search/hits?q=${encodeURIComponent(words)}`).catch(() => null);
    if (mine !== asked || !answer || !answer.ok) return;
    box.innerHTML = await answer.text(); // the server escaped it
    box.hidden = !box.firstElementChild;
  };
  field.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(show, 120);
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      field.focus();
      field.select();
    }
  });
  field.form.addEventListener("keydown", (event) => {
    const links = [...box.querySelectorAll("a")], at = links.indexOf(document.activeElement);
    if (event.key === "Escape") {
      field.focus();
      close();
    } else if (event.key === "ArrowDown" && links.length && !box.hidden) {
      event.preventDefault();
      links[Math.min(at + 1, links.length - 1)].focus();
    } else if (event.key === "ArrowUp" && at >= 0) {
      event.preventDefault();
      (at ? links[at - 1] : field).focus();
    }
  });
  field.form.addEventListener("focusout", (event) => {
    if (!field.form.contains(event.relatedTarget)) setTimeout(close, 150);
  });
  field.addEventListener("focus", () => { box.hidden = !field.value.trim() || !box.firstElementChild; });
}

function sortInPlace(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // the link, in a tab of its own
    event.preventDefault();
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((each) => each.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => row.cells[column].dataset.key;
    const rows = [...table.tBodies[0].rows];
    const known = rows.filter((row) => key(row) !== undefined);
    const numbers = known.every((row) => key(row).trim() !== "" && !isNaN(key(row)));
    known.sort((a, b) => numbers ? key(a) - key(b) : key(a).toLowerCase() < key(b).toLowerCase() ? -1 : 1);
    if (down) known.reverse();
    table.tBodies[0].append(...known, ...rows.filter((row) => key(row) === undefined));
  }));
}

function copyText(button) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}

// A link on another site brings no cookie along (SameSite=Strict): once this page is open, its own requests do.
async function signedInElsewhere(form) {
  if (!form || sessionStorage.getItem("asof-tried")) return;
  sessionStorage.setItem("asof-tried", "1");
  const answer = await fetch(form.action).catch(() => null); // it leads on who is signed in
  if (answer && answer.redirected) location.replace(form.dataset.signIn);
}
