"""How a page looks again by itself: a small script, and a refresh for browsers without scripts.

The script's text is the same on every page, because the Content-Security-Policy names it by its hash. The values of a
page are in the body's `data-` attributes.

The script asks without leaving the page. So a screen reader does not go back to the top, and a buyer without a
connection keeps the page. It moves on when the answer is a redirect, another page, or the same page with another path
to look at. After two failed requests in a row the page says so. Each failure makes the next wait longer, up to 15 s.
"""

from __future__ import annotations

from html import escape

from msgspec import Struct

SCRIPT = """\
(function () {
  var data = document.body.dataset, again = data.again || location.pathname + location.search;
  var pause = data.pause * 1000, status = document.querySelector("[role=status]"), said = status.textContent;
  var failures = 0, asking = false, timer;
  function later(wait) { clearTimeout(timer); timer = setTimeout(look, wait); }
  function go(to) { location.replace(to); }
  function say(text) { if (status.textContent !== text) status.textContent = text; }
  function look() {
    if (asking) return;
    clearTimeout(timer);
    asking = true;
    var began = Date.now(), stop = new AbortController(), end = setTimeout(function () { stop.abort(); }, 30000);
    fetch(again, {redirect: "manual", cache: "no-store", headers: {Prefer: "wait=20"}, signal: stop.signal})
      .then(function (answer) {
        if (answer.type === "opaqueredirect") return go(again);
        if (!answer.ok && answer.status !== 404) throw answer.status;
        return answer.text().then(function (text) {
          var page = new DOMParser().parseFromString(text, "text/html");
          var next = page.body.dataset.again || "";
          if (page.title !== document.title || next !== (data.again || "")) return go(next || again);
          failures = 0;
          say(said);
          later(Math.max(250, pause - (Date.now() - began)));
        });
      })
      .catch(function (error) {
        failures += 1;
        if (failures > 1 && typeof error !== "number") say(data.lost);
        later(Math.min(pause * failures, 15000));
      })
      .then(function () { clearTimeout(end); asking = false; });
  }
  if (!window.fetch || !window.AbortController) return setTimeout(go, pause, again);
  window.addEventListener("online", look);
  document.addEventListener("visibilitychange", function () { if (!document.hidden && failures) look(); });
  later(data.first * 1000);
})();
"""


class Again(Struct, frozen=True, kw_only=True):
    """Where a page looks again, and after how many seconds. `path` None is the page's own address.

    `at_once`: the first look comes at once, because the service lets a look wait for the outcome.
    """

    path: str | None
    seconds: int
    at_once: bool = False

    def refresh(self) -> str:
        """The element for the head. It is in a `noscript`, because a reload takes a screen reader back to the top."""
        url = "" if self.path is None else f";url={escape(self.path)}"
        return f'<noscript><meta http-equiv="refresh" content="{self.seconds}{url}"></noscript>'

    def attributes(self, lost: str) -> str:
        """The attributes for the body. `lost` is the text that is shown while the service cannot be reached."""
        first = 0 if self.at_once else self.seconds
        path = escape(self.path or "")
        return f' data-again="{path}" data-pause="{self.seconds}" data-first="{first}" data-lost="{escape(lost)}"'
