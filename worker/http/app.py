"""The two HTTP applications: what gateways, browsers and shops reach, and what operators reach."""

from __future__ import annotations

from aiohttp import web

from consumers.bus import Bus
from consumers.rules import Rules
from worker.config import Config
from worker.gateways import Gateways
from worker.http.api import routes
from worker.http.auth import authenticate
from worker.http.callbacks import MAX_BODY
from worker.http.context import Api
from worker.http.headers import guarded
from worker.http.ingress import ingress_of
from worker.http.ops import Ops
from worker.http.problems import problems
from worker.http.returns import Returns
from worker.http.webhooks import Webhooks
from worker.metrics import Metrics
from worker.outcomes import Outcomes
from worker.postgres.database import Database
from worker.postgres.ledger import PostgresLedger
from worker.tracing import OFF, Tracing


def public_app(
    config: Config,
    rules: Rules,
    database: Database,
    ledger: PostgresLedger,
    bus: Bus,
    gateways: Gateways,
    outcomes: Outcomes,
    metrics: Metrics,
    tracing: Tracing = OFF,
) -> web.Application:
    ingress = ingress_of(config, ledger, bus, database.clock, outcomes, metrics, tracing)
    api = Api(
        config=config,
        rules=rules,
        database=database,
        ledger=ledger,
        bus=bus,
        open_checkout=gateways.open,
        tracing=tracing,
    )
    app = web.Application(client_max_size=MAX_BODY, middlewares=[problems, authenticate(api)])
    app.add_routes([*Returns(ingress).routes(), *Webhooks(ingress).routes(), *routes(api)])
    app.on_response_prepare.append(guarded(config.settings.public_url))
    return app


def ops_app(ops: Ops) -> web.Application:
    app = web.Application()
    app.add_routes(ops.routes())
    app.on_response_prepare.append(guarded())
    return app
