"""Grafana's dashboard, described in a line or two a panel: `python -m tests.dashboard` writes its JSON anew.

Counters are summed over processes. Gauges that every process reads from the same database must not be summed: they are
taken by `max`, and then summed over gateways where that is useful.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from schemas.answers import Trouble
from schemas.words import Hold

ROOT = Path(__file__).parents[1]
FILE = ROOT / "deploy/grafana/dashboards/payproof.json"
SOURCE = {"type": "prometheus", "uid": "payproof-prometheus"}
WIDTH, HEIGHT, COLUMNS = 8, 7, 24

HERE = 'provider=~"$provider"'
RATE = "[$__rate_interval]"
FOR_A_PERSON = f'{HERE}, hold=~"{"|".join(hold for hold in Hold if not hold.waiting)}"'
FOR_AN_ANSWER = f'{HERE}, hold=~"{"|".join(hold for hold in Hold if hold.waiting)}"'
NO_ANSWER = "|".join(Trouble)
HELD = f"max by (provider, hold) (payproof_payments_held{{{HERE}}})"


class Panel(Struct, frozen=True):
    """`queries` by the legend of their series. `kind` is Grafana's word for the kind of panel."""

    title: str
    says: str
    unit: str
    queries: dict[str, str]
    kind: str = "timeseries"


def a_minute(metric: str, *by: str, where: str = HERE) -> str:
    return f"sum by ({', '.join(by)}) (rate({metric}{{{where}}}{RATE})) * 60"


def quantile(of: float, metric: str, *by: str) -> str:
    return f"histogram_quantile({of}, sum by ({', '.join((*by, 'le'))}) (rate({metric}_bucket{RATE})))"


def same(metric: str, *by: str, where: str = "") -> str:
    """A query for a gauge that every process reads from the same database."""
    return f"max by ({', '.join(by)}) ({metric}{{{where}}})" if by else f"max({metric})"


