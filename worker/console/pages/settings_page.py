"""Settings: what this console reads of the configuration. Nothing is changed here, and no secret is shown."""

from __future__ import annotations

from collections.abc import Sequence

import htpy as h
from aiohttp import web

from worker.console.elements import Cells, Column, facts, table, taka
from worker.console.layout import page
from worker.console.pages.endpoint_parts import endpoint_name, endpoints_seen
from worker.console.visit import Visit

_OPERATORS = (Column("settings.name"), Column("settings.role"), Column("settings.merchants"))
_ACCOUNTS = (
    Column("gateways.account"),
    Column("settings.merchant"),
    Column("gateways.gateway"),
    Column("settings.base_url"),
    Column("gateways.budget"),
)
_ENDPOINTS = (Column("settings.endpoint"), Column("settings.merchant"), Column("settings.events"))


async def show_settings(visit: Visit) -> web.StreamResponse:
    config, console = visit.context.config, visit.context.operators.console
    limit = visit.context.rules.second_person_from  # as every decision has it; SIGHUP changes none
    seen = {merchant.id for merchant in visit.merchants}
    operators = [
        (
            one.name,
            visit.say(f"role.{one.role}"),
            visit.say("settings.all") if one.merchants is None else ", ".join(sorted(seen.intersection(one.merchants))),
        )
        for one in console.operators
        if any(one.sees(merchant.id) for merchant in visit.merchants)
    ]
    accounts = [
        (
            account.id,
            merchant.id,
            account.provider.name,
            account.provider.base_url,
            _budget(visit, account.calls_per_second),
        )
        for merchant in visit.merchants
        for account in merchant.accounts
    ]
    endpoints = [(endpoint_name(one), one.merchant, ", ".join(one.types)) for one in await endpoints_seen(visit)]
    return page(
        visit,
        visit.say("nav.settings"),
        h.p(".quiet")[visit.say("settings.read_only")],
        facts(
            visit,
            (
                "settings.second_person",
                visit.say("settings.never") if limit is None else taka(visit, limit),
            ),
            ("settings.public_url", config.settings.public_url),
            ("settings.archive", visit.say("settings.encrypted" if config.archive.keys else "settings.plain")),
            ("settings.retention", visit.say("settings.days", count=round(config.archive.retention / 86_400))),
        ),
        _listed(visit, "settings.operators", _OPERATORS, operators),
        _listed(visit, "settings.accounts", _ACCOUNTS, accounts),
        _listed(visit, "settings.endpoints", _ENDPOINTS, endpoints),
    )


def _listed(visit: Visit, key: str, columns: Sequence[Column], rows: Sequence[Cells]) -> h.Renderable:
    caption = visit.say(key)
    return table(visit, caption, columns, rows, empty=f"{caption}: {visit.say('none')}")


def _budget(visit: Visit, calls_per_second: float | None) -> str:
    if calls_per_second is None:
        return visit.say("gateways.no_budget")
    return visit.say("settings.per_second", count=f"{calls_per_second:g}")
