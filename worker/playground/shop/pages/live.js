(() => {
  // The page without this script is whole; this looks again and changes only what has changed.
  const live = document.getElementById("live");
  const parts = ["outcome", "actions", "attempts"];
  const typing = (part) => part.contains(document.activeElement) && document.activeElement.matches("input,select");

  const grow = (list, fresh) => {
    const rows = [...fresh.children];
    const same = [...list.children].every((row, n) => rows[n] && row.innerHTML === rows[n].innerHTML);
    if (!same) list.replaceChildren();
    for (const row of rows.slice(list.children.length)) {
      row.classList.add("new");
      list.append(row);
    }
  };

  const look = async () => {
    const answer = await fetch(location.pathname + "/live", { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.statusText);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.title = fresh.title;
    for (const id of parts) {
      const now = document.getElementById(id), then = fresh.getElementById(id);
      if (now.innerHTML === then.innerHTML || typing(now)) continue;
      const focused = now.contains(document.activeElement) ? document.activeElement.id : "";
      now.innerHTML = then.innerHTML;
      now.className = then.className;
      if (focused) document.getElementById(focused)?.focus();
    }
    grow(document.getElementById("steps"), fresh.getElementById("steps"));
  };

  const again = async () => {
    if (!document.hidden) {
      try {
        await look();
        live.textContent = "Live: looks again every second";
      } catch {
        live.textContent = "Not live: the shop does not answer; trying again";
      }
    }
    setTimeout(again, 1000);
  };
  again();
})();
