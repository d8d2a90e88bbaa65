"""The console's one style sheet: light and dark, wide and narrow. Its colours are those of all our pages."""

from __future__ import annotations

from collections.abc import Mapping

from worker.palette import DARK, LIGHT

TONES = ("good", "hand", "stop", "wait", "quiet")


def _colours(palette: Mapping[str, str]) -> str:
    return ";".join(f"--{name}:{value}" for name, value in palette.items())


_BASE = (
    f":root{{color-scheme:light dark;{_colours(LIGHT)}}}"
    f"@media(prefers-color-scheme:dark){{:root{{{_colours(DARK)}}}}}"
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--page);color:var(--text);overflow-wrap:anywhere;"
    "font:1rem/1.5 system-ui,-apple-system,'Noto Sans','Noto Sans Bengali',sans-serif}"
    ":lang(bn){line-height:1.65}"
    "h1{font-size:1.6rem;line-height:1.3;margin:0 0 1rem;text-wrap:balance}"
    "h2{font-size:1.2rem;line-height:1.35;margin:2rem 0 .6rem}h2.first{margin-top:0}"
    "h3{font-size:1rem;margin:1.25rem 0 .35rem}"
    "p{margin:0 0 .75rem;max-width:48rem}small,.small{font-size:.875rem}.quiet,small{color:var(--quiet)}"
    + "".join(f".{tone}{{color:var(--{tone})}}" for tone in TONES)
    + "a{color:var(--wait)}"
    ":focus-visible{outline:3px solid var(--wait);outline-offset:2px;border-radius:.25rem}main:focus{outline:0}"
    ".skip{position:absolute;left:-99rem}.skip:focus{left:.5rem;top:.5rem;background:var(--card);padding:.5rem 1rem;"
    "z-index:2}"
    ".hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}"
    ".lead{font-size:1.2rem;line-height:1.45;max-width:56rem}:lang(bn).lead,:lang(bn) .lead{line-height:1.6}"
    ".lead.mark{max-width:none;background:var(--card);border:1px solid var(--line);"
    "border-left:.4rem solid currentColor;border-radius:.6rem;padding:.6rem .9rem;margin:0 0 .6rem}"
    ".lead.mark>span{color:var(--text)}"
    ".lead.mark+:not(.lead){margin-top:1.25rem}"
)
_FRAME = (
    ".bar{display:flex;flex-wrap:wrap;align-items:center;gap:.25rem 1rem;background:var(--card);"
    "border-bottom:1px solid var(--line);padding:.35rem 1rem}"
    ".bar a,.menu summary{display:inline-flex;align-items:center;min-height:2.75rem}"
    ".brand{font-weight:750;font-size:1.1rem;color:var(--text);text-decoration:none}"
    ".who{font-size:.875rem;color:var(--quiet)}.language{font-size:.9375rem;padding:0 .25rem}"
    ".acts{margin-top:1rem}.bar .brand+.language{margin-left:auto}.bar .who{gap:.25rem}"
    ".search{display:flex;gap:.4rem;flex:1 1 14rem;max-width:34rem;margin:.25rem 0}.search input{flex:1;min-width:0}"
    ".bar .who{margin-left:auto}"
    ".columns{display:grid;grid-template-columns:12.5rem minmax(0,1fr);max-width:96rem;min-height:calc(100vh - 3.6rem)}"
    "main{padding:1.5rem 1.25rem 4rem;min-width:0}main.narrow{max-width:34rem;margin:0 auto;padding-top:2rem}"
    "nav ul{list-style:none;margin:0;padding:0}"
    ".side{padding:1rem .5rem;border-right:1px solid var(--line)}"
    ".side a,.menu nav a{display:flex;align-items:center;min-height:2.75rem;padding:.25rem .75rem;border-radius:.5rem;"
    "text-decoration:none;color:var(--text)}"
    "nav a:hover{background:var(--card)}"
    ".menu nav a:hover{background:var(--page)}"
    "nav a[aria-current]{font-weight:700;box-shadow:inset .2rem 0 0 var(--wait);background:var(--card)}"
    ".menu{display:none}.menu summary{cursor:pointer;font-weight:650;padding:0 .25rem;color:var(--wait)}"
    "@media(max-width:60rem){.columns{display:block}.side{display:none}.menu{display:block}"
    ".menu[open]{order:9;flex:1 1 100%}.menu nav ul{display:grid;grid-template-columns:1fr 1fr;gap:0 .5rem}"
    ".search{flex:1 1 100%;order:3;max-width:none}main{padding:1.25rem 1rem 3rem}}"
    "@media(max-width:30rem){.bar{column-gap:.75rem}.bar .who .role{display:none}}"
)
_CONTENT = (
    ".note,.card,figure,table,fieldset,dl.facts{background:var(--card);border:1px solid var(--line);"
    "border-radius:.6rem}"
    ".note{border-color:var(--hand);border-left-width:.4rem;padding:.6rem .9rem;margin:.75rem 0;max-width:none}"
    ".note.bad{border-color:var(--stop)}.note.fine{border-color:var(--good)}"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,21rem),1fr));gap:.75rem;margin:0 0 1rem}"
    ".card{padding:.75rem 1rem}.card p:last-child{margin:0}"
    "dl.facts{display:grid;grid-template-columns:minmax(7rem,15rem) minmax(0,1fr);gap:.35rem 1rem;margin:0 0 1rem}"
    "main>dl.facts,section>dl.facts{padding:.75rem 1rem}"
    ".card dl.facts{grid-template-columns:minmax(0,1fr) minmax(0,1.6fr);margin:0;padding:0;border:0}"
    ".card time{white-space:normal}.card>h2,.card>h3{margin-top:0}"
    "dt{color:var(--quiet)}dd{margin:0}"
    "code,.id{font-family:ui-monospace,'Noto Sans Mono',monospace;font-size:.9em}"
    "pre{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.75rem 1rem;overflow-x:auto;"
    "white-space:pre-wrap;font-size:.875rem}"
    "figure{margin:0 0 1rem;padding:.75rem 1rem}figcaption{font-weight:650;margin-bottom:.35rem}"
    "svg{display:block;width:100%;height:8rem}svg rect{fill:currentColor}svg line{stroke:var(--quiet)}"
    ".axis{display:flex;font-size:.8125rem;color:var(--quiet)}.axis span{flex:1 1 0;text-align:center;min-width:0}"
    ".beside{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));"
    "gap:0 1rem}.beside figure{display:flex;flex-direction:column}"
    ".beside svg{flex:1 1 11rem;height:auto;min-height:8rem}"
    ".badge{display:inline-block;border:1px solid currentColor;border-radius:1rem;padding:0 .6rem;font-size:.875rem;"
    "font-weight:600;white-space:nowrap}"
    "time{white-space:nowrap}time small{white-space:nowrap}td time small,th time small{display:block;font-weight:400}"
    "p:not(.views)>a[aria-current],dt>a[aria-current]{color:var(--text);font-weight:700;text-decoration:none}"
    ".scroll{overflow-x:auto}main>details{margin:0 0 1.25rem}main>details>summary{cursor:pointer;padding:.4rem 0}"
)
_TABLES = (
    "table{border-collapse:separate;border-spacing:0;width:100%;font-size:.9375rem;margin:0 0 1rem}"
    "caption{text-align:left;padding:0 0 .4rem;font-weight:650}"
    "th,td{padding:.5rem .7rem;text-align:left;vertical-align:top;border-top:1px solid var(--line);"
    "overflow-wrap:break-word}td .id,td bdi,th .id,th bdi{overflow-wrap:anywhere}"
    "thead th{border-top:0;color:var(--quiet);font-weight:600;font-size:.875rem;vertical-align:bottom}"
    ".n{text-align:right;font-variant-numeric:tabular-nums}td.n{white-space:nowrap}"
    "tbody tr:hover{background:var(--page)}tr:focus-within{background:var(--page)}"
    "@media(max-width:48rem){"
    ".stacks thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}"
    ".stacks,.stacks caption,.stacks tbody,.stacks tr,.stacks td,.stacks th{display:block}"
    ".stacks caption{padding:.6rem .8rem 0}.narrow th,.narrow td{padding:.4rem .5rem}.narrow{font-size:.875rem}"
    ".stacks tr{border-top:1px solid var(--line);padding:.6rem .8rem}.stacks tbody tr:first-child{border-top:0}"
    ".stacks td,.stacks th,.stacks td.n{border:0;padding:.15rem 0;text-align:left;white-space:normal}"
    ".stacks [data-name]{display:grid;grid-template-columns:7rem minmax(0,1fr);gap:.6rem}"
    ".stacks [data-name]::before{content:attr(data-name);color:var(--quiet);font-weight:400;font-size:.875rem}"
    ".stacks td:empty{display:none}time{white-space:normal}dl.facts{grid-template-columns:minmax(0,7rem) minmax(0,1fr)}"
    "dl.facts.wide{grid-template-columns:1fr}dl.facts.wide dd{margin-bottom:.4rem}"
    "dt{font-size:.875rem;line-height:1.7}}"
)
_FORMS = (
    "label,legend{display:block;font-weight:600;margin:.75rem 0 .25rem}"
    "fieldset{padding:.25rem 1rem 1rem;margin:0 0 1rem}legend{padding:0 .35rem}"
    "input,select,textarea,button,.button{font:inherit;color:inherit;min-height:2.75rem;border-radius:.5rem;"
    "border:1px solid var(--quiet);background:var(--card);padding:.4rem .75rem;max-width:100%}"
    "input[type=radio],input[type=checkbox]{min-height:0;width:1.25rem;height:1.25rem;vertical-align:-.25rem;"
    "margin-right:.5rem}"
    "label.choice{font-weight:400;padding:.5rem 0;margin:0;display:grid;grid-template-columns:1.75rem minmax(0,1fr)}"
    "label.choice input{margin:.15rem 0 0}main form+:not(form),section+p{margin-top:1.25rem}"
    ".buttons{display:flex;flex-wrap:wrap;gap:.5rem;align-items:center;margin:0 0 1rem}"
    ".buttons>.button,.buttons>button,.buttons>form,.buttons form button{margin:0}"
    ".stacked input:not([type=radio],[type=checkbox]),.stacked select,.stacked textarea{width:100%;max-width:32rem;"
    "display:block}"
    "textarea{min-height:6rem}"
    "button,.button{cursor:pointer;font-weight:600;background:var(--wait);color:var(--card);border-color:var(--wait);"
    "text-decoration:none;display:inline-flex;align-items:center;margin-top:.75rem}"
    ".search button,.inline button{margin-top:0}"
    "button:hover,.button:hover{filter:brightness(1.08)}"
    "button.second,.button.second{background:var(--card);color:var(--wait)}"
    "button.danger{background:var(--stop);border-color:var(--stop)}"
    "button:disabled{opacity:.6;cursor:progress}"
    ".inline{display:inline-flex;flex-wrap:wrap;gap:.5rem;align-items:center;margin:0 .5rem .5rem 0}"
    ".inline label{margin:0}"
    ".filters{display:grid;grid-template-columns:repeat(auto-fill,minmax(8.75rem,1fr));gap:.5rem 1rem;"
    "margin-bottom:1rem}"
    ".filters label{margin-top:0}.filters input,.filters select{width:100%}"
    "@media print{:root{color-scheme:light;" + _colours(LIGHT) + "}.bar,.side,.skip,form,.buttons{display:none}"
    ".columns{display:block}main{padding:0}body{background:#fff}thead{display:table-header-group}"
    "tr,.card,figure{break-inside:avoid}h2{break-after:avoid}}"
)

_PAYMENTS = (
    ".views ul{display:flex;flex-wrap:wrap;gap:0 1.25rem;margin:-.5rem 0 .75rem}"
    ".views a{display:inline-flex;align-items:center;min-height:2.75rem}"
    "form details summary{cursor:pointer;min-height:2.75rem;display:list-item;padding-top:.6rem}"
    ".filters{align-items:start}thead th{overflow-wrap:normal}"
    ".timeline{list-style:none;padding:0;margin:0 0 1rem}"
    ".timeline li{display:grid;grid-template-columns:11rem minmax(0,1fr);gap:.1rem 1rem;padding:.5rem 0;"
    "border-top:1px solid var(--line)}.timeline li:first-child{border-top:0}.timeline time small{display:block}"
    "tr:has(.differs){background:color-mix(in srgb,var(--stop) 9%,var(--card))}"
    "@media(max-width:48rem){.timeline li{grid-template-columns:1fr}.timeline time small{display:inline}}"
)

STYLE = _BASE + _FRAME + _CONTENT + _TABLES + _FORMS + _PAYMENTS
