"""The pages a returning buyer may see: one small document each, English or Bangla, no script and no personal data."""

from __future__ import annotations

from html import escape

from aiohttp import web

from schemas.payments import Payment
from schemas.words import Status

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_WORDS = {
    "en": {
        "confirming": (
            "Confirming your payment",
            "We are asking the payment company. This page looks again by itself.",
        ),
        "held": ("We are checking this by hand", "Your payment needs a person to look at it. Please do not pay again."),
        "completed": ("Payment received", "Your payment is confirmed."),
        "refunded": ("Payment refunded", "Your money was sent back."),
        "failed": ("Payment failed", "No payment was made."),
        "cancelled": ("Payment cancelled", "No payment was made."),
        "expired": ("Payment expired", "No payment was made in time."),
        "pending": ("Not confirmed yet", "The payment company has not confirmed your payment yet."),
        "not_found": ("Nothing to show here", "This link belongs to no payment that we know."),
        "noted": ("Thank you", "We are checking your payment. You may go back to the shop."),
        "busy": ("One moment, please", "Many people are paying right now. This page tries again by itself."),
        "back": "Back to the shop",
        "reference": "Order",
    },
    "bn": {
        "confirming": ("আপনার পেমেন্ট যাচাই করা হচ্ছে", "আমরা পেমেন্ট কোম্পানির কাছে জানতে চাইছি। পাতাটি নিজে থেকেই আবার দেখবে।"),
        "held": ("আমরা নিজে হাতে যাচাই করছি", "আপনার পেমেন্ট একজন মানুষ দেখবেন। অনুগ্রহ করে আবার টাকা দেবেন না।"),
        "completed": ("পেমেন্ট পাওয়া গেছে", "আপনার পেমেন্ট নিশ্চিত হয়েছে।"),
        "refunded": ("টাকা ফেরত দেওয়া হয়েছে", "আপনার টাকা ফেরত পাঠানো হয়েছে।"),
        "failed": ("পেমেন্ট হয়নি", "কোনো টাকা কাটা হয়নি।"),
        "cancelled": ("পেমেন্ট বাতিল হয়েছে", "কোনো টাকা কাটা হয়নি।"),
        "expired": ("পেমেন্টের সময় শেষ", "সময়ের মধ্যে টাকা দেওয়া হয়নি।"),
        "pending": ("এখনো নিশ্চিত হয়নি", "পেমেন্ট কোম্পানি এখনো নিশ্চিত করেনি।"),
        "not_found": ("এখানে কিছু নেই", "এই লিংকের কোনো পেমেন্ট আমাদের জানা নেই।"),
        "noted": ("ধন্যবাদ", "আমরা আপনার পেমেন্ট যাচাই করছি। আপনি দোকানে ফিরে যেতে পারেন।"),
        "busy": ("একটু অপেক্ষা করুন", "এখন অনেকে টাকা দিচ্ছেন। পাতাটি নিজে থেকেই আবার চেষ্টা করবে।"),
        "back": "দোকানে ফিরে যান",
        "reference": "অর্ডার",
    },
}

_STYLE = (
    "body{margin:0;font:1.125rem/1.6 system-ui,sans-serif;background:#f6f7f9;color:#1c2430}"
    "main{max-width:28rem;margin:12vh auto 0;padding:0 1.25rem}h1{font-size:1.5rem;line-height:1.25}"
    "a{color:#0b5cad;font-weight:600}small{color:#4a5565}"
)


def page(
    request: web.Request,
    name: str,
    *,
    status: int = 200,
    shop: str | None = None,
    shop_link: str | None = None,
    reference: str | None = None,
    again: tuple[int, str] | None = None,
    headers: dict[str, str] | None = None,
) -> web.Response:
    """Render a page by its name. `again`: look again after so many seconds at that path."""
    language = _language(request)
    words = _WORDS[language]
    title, text = words[name]
    refresh = f'<meta http-equiv="refresh" content="{again[0]};url={escape(again[1])}">' if again else ""
    parts = [
        f"<p><small>{escape(shop)}</small></p>" if shop else "",
        f"<h1>{title}</h1>",
        f'<p role="status">{text}</p>',
    ]
    if reference:
        parts.append(f"<p><small>{words['reference']}: {escape(reference)}</small></p>")
    if shop_link:
        parts.append(f'<p><a href="{escape(shop_link)}">{words["back"]}</a></p>')
    html = (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">{refresh}'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>"
    )
    return web.Response(
        text=html,
        status=status,
        content_type="text/html",
        headers={**HEADERS, "Vary": "Accept-Language", **(headers or {})},
    )


def outcome_name(payment: Payment) -> str:
    if payment.hold is not None:
        return "held"
    return "pending" if payment.status is Status.PENDING else payment.status.value


def _language(request: web.Request) -> str:
    """The browser's first language of the two we speak."""
    for part in request.headers.get("Accept-Language", "").split(","):
        language = part.split(";")[0].strip().lower().split("-")[0]
        if language in _WORDS:
            return language
    return "en"
