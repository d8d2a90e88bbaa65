"""The page's style: on a screen, light and dark, wide and narrow, and on paper.

Paper is always light, no row is cut in two, and a table's head stands on every page. The colours are those of our other
pages, whose contrast is tested.
"""

from __future__ import annotations

from worker.palette import DARK, LIGHT, declared

TONES = ("good", "hand", "stop", "quiet")


_SCREEN = (
    f":root{{color-scheme:light dark;{declared(LIGHT)}}}"
    f"@media screen and (prefers-color-scheme:dark){{:root{{{declared(DARK)}}}}}"
    "*{box-sizing:border-box}"
    "body{margin:0 auto;max-width:76rem;padding:1.5rem 1rem 3rem;background:var(--page);color:var(--text);"
    "font:1rem/1.5 system-ui,-apple-system,'Noto Sans','Noto Sans Bengali',sans-serif;overflow-wrap:anywhere}"
    "h1{font-size:1.6rem;line-height:1.25;margin:0 0 .25rem;text-wrap:balance}"
    "h2{font-size:1.2rem;line-height:1.3;margin:2.25rem 0 .75rem}"
    "h3{font-size:1rem;margin:0 0 .25rem}"
    "p{margin:0 0 .75rem;max-width:48rem}.quiet,.small{color:var(--quiet)}.small{font-size:.875rem}"
    + "".join(f".{tone}{{color:var(--{tone})}}" for tone in TONES)
    + ".note{border:1px solid var(--hand);border-left-width:.4rem;border-radius:.5rem;padding:.6rem .9rem;"
    "background:var(--card);max-width:none;margin:.75rem 0}"
    ".card,figure,table{background:var(--card);border:1px solid var(--line);border-radius:.6rem}"
    "dl{margin:0}dt{color:var(--quiet);font-size:.875rem}dd{margin:0}"
    ".facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(15rem,1fr));gap:.6rem 1.5rem;margin-top:1rem}"
    ".facts .wide{grid-column:1/-1}"
    ".money{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.75rem}"
    "@media screen and (min-width:60rem){.money{grid-template-columns:repeat(4,1fr)}}"
    ".card{padding:.75rem 1rem}"
    ".money+p,.strips+p,p.young{margin-top:.6rem}"
    ".card dd{font-size:1.3rem;font-weight:650;line-height:1.3;font-variant-numeric:tabular-nums}"
    ".card dd.small{font-size:.875rem;font-weight:400}"
    ".strips{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr));gap:.75rem}"
    "figure{margin:0;padding:.75rem 1rem}figcaption{display:flex;flex-wrap:wrap;justify-content:space-between;"
    "gap:0 1rem;margin-bottom:.35rem}figcaption b{font-weight:650}"
    "svg{display:block;width:100%;height:5rem}rect{fill:currentColor}line{stroke:var(--line)}"
    ".ends{display:flex;justify-content:space-between;font-size:.8125rem;color:var(--quiet)}"
    "table{border-collapse:separate;border-spacing:0;width:100%;font-size:.9375rem}"
    "caption{text-align:left;padding:0 0 .5rem}"
    "th,td{padding:.45rem .7rem;text-align:left;vertical-align:top;border-top:1px solid var(--line)}"
    "thead th{border-top:0;color:var(--quiet);font-weight:600;font-size:.875rem;vertical-align:bottom}"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;overflow-wrap:normal;white-space:nowrap}"
    "th[scope=row]{white-space:nowrap;overflow-wrap:normal}"
    "tfoot td,tfoot th{font-weight:650}"
    "td.when{white-space:nowrap;overflow-wrap:normal}.cards .ids{min-width:20rem}"
    ".ids{font-size:.875rem}.ids span{display:block}.ids i{color:var(--quiet);font-style:normal}"
    ".scroll{overflow-x:auto;border-radius:.6rem}"
    ".scroll:focus-visible{outline:3px solid var(--wait);outline-offset:2px}"
    ".scroll th:first-child{position:sticky;left:0;background:var(--card)}"
    "section.group{margin-bottom:1.75rem}"
    ".mark{display:inline-block;min-width:1.1em;text-align:center;font-weight:700}"
    ".glossary{display:grid;gap:.9rem}.glossary dt{color:var(--text);font-weight:650;font-size:1rem}"
)

_PHONE = (
    "@media screen and (max-width:44rem){"
    ".cards thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}"
    ".cards,.cards tbody,.cards tfoot,.cards tr,.cards td,.cards th{display:block}"
    ".cards tr{border-top:1px solid var(--line);padding:.55rem .8rem}.cards tbody tr:first-child{border-top:0}"
    ".cards td,.cards th,.cards td.n,.cards td.when{border:0;padding:.1rem 0;text-align:left;white-space:normal}"
    ".cards td[data-name]{display:grid;grid-template-columns:6.5rem 1fr;gap:.6rem}"
    ".cards td[data-name]::before{content:attr(data-name);color:var(--quiet);font-size:.875rem}"
    ".cards .ids{min-width:0}.cards td:empty{display:none}}"
)

_PAPER = (
    "@page{size:A4;margin:14mm 12mm 16mm}"
    "@media print{"
    f":root{{color-scheme:light;{declared(LIGHT)};--page:#ffffff}}"
    "body{max-width:none;padding:0;font-size:9.5pt}h1{font-size:16pt}h2{font-size:12pt;margin:14pt 0 6pt}"
    "h2,h3,caption{break-after:avoid}tr,figure,.card,.note,.glossary>div{break-inside:avoid}"
    "thead{display:table-header-group}tfoot{display:table-row-group}"
    "table{font-size:8pt;border-radius:0;border-width:1px 0}th,td{padding:2.5pt 4pt}"
    ".ids{font-size:7.5pt}.scroll{overflow:visible}"
    ".card dd{font-size:12pt}.small,.card dd.small,dt,thead th,.ends{font-size:8pt}.cards .ids{min-width:52mm}"
    ".money{grid-template-columns:repeat(4,1fr);gap:6pt}.facts{grid-template-columns:1fr 1fr}"
    ".strips{grid-template-columns:1fr 1fr;gap:6pt}svg{height:2.6rem}"
    "rect{-webkit-print-color-adjust:exact;print-color-adjust:exact}"
    "}"
)

STYLE = _SCREEN + _PHONE + _PAPER
