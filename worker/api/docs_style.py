"""The look of `/docs` and `/`: one inline style sheet, light and dark, from a phone's width on.

The policy names the sheet by its hash. It lets no script run, and lets nothing be loaded from anywhere.
"""

from __future__ import annotations

import base64
from hashlib import sha256

from worker.palette import THEME

STYLE = (
    THEME + "*{box-sizing:border-box}"
    "body{margin:0 auto;max-width:56rem;padding:1.5rem 1rem 4rem;background:var(--page);color:var(--text);"
    "font:1rem/1.55 system-ui,-apple-system,'Noto Sans',sans-serif;overflow-wrap:anywhere}"
    "h1{font-size:1.6rem;line-height:1.25;margin:0 0 .5rem}h2{font-size:1.3rem;margin:2.5rem 0 .5rem}"
    "h3{font-size:1.05rem;margin:0 0 .5rem}h4{font-size:.9375rem;margin:1.25rem 0 .35rem;color:var(--quiet)}"
    "p{margin:0 0 .75rem}.quiet,.kind{color:var(--quiet)}"
    "a{color:var(--wait)}a:focus-visible,summary:focus-visible{outline:3px solid var(--wait);outline-offset:2px}"
    "article,details{background:var(--card);border:1px solid var(--line);border-radius:.6rem;"
    "padding:1rem;margin:0 0 1rem}"
    "details{padding:.35rem .8rem;margin:0 0 .5rem}details details{margin:1rem 0 0}"
    "nav a{display:inline-block;padding:.3rem 1.25rem .3rem 0}"
    "code,pre{overflow-wrap:anywhere}"
    "code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.875rem}"
    "pre{margin:0 0 .75rem;padding:.75rem;background:var(--page);border:1px solid var(--line);border-radius:.4rem;"
    "white-space:pre-wrap;line-height:1.45}"
    "dl{margin:0}dd{margin:0 0 .5rem}dd p{margin:0 0 .35rem}"
    ".fields>div{padding:.35rem 0;border-top:1px solid var(--line)}"
    ".fields>div:first-child{border-top:0}.fields dd{margin:0}.fields{margin:0 0 .5rem}"
    ".kind{display:block;font-size:.875rem}.needed{color:var(--hand);font-size:.8125rem}"
    "summary{cursor:pointer;padding:.35rem 0;font-weight:600}details[open]>summary{margin-bottom:.5rem}"
    "summary h3{display:inline;margin:0}summary .quiet{display:block;font-weight:400}"
    "details:target{border-color:var(--wait)}"
    "@media(min-width:44rem){.fields>div{display:grid;grid-template-columns:13rem 1fr;gap:1rem}}"
    "@media print{details::details-content{content-visibility:visible}pre{break-inside:avoid}}"
)
POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(sha256(STYLE.encode()).digest()).decode()}'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
