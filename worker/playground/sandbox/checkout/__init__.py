"""The hosted checkout pages: one file per gateway, in that gateway's own manner, drawn in one frame.

The one thing to get wrong: nothing of the money is decided here. A page gathers what the buyer does and hands it to
`worker.playground.sandbox.shopper.perform`; what was typed on the way travels in hidden fields and is kept nowhere.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

ORDER_PAGE: web.AppKey[Callable[[str], str]] = web.AppKey("order_page")
"""Where a shop served beside the sandbox shows the order of this reference. Unset where there is no such shop."""
