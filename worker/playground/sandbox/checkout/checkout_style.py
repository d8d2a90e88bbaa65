"""The style all checkouts share: the sandbox's strip and controls, fields, focus, and a clock without script.

Each gateway's own style comes after it and arranges the same parts in another way.
"""

from __future__ import annotations

BASE = """
@property --left{syntax:"<integer>";inherits:true;initial-value:0}
@property --m{syntax:"<integer>";inherits:true;initial-value:0}
@property --s{syntax:"<integer>";inherits:true;initial-value:0}
@keyframes left{to{--left:0}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;min-height:100vh;display:flex;flex-direction:column;font:1rem/1.5 system-ui,"Noto Sans Bengali",
 "Hind Siliguri",sans-serif;background:var(--back);color:var(--ink);overflow-wrap:anywhere}
h1,h2,p,dl,dd,ol,ul{margin:0;padding:0}
h1{font-size:1.25rem;line-height:1.3}
a{color:inherit}
[lang=bn]{font-size:.95em}
.sandbox,.scripted{padding:.45rem 1rem;text-align:center;font-size:.875rem;line-height:1.4}
.sandbox{background:#ffd54a;color:#1b1b1b;border-bottom:2px solid #1b1b1b}
.scripted{background:#1b1b1b;color:#fff3c4}
main{width:100%;margin:0 auto;flex:none}
.order dl div{display:flex;gap:1rem;justify-content:space-between}
.order dt{flex:none}
.order dd{text-align:right}
.amount{font-variant-numeric:tabular-nums;font-weight:700}
.clock{font-size:.875rem;font-variant-numeric:tabular-nums}
.count{--m:calc(var(--left)/60 - .5);--s:calc(var(--left) - 60*var(--m));animation:left linear forwards}
.count::after{counter-reset:m var(--m) s var(--s);content:counter(m) ":" counter(s,decimal-leading-zero)}
label{display:block;font-weight:600;margin-bottom:.3rem}
.field{margin:0 0 1rem}
.hint{display:block;font-size:.8125rem;margin-top:.3rem}
.fields{display:flex;flex-wrap:wrap;gap:0 1rem}
.fields .field{flex:1 1 100%}
.fields .narrow{flex:1 1 7rem;min-width:0}
input{width:100%;font:inherit;font-size:1.125rem;padding:.6rem .75rem;color:inherit;background:#fff;
 border:1px solid #8a8f9c;border-radius:6px;font-variant-numeric:tabular-nums}
button,.go{font:inherit;font-weight:600;cursor:pointer;min-height:2.75rem;padding:.55rem 1rem;border:0;
 border-radius:6px;display:grid;place-items:center;text-align:center;text-decoration:none}
.buttons{display:flex;flex-direction:column;gap:.6rem}
.told+.buttons,.address+.buttons{margin-top:1.25rem}
.told+.told,.told+.address{margin-top:.5rem}
h1+form{margin-top:1rem}
.stage{font-size:.8125rem;font-weight:600}
.refused{background:#fff1d6;color:#6b2400;border-left:4px solid #b45309;padding:.6rem .8rem;margin:.75rem 0;
 text-align:left}
.tiles{list-style:none}
.tiles a{display:flex;align-items:center;gap:.8rem;text-decoration:none;font-weight:600;min-height:3.5rem;
 padding:.5rem .9rem}
.tiles i{flex:none;width:.9rem;height:.9rem;border-radius:50%;background:var(--of)}
.address{font:.8125rem/1.4 ui-monospace,monospace}
:focus-visible{outline:3px solid var(--focus,#1257d6);outline-offset:2px}
.foot{font-size:.8125rem;text-align:center;padding:1rem}
.controls{width:100%;max-width:34rem;margin:auto auto 0;padding:1rem 1.25rem 1.25rem;background:#fff8e1;color:#4a3c08;
 border:2px dashed #a98307;border-bottom:0;border-radius:12px 12px 0 0;font-size:.875rem;--focus:#1b1b1b}
.controls h2{font-size:.875rem}
.controls .row{display:flex;flex-wrap:wrap;gap:.5rem;margin:.6rem 0}
.controls button,.controls .link{flex:1 1 8rem;background:#fff;color:#1b1b1b;border:1px solid #1b1b1b;border-radius:6px;
 min-height:2.5rem;padding:.4rem .8rem;font-weight:600;text-align:center;text-decoration:none}
.controls li{margin:.3rem 0 0 1.1rem}
.controls summary{cursor:pointer;padding:.25rem 0}
.controls code{font-weight:700;background:#fff;padding:0 .25em}
"""
