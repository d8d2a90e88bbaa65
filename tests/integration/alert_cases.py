"""For each alert: series that make it fire, and similar series that do not.

Notation is promtool's, a value a minute: `0x30` is 0 for half an hour, `0+60x30` rises by 60 a minute.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

Series = Mapping[str, str]
ONE, TWO = 'instance="a:9090"', 'instance="b:9090"'
DAY_OF_CALLBACKS, THEN_NONE, STILL_SOME = "0+1x1440", "1440x150", "1440+1x150"


class Case(Struct, frozen=True):
    """`at` is when it is evaluated, from the beginning of the series."""

    fires: Series
    quiet: Series
    at: str = "30m"


def gauge(series: str, fires: str, quiet: str) -> Case:
    """A constant gauge, in two processes that report the same value."""
    metric, _, labels = series.rstrip("}").partition("{")
    names = [f"{metric}{{{', '.join(filter(None, (labels, instance)))}}}" for instance in (ONE, TWO)]
    return Case(dict.fromkeys(names, f"{fires}x60"), dict.fromkeys(names, f"{quiet}x60"))


def rising(series: str, fires: str, quiet: str) -> Case:
    """A counter that rises by so much a minute."""
    return Case({series: f"0+{fires}x60"}, {series: f"0+{quiet}x60"})


def roles(*there: str) -> Series:
    return {f'payproof_role_up{{role="{role}", {ONE}}}': "1x60" for role in there}


def questions(outcome: str, failed: str, answered: str) -> Series:
    name = 'payproof_questions_total{provider="ipay", question="status"'
    return {f'{name}, outcome="{outcome}"}}': f"0+{failed}x60", f'{name}, outcome="completed"}}': f"0+{answered}x60"}


def callbacks(after_a_day: str) -> Series:
    return {
        'payproof_callbacks_total{provider="ipay", result="taken"}': f"{DAY_OF_CALLBACKS} {after_a_day}",
        'payproof_events_written_total{provider="ipay", type="payment.opened"}': "0+1x1600",
    }


def beside(series: Series, more: Series) -> Series:
    return {**series, **more}


LATE = 'payproof_oldest_undelivered_event_seconds{endpoint="wh_1"}'
OVERDUE = 'payproof_oldest_overdue_check_seconds{provider="ipay", account="shop-ipay"}'
UNRESOLVED = 'payproof_oldest_unresolved_seconds{provider="ipay", account="shop-ipay"}'
GIVE_UP = {"payproof_checks_give_up_seconds": "604800x60"}
LAST_POLL = 'payproof_role_last_poll_timestamp_seconds{role="sweep", '
LAST_RUN = "payproof_retention_last_run_timestamp_seconds{"
FLOOD = 'payproof_callbacks_total{provider="ipay", source="return", result="limited"}'
FORGED = 'payproof_callbacks_total{provider="moneybag", source="webhook", result="forged"}'
SIGN_INS = 'payproof_console_sign_ins_total{outcome="%s"}'
HELD = 'payproof_payments_held{provider="ipay", hold="%s"}'

CASES: dict[str, Case] = {
    "PayproofProcessDown": Case({f'up{{job="payproof", {ONE}}}': "0x60"}, {f'up{{job="payproof", {ONE}}}': "0 0 1x60"}),
    "PayproofRoleMissing": Case(
        roles("ingress", "consume", "relay", "deliver"), roles("ingress", "consume", "sweep", "relay", "deliver")
    ),
    "PayproofNotReady": gauge("payproof_process_ready", "0", "1"),
    "PayproofDatabaseAway": gauge("payproof_database_up", "0", "1"),
    "PayproofClockSkew": gauge("payproof_clock_skew_seconds", "-7", "-0.2"),
    "PayproofOldSnapshot": gauge("payproof_oldest_snapshot_transactions", "500001", "400000"),
    "PayproofRetentionStalled": Case(
        {f'{LAST_RUN}{ONE}, task="archive"}}': "0x600", f'{LAST_RUN}{ONE}, task="requests"}}': "0+60x600"},
        {f'{LAST_RUN}{ONE}, task="archive"}}': "0+3600x10 36000x590", f'{LAST_RUN}{TWO}, task="archive"}}': "0+60x600"},
        "8h",
    ),
    "PayproofEventsHeldBack": gauge("payproof_events_held_back_seconds", "86401", "86399"),
    "PayproofMoneyHeld": Case({HELD % "amount_mismatch": "1x60"}, {HELD % "unresolved": "1x60"}),
    "PayproofPaymentsWait": Case({HELD % "unverifiable": "1x60"}, {HELD % "amount_mismatch": "1x60"}),
    "PayproofUnresolvedTooOld": Case(
        beside({UNRESOLVED: "608500x60"}, GIVE_UP), beside({UNRESOLVED: "608300x60"}, GIVE_UP)
    ),
    "PayproofGatewaySilent": Case(
        {'payproof_account_breaker_open{provider="ipay", account="shop-ipay"}': "1x60"},
        {'payproof_account_breaker_open{provider="ipay", account="shop-ipay"}': "1 1 1 0 1 1 0x60"},
    ),
    "PayproofGatewayForgets": Case(
        {'payproof_account_forgetful{provider="ipay", account="shop-ipay"}': "1x60"},
        {'payproof_account_forgetful{provider="ipay", account="shop-ipay"}': "0x60"},
    ),
    "PayproofGatewayErrors": Case(questions("no_reply", "3", "9"), questions("no_reply", "1", "9")),
    "PayproofKeyRefused": Case(questions("key_refused", "1", "0"), questions("not_found", "1", "0")),
    "PayproofNoCallbacks": Case(callbacks(THEN_NONE), callbacks(STILL_SOME), "26h"),
    "PayproofApprovalNotApplied": gauge("payproof_oldest_approved_proposal_seconds", "130", "100"),
    "PayproofProposalWaits": gauge("payproof_oldest_open_proposal_seconds", "14500", "14300"),
    "PayproofStatementWaits": gauge("payproof_oldest_waiting_statement_seconds", "310", "290"),
    "PayproofLimitsDiffer": Case(
        {f"payproof_second_person_from_taka{{{ONE}}}": "0x60", f"payproof_second_person_from_taka{{{TWO}}}": "5000x60"},
        {f"payproof_second_person_from_taka{{{one}}}": "5000x60" for one in (ONE, TWO)},
    ),
    "PayproofSignInsFail": Case(
        {SIGN_INS % "wrong_password": "0+1x60", SIGN_INS % "slowed": "0+2x60"},
        {SIGN_INS % "wrong_code": "0+1x60", SIGN_INS % "succeeded": "0+9x60"},
    ),
    "PayproofClaimsPileUp": gauge('payproof_claims_waiting{provider="ipay"}', "600", "300"),
    "PayproofSpoolNotEmpty": Case(
        {'payproof_claims_in_spool{provider="ipay"}': "2x60"},
        {'payproof_claims_in_spool{provider="ipay"}': "2x10 0x50"},
    ),
    "PayproofDeadLetters": gauge('payproof_dead_letters{place="broker"}', "1", "0"),
    "PayproofPaymentsStopped": gauge('payproof_payments_stopped{provider="ipay"}', "1", "0"),
    "PayproofSweepStalled": Case(
        {f"{LAST_POLL}{ONE}}}": "0+60x20 1200x40"},
        {f"{LAST_POLL}{ONE}}}": "0+60x20 1200x40", f"{LAST_POLL}{TWO}}}": "0+60x60"},
    ),
    "PayproofChecksOverdue": Case(
        {OVERDUE: "1000x60"},
        {OVERDUE: "1000x60", 'payproof_account_breaker_open{provider="ipay", account="shop-ipay"}': "1x60"},
    ),
    "PayproofFailoverLostTransactions": gauge("payproof_events_lost", "3", "0"),
    "PayproofEventsNotSequenced": gauge("payproof_oldest_unsequenced_event_seconds", "61", "40"),
    "PayproofEventsNotPublished": gauge("payproof_oldest_unpublished_event_seconds", "130", "100"),
    "PayproofWebhooksLate": Case(
        {LATE: "1000x60"}, {LATE: "1000x60", 'payproof_endpoint_disabled{endpoint="wh_1"}': "1x60"}
    ),
    "PayproofEndpointDisabled": gauge('payproof_endpoint_disabled{endpoint="wh_1"}', "1", "0"),
    "PayproofWebhookOrphaned": gauge('payproof_deliveries_orphaned{endpoint="wh_1"}', "1", "0"),
    "PayproofWebhooksGivenUp": gauge('payproof_deliveries_given_up{endpoint="wh_1"}', "1", "0"),
    "PayproofBrokerAway": gauge('payproof_broker_up{connection="publisher"}', "0", "1"),
    "PayproofQueueWithoutConsumer": Case(
        {f'payproof_consumer_up{{queue="ipay", {ONE}}}': "0x60"},
        {
            f'payproof_consumer_up{{queue="ipay", {ONE}}}': "0x60",
            f'payproof_consumer_up{{queue="ipay", {TWO}}}': "1x60",
        },
    ),
    "PayproofConsumerRebuilt": rising('payproof_consumers_rebuilt_total{queue="ipay"}', "1", "0"),
    "PayproofForgedWebhooks": rising(FORGED, "3", "1"),
    "PayproofApiKeysRefused": rising("payproof_api_keys_refused_total", "3", "1"),
    "PayproofFlood": rising(FLOOD, "150", "50"),
    "PayproofArchiveFull": Case(
        {f"payproof_archive_bytes{{{ONE}}}": "4600000000x60", f"payproof_archive_max_bytes{{{ONE}}}": "5000000000x60"},
        {f"payproof_archive_bytes{{{ONE}}}": "4400000000x60", f"payproof_archive_max_bytes{{{ONE}}}": "5000000000x60"},
    ),
    "PayproofKeptClaimsDropped": rising('payproof_kept_claims_dropped_total{provider="ipay"}', "5", "0.5"),
}