ROWS = {
    "Money": [
        Panel(
            "Completed payments a minute",
            "Told as payment.completed, by gateway.",
            "short",
            {
                "{{provider}}": a_minute(
                    "payproof_events_written_total", "provider", where=f'{HERE}, type="payment.completed"'
                )
            },
        ),
        Panel(
            "Completed money a minute",
            "In taka, by gateway.",
            "suffix: BDT",
            {"{{provider}}": a_minute("payproof_completed_taka_total", "provider")},
        ),
        Panel(
            "Money in the time shown",
            "Completed, and returned, in taka. What a process counted and did not tell before it ended is missing.",
            "suffix: BDT",
            {
                "completed": f"sum(increase(payproof_completed_taka_total{{{HERE}}}[$__range]))",
                "returned": f"sum(increase(payproof_refunded_taka_total{{{HERE}}}[$__range]))",
            },
            "stat",
        ),
        Panel(
            "Held now",
            "For a person: the money does not fit. Waiting: for an answer that says more.",
            "short",
            {
                "for a person": f"sum({same('payproof_payments_held', 'provider', 'hold', where=FOR_A_PERSON)})",
                "waiting": f"sum({same('payproof_payments_held', 'provider', 'hold', where=FOR_AN_ANSWER)})",
            },
            "stat",
        ),
        Panel(
            "Held, by reason", "Each has its section in the runbook.", "short", {"{{hold}}": f"sum by (hold) ({HELD})"}
        ),
        Panel(
            "Oldest payment without an outcome",
            "Pending and not held. It ends before give_up, which is drawn beside it.",
            "s",
            {
                "{{account}}": same("payproof_oldest_unresolved_seconds", "account", where=HERE),
                "give_up": same("payproof_checks_give_up_seconds"),
            },
        ),
        Panel(
            "Payments that reached a status, a minute",
            "",
            "short",
            {"{{status}}": a_minute("payproof_payment_transitions_total", "status")},
        ),
        Panel(
            "New holds in an hour",
            "",
            "short",
            {"{{hold}}": f"sum by (hold) (increase(payproof_holds_total{{{HERE}}}[1h]))"},
        ),
    ],
    "Gateways": [
        Panel(
            "Time of an answer",
            "Median, and what 95 of 100 questions are answered within.",
            "s",
            {
                "{{provider}} median": quantile(0.5, "payproof_question_seconds", "provider"),
                "{{provider}} 95 %": quantile(0.95, "payproof_question_seconds", "provider"),
            },
        ),
        Panel(
            "Questions a minute",
            "By gateway and kind; execute takes money.",
            "short",
            {"{{provider}} {{question}}": a_minute("payproof_questions_total", "provider", "question")},
        ),
        Panel(
            "Questions without an answer, a minute",
            "",
            "short",
            {
                "{{provider}} {{outcome}}": a_minute(
                    "payproof_questions_total", "provider", "outcome", where=f'{HERE}, outcome=~"{NO_ANSWER}"'
                )
            },
        ),
        Panel(
            "Callbacks a minute",
            "Taken, by kind and by whether they prove their sender.",
            "short",
            {
                "{{source}} {{authenticity}}": a_minute(
                    "payproof_callbacks_total", "source", "authenticity", where=f'{HERE}, result="taken"'
                )
            },
        ),
        Panel(
            "Callbacks turned away, a minute",
            "",
            "short",
            {
                "{{source}} {{result}}": a_minute(
                    "payproof_callbacks_total", "source", "result", where=f'{HERE}, result!="taken"'
                )
            },
        ),
        Panel(
            "Callbacks stored as a digest, a minute",
            "By the budget of bytes that had no room, or because the archive is full.",
            "short",
            {"{{reason}}": f"sum by (reason) (rate(payproof_callbacks_digested_total{RATE})) * 60"},
        ),
        Panel(
            "The archive of callbacks",
            "On disk, and its bound, from which only digests are stored.",
            "bytes",
            {"archive": same("payproof_archive_bytes"), "bound": same("payproof_archive_max_bytes")},
        ),
        Panel(
            "Gateways behind an open breaker, and forgetful ones",
            "1 while a gateway gives an account no answers and is only probed, or knows none of its payments.",
            "short",
            {
                "{{account}} breaker open": same("payproof_account_breaker_open", "account", where=HERE),
                "{{account}} forgetful": same("payproof_account_forgetful", "account", where=HERE),
            },
        ),
        Panel(
            "Calls left of the budget",
            "Of accounts with calls_per_second. Below nothing: questions that took several calls.",
            "short",
            {"{{account}}": same("payproof_account_calls_left", "account", where=HERE)},
        ),
    ],
    "Claims and sweep": [
        Panel(
            "Claims waiting",
            "At RabbitMQ and in Postgres.",
            "short",
            {"{{provider}}": same("payproof_claims_waiting", "provider", where=HERE)},
        ),
        Panel(
            "Claims in hand",
            "Given to processes and not written yet. As many as questions are asked: a slow gateway keeps many. A line "
            "that stays up while no answers come is a process that stands still; end it, and others take its claims.",
            "short",
            {"{{provider}}": f"sum by (provider) (payproof_claims_in_hand{{{HERE}}})"},
        ),
        Panel(
            "Claims aside",
            "The spool: in Postgres although there is a RabbitMQ. Low priority: they repeat others.",
            "short",
            {
                "{{provider}} spool": same("payproof_claims_in_spool", "provider", where=HERE),
                "{{provider}} low priority": same("payproof_claims_low_priority", "provider", where=HERE),
            },
        ),
        Panel(
            "Claims a minute",
            "Taken, written to the spool, dead-lettered, and given up while their payments are not here.",
            "short",
            {
                "{{provider}} taken": a_minute("payproof_claims_taken_total", "provider"),
                "{{provider}} spooled": a_minute("payproof_claims_spooled_total", "provider"),
                "{{provider}} dead-lettered": a_minute("payproof_claims_dead_lettered_total", "provider"),
                "{{provider}} dropped": a_minute("payproof_kept_claims_dropped_total", "provider"),
            },
        ),
        Panel(
            "The sweep",
            "Payments it found due, a minute.",
            "short",
            {"found due": f"sum(rate(payproof_sweep_claims_total{RATE})) * 60"},
        ),
        Panel(
            "Longest overdue question",
            "How long a payment has been due and was not asked about.",
            "s",
            {"{{account}}": same("payproof_oldest_overdue_check_seconds", "account", where=HERE)},
        ),
        Panel(
            "Proposals and statements that wait",
            "Age of the oldest: without a decision, approved and not applied, uploaded while nobody reconciles.",
            "s",
            {
                "open": same("payproof_oldest_open_proposal_seconds"),
                "approved": same("payproof_oldest_approved_proposal_seconds"),
                "statement": same("payproof_oldest_waiting_statement_seconds"),
            },
        ),
        Panel(
            "Sign-ins to the console, a minute",
            "By how they ended.",
            "short",
            {"{{outcome}}": f"sum by (outcome) (rate(payproof_console_sign_ins_total{RATE})) * 60"},
        ),
        Panel("Dead letters", "By where they lie.", "short", {"{{place}}": same("payproof_dead_letters", "place")}),
        Panel(
            "Payments expected by message, a minute",
            "",
            "short",
            {"{{result}}": f"sum by (result) (rate(payproof_expected_messages_total{RATE})) * 60"},
        ),
    ],
    "Events and webhooks": [
        Panel(
            "Events a minute",
            "Written to the log, by type.",
            "short",
            {"{{type}}": a_minute("payproof_events_written_total", "type")},
        ),
        Panel(
            "Events on their way, a minute",
            "Given their place in the log, and confirmed by RabbitMQ.",
            "short",
            {
                "sequenced": f"sum(rate(payproof_events_sequenced_total{RATE})) * 60",
                "published": f"sum(rate(payproof_events_published_total{RATE})) * 60",
            },
        ),
        Panel(
            "Oldest event that waits",
            "For its place, for RabbitMQ, and for an endpoint.",
            "s",
            {
                "place": same("payproof_oldest_unsequenced_event_seconds"),
                "RabbitMQ": same("payproof_oldest_unpublished_event_seconds"),
                "{{endpoint}}": same("payproof_oldest_undelivered_event_seconds", "endpoint"),
            },
        ),
        Panel(
            "Webhooks a minute",
            "Attempts, by what became of them.",
            "short",
            {"{{result}}": f"sum by (result) (rate(payproof_delivery_seconds_count{RATE})) * 60"},
        ),
        Panel(
            "Time of a webhook",
            "What 95 of 100 attempts take.",
            "s",
            {"{{result}}": quantile(0.95, "payproof_delivery_seconds", "result")},
        ),
        Panel(
            "Webhooks that wait, and those given up",
            "",
            "short",
            {
                "{{endpoint}} wait": same("payproof_deliveries_waiting", "endpoint"),
                "{{endpoint}} given up": same("payproof_deliveries_given_up", "endpoint"),
                "{{endpoint}} not configured": same("payproof_deliveries_orphaned", "endpoint"),
            },
        ),
        Panel(
            "Endpoints in trouble",
            "Breaker open: it fails and is only probed. Disabled: it answered 410.",
            "short",
            {
                "{{endpoint}} breaker open": same("payproof_endpoint_breaker_open", "endpoint"),
                "{{endpoint}} disabled": same("payproof_endpoint_disabled", "endpoint"),
            },
        ),
        Panel(
            "Time since the last event",
            "",
            "s",
            {"last event": "time() - max(payproof_newest_event_timestamp_seconds)"},
            "stat",
        ),
        Panel(
            "Events that a failover lost",
            "For a day, and until the shop has posted a lost payment again.",
            "short",
            {"lost": same("payproof_events_lost")},
            "stat",
        ),
    ],
    "Machinery": [
        Panel(
            "Alerts that fire",
            "",
            "short",
            {"alerts": 'count(ALERTS{alertname=~"Payproof.*", alertstate="firing"}) or vector(0)'},
            "stat",
        ),
        Panel("Processes by role", "", "short", {"{{role}}": "sum by (role) (payproof_role_up)"}, "stat"),
        Panel(
            "Processes by version", "", "short", {"{{version}}": "count by (version) (payproof_process_info)"}, "stat"
        ),
        Panel(
            "Up and ready",
            "As each process sees it.",
            "short",
            {
                "{{instance}} ready": "payproof_process_ready",
                "{{instance}} Postgres": "payproof_database_up",
                "{{instance}} RabbitMQ": "payproof_broker_up",
            },
        ),
        Panel(
            "Consumers",
            "1 while RabbitMQ delivers the queue to some process.",
            "short",
            {"{{queue}}": same("payproof_consumer_up", "queue")},
        ),
        Panel(
            "Transactions since the oldest snapshot",
            "A dump, a standby or a forgotten session keeps the dead rows of all of them.",
            "short",
            {"transactions": same("payproof_oldest_snapshot_transactions")},
        ),
        Panel(
            "Consumers built anew in an hour",
            "RabbitMQ had forgotten them.",
            "short",
            {"{{queue}}": "sum by (queue) (increase(payproof_consumers_rebuilt_total[1h]))"},
        ),
        Panel(
            "Time since the last look for work",
            "Of the sweep and of the relay.",
            "s",
            {"{{role}}": "time() - max by (role) (payproof_role_last_poll_timestamp_seconds)"},
        ),
        Panel(
            "Time since the last good run of retention",
            "By task: a run that left nothing to delete, which happens every hour.",
            "s",
            {"{{task}}": "time() - max by (task) (payproof_retention_last_run_timestamp_seconds)"},
        ),
        Panel(
            "Events kept past their retention",
            "Because RabbitMQ has not confirmed them.",
            "s",
            {"held back": "max(payproof_events_held_back_seconds)"},
        ),
        Panel(
            "Processor",
            "Seconds of it a second.",
            "short",
            {"{{instance}}": f"rate(payproof_process_cpu_seconds_total{RATE})"},
        ),
        Panel("Memory", "", "bytes", {"{{instance}}": "payproof_process_resident_memory_bytes"}),
        Panel("Open files", "Every browser that waits is one.", "short", {"{{instance}}": "payproof_process_open_fds"}),
        Panel(
            "Connections",
            "Open at each listener.",
            "short",
            {"{{instance}} {{listener}}": "payproof_http_connections"},
        ),
        Panel(
            "Connections refused or cut a minute",
            "full: honest clients may be turned away. The others end unfinished requests.",
            "short",
            {
                "{{listener}} {{reason}}": a_minute(
                    "payproof_http_connections_refused_total", "listener", "reason", where=""
                )
            },
        ),
        Panel(
            "Wrong API keys a minute",
            "A shop has an old key, or somebody guesses.",
            "short",
            {"refused": a_minute("payproof_api_keys_refused_total", where="")},
        ),
        Panel(
            "Clock skew",
            "This machine's clock less the database's, by which everything goes.",
            "s",
            {"{{instance}}": "payproof_clock_skew_seconds"},
        ),
    ],
}


