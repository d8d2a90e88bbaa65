"""The console's script. Every page works without it.

`/` goes to the search field, `j` and `k` move along the rows of a table. A page that asks for it (`data-refresh`) is
fetched again every few seconds; its main part is replaced only where it changed, and never under a hand that types.
"""

from __future__ import annotations

REFRESHES = "Payproof-Refresh"
"""The header of a request by which a page refreshes itself: nobody asked for it, so it keeps no session alive."""

SCRIPT = """\
"use strict";
(() => {
  const typing = () => document.activeElement?.matches("input, textarea, select");
  const rows = () => [...document.querySelectorAll("tr[data-row] a:first-of-type, li[data-row] a:first-of-type")]
    .filter((link, at, all) => link.closest("[data-row]") !== all[at - 1]?.closest("[data-row]"));

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing()) return;
    if (event.key === "/") {
      const search = document.getElementById("q");
      if (search) { event.preventDefault(); search.focus(); search.select(); }
    } else if (event.key === "j" || event.key === "k") {
      const links = rows();
      if (!links.length) return;
      const row = document.activeElement?.closest("[data-row]");
      const at = links.findIndex((link) => link.closest("[data-row]") === row);
      const next = event.key === "j" ? at + 1 : at < 0 ? links.length - 1 : at - 1;
      links[Math.max(0, Math.min(links.length - 1, next))].focus();
    }
  });

  document.addEventListener("submit", (event) => {
    const button = event.target.querySelector("button:not([name])");
    if (button && event.target.method === "post") setTimeout(() => { button.disabled = true; }, 0);
  });
  addEventListener("pageshow", () => { for (const one of document.querySelectorAll("button")) one.disabled = false; });

  const main = () => document.getElementById("main");
  const seconds = Number(main()?.dataset.refresh);
  if (!seconds) return;
  const stale = (is) => {
    let note = document.getElementById("stale");
    if (is && !note) {
      note = document.createElement("p");
      note.id = "stale"; note.className = "note"; note.setAttribute("role", "status");
      note.textContent = main().dataset.stale;
      main().prepend(note);
    } else if (!is) note?.remove();
  };
  const typed = () => [...main().querySelectorAll("input:not([type=hidden]), textarea")]
    .some((one) => one.value !== one.defaultValue || one.checked !== one.defaultChecked);
  const again = async () => {
    if (!document.hidden && !typed() && !(typing() && main().contains(document.activeElement))) {
      try {
        const headers = { "Payproof-Refresh": "yes" };
        const answer = await fetch(location.href, { headers, signal: AbortSignal.timeout(seconds * 1000) });
        if (answer.status === 401) { location.reload(); return; }
        if (!answer.ok) throw new Error(answer.status);
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
        stale(false);
        if (fresh && fresh.innerHTML !== main().innerHTML) {
          const link = main().contains(document.activeElement) && document.activeElement.getAttribute("href");
          main().replaceChildren(...fresh.childNodes);
          if (link) main().querySelector(`a[href="${CSS.escape(link)}"]`)?.focus({ preventScroll: true });
        }
      } catch { stale(true); }
    }
    setTimeout(again, seconds * 1000);
  };
  setTimeout(again, seconds * 1000);
})();
"""
