"""OnePayBD's checkout is bKash's: wallet number, the code it is sent, the PIN; three short steps on one bright slab."""

from __future__ import annotations

from html import escape

from worker.playground.sandbox.checkout.shape import CheckoutField, CheckoutLook, Special, Step, View

STYLE = """
body{--back:#ecedf1;--ink:#2b2b33;--focus:#1b1b1b}
main{max-width:27rem;background:#fff;margin-top:1.25rem;border-radius:10px;overflow:hidden;box-shadow:0 8px 30px #0002}
.brand{display:flex;align-items:baseline;justify-content:center;gap:.6rem;padding:1rem;border-bottom:4px solid #d6146a}
.brand b{font-size:1.375rem;color:#b80f59;letter-spacing:-.02em}
.brand span{font-size:.875rem;color:#5b5b66}
.order{display:grid;grid-template-columns:1fr auto;gap:.1rem 1rem;align-items:center;padding:.9rem 1.25rem}
.order .amount{font-size:1.375rem;grid-column:2;grid-row:1}
.order dl{grid-column:1;grid-row:1;font-size:.875rem;min-width:0}
.order dl div{display:block}.order dt{display:none}.order dd{text-align:left}
.order dd:first-of-type{color:#2b2b33}
.clock{grid-column:1/-1;color:#5b5b66}
.act{background:#d6146a;color:#fff;text-align:center;padding-top:1.5rem;--focus:#fff}
.act>*{margin-left:1.5rem;margin-right:1.5rem}
.act h1{font-size:1.0625rem;font-weight:600}
.act .lead{font-size:.9375rem;margin-top:.35rem}
.act form{margin:1rem 0 0}
.field{margin:0 1.5rem 1.1rem}
.field label{font-weight:400}
input{color:#2b2b33;border:0;border-radius:4px;text-align:center;letter-spacing:.12em;font-size:1.25rem}
.buttons{flex-direction:row;gap:1px;background:#ffffff40;margin:1.25rem 0 0}
.buttons>*{flex:1;border-radius:0;background:#b80f59;color:#fff;min-height:3.25rem;display:grid;place-items:center;
 outline-offset:-5px}
.buttons>:hover{background:#9c0a4a}
.told{margin-top:.75rem}
.foot{color:#55555f}
@media(max-width:28rem){main{margin-top:0;border-radius:0;box-shadow:none}}
"""


def _sent(view: View) -> str:
    number = view.raw(NUMBER)
    return f'<p class="lead">A code was sent to <b>{escape(number[:3])} ** *** {escape(number[-3:])}</b></p>'


def _terms(view: View) -> str:
    del view
    return '<p class="lead" lang="bn">আপনার বিকাশ অ্যাকাউন্ট নম্বর দিন</p>'


def _last(view: View) -> str:
    return f'<p class="lead">to pay <b>{view.amount}</b> · <span lang="bn">পিন দিন</span></p>'


NUMBER = CheckoutField(name="number", label="bKash account number", given="01770618575", hint="Any number is taken.")

LOOK = CheckoutLook(
    title="OnePayBD · bKash payment",
    brand="<b>OnePayBD</b><span>bKash payment</span>",
    style=STYLE,
    steps=(
        Step(
            name="number",
            title="Your bKash account",
            stage="1 / 3",
            lead=_terms,
            fields=(NUMBER,),
            button="Proceed",
            to="code",
        ),
        Step(
            name="code",
            title="Verification code",
            stage="2 / 3",
            lead=_sent,
            fields=(
                CheckoutField(
                    name="code", label="6 digits from the message", given="123456", hint="Any code is taken."
                ),
            ),
            button="Confirm code",
            to="pin",
        ),
        Step(
            name="pin",
            title="Enter your PIN",
            stage="3 / 3",
            lead=_last,
            fields=(
                CheckoutField(name="pin", label="bKash PIN", given="12121", hint="Any PIN is taken.", secret=True),
            ),
            button="Confirm",
        ),
    ),
    specials=(
        Special(field="code", value="000000", does="again", says="That code is not the one we sent. Please try again."),
        Special(field="pin", value="11111", does="again", says="The PIN is not right. Please try again."),
        Special(field="pin", value="00000", does="fail", says="The balance is too low."),
    ),
    cancel_first=True,
    foot="Confirming agrees to the payment; the shop then takes the money.",
)