def dashboard() -> dict[str, Any]:
    """The dashboard's JSON document."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row, members in ROWS.items():
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": row, "gridPos": _at(0, y, COLUMNS, 1), "panels": []}
        )
        y += 1
        for nth, panel in enumerate(members):
            x = nth * WIDTH % COLUMNS
            panels.append(_panel(panel, len(panels) + 1, _at(x, y, WIDTH, HEIGHT)))
            y += HEIGHT if x + WIDTH == COLUMNS or nth == len(members) - 1 else 0
    return {
        "uid": "payproof",
        "title": "Payproof",
        "description": "Money first, then what carries it. Written by python -m tests.dashboard.",
        "tags": ["payproof"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_gateway()]},
        "panels": panels,
    }


def queries(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Every query of a dashboard, with the title of its panel."""
    return [(panel["title"], target["expr"]) for panel in document["panels"] for target in panel.get("targets", ())]


def written(document: dict[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def _panel(panel: Panel, number: int, at: dict[str, int]) -> dict[str, Any]:
    made = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.says,
        "datasource": SOURCE,
        "gridPos": at,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + nth), "expr": expr, "legendFormat": legend}
            for nth, (legend, expr) in enumerate(panel.queries.items())
        ],
    }
    if panel.title in ("Clock skew", "Calls left of the budget"):  # these may be negative
        del made["fieldConfig"]["defaults"]["min"]
    return made


def _gateway() -> dict[str, Any]:
    return {
        "name": "provider",
        "label": "Gateway",
        "type": "query",
        "datasource": SOURCE,
        "query": "label_values(payproof_claims_taken_total, provider)",
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _at(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


if __name__ == "__main__":
    FILE.write_bytes(written(dashboard()))
    print(FILE.relative_to(ROOT))
