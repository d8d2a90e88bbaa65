"""The hosted checkout pages: one file per gateway, in that gateway's own manner, drawn in one frame.

Nothing about the money is decided here. A page collects the buyer's entries and passes them to
`worker.playground.sandbox.shopper.perform`. Entries of earlier steps travel in hidden fields and are stored nowhere.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

ORDER_PAGE: web.AppKey[Callable[[str], str]] = web.AppKey("order_page")
"""Where a shop served beside the sandbox shows the order of this reference. Unset where there is no such shop."""
