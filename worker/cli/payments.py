"""`payproof payments` and `payproof explain`: what on-call people look at, and where a held payment is resolved."""

from __future__ import annotations

import asyncio
import getpass
import sys
import uuid
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from schemas.payments import Payment, view
from schemas.words import Hold, Status
from worker.cli.failures import CommandFailed, WrongUsage

payments = App(name="payments", help="List, show, verify and resolve payments.")

ASK_SECONDS = 35.0
PIPED_WIDTH = 200  # a line stays a line for grep


@payments.command(name="list")
def list_(
    *,
    merchant: Annotated[str | None, Parameter(help="Needed where there are several.")] = None,
    status: Status | None = None,
    hold: Annotated[str | None, Parameter(help="A reason, any or none.")] = None,
    account: str | None = None,
    reference: str | None = None,
    order: str | None = None,
    limit: int = 20,
) -> int:
    """List payments, newest first, with what all matches come to. `--hold any` is the work list."""
    from schemas.requests import ListQuery
    from worker.cli.configured import configuration
    from worker.config import Config
    from worker.postgres.reading import Page, read_page
    from worker.process import opened

    if hold is not None and hold not in {*Hold, "any", "none"}:
        raise WrongUsage(f"--hold: {hold} is none of any, none, {', '.join(Hold)}")

    def chosen(config: Config) -> str:
        if merchant is not None and config.merchant(merchant) is None:
            raise WrongUsage(f"--merchant: there is no {merchant} in the configuration")
        if merchant is None and len(config.merchants) > 1:
            raise WrongUsage(f"--merchant: one of {', '.join(one.id for one in config.merchants)}")
        return merchant or config.merchants[0].id

    async def read() -> Page:
        config = configuration()
        whose = chosen(config)
        query = ListQuery(
            status=status, hold=hold, account=account, reference=reference, order=order, limit=min(max(limit, 1), 100)
        )
        async with opened(config) as database:
            return await read_page(database, whose, query, None)

    page = asyncio.run(read())
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("payment", "opened (UTC)", "account", "reference", "status", "hold", "amount"):
        table.add_column(name, no_wrap=True, justify="right" if name == "amount" else "left")
    for one in page.payments:
        opened_at = f"{one.opened_at:%Y-%m-%d %H:%M:%S}"
        amount = f"{one.amount:.2f} {one.currency}"
        table.add_row(one.id, opened_at, one.account, one.reference, one.status, one.hold or "", amount)
    Console(width=None if sys.stdout.isatty() else PIPED_WIDTH).print(table)
    sums = page.summary
    print(
        f"{sums.count} in all, {sums.completed_count} completed for {sums.completed_amount}, {sums.failed_count} failed"
    )
    return 0


@payments.command
def show(payment_id: str) -> int:
    """Show a payment as the API does, and its timeline."""
    payment, timeline = asyncio.run(_read(payment_id))
    console = Console()
    console.print_json(_json(view(payment)))
    for entry in timeline:
        console.print_json(_json(entry), indent=None)
    return 0


@payments.command
def verify(payment_id: str) -> int:
    """Ask the gateway now, and wait for what it says; a running `serve` does the asking."""
    payment = asyncio.run(_verify(payment_id))
    print(f"{payment.id} is {payment.status}" + (f", held: {payment.hold}" if payment.hold else ""))
    return 0


@payments.command
def resolve(
    payment_id: str,
    *,
    status: Status,
    reason: str,
    actor: str | None = None,
    evidence: str | None = None,
    transaction_id: str | None = None,
) -> int:
    """Resolve a held payment: to its present status or a higher one. ACTOR is you, unless given."""
    from consumers.resolving import ResolutionRefused, Wish
    from consumers.resolving import resolve as settle
    from worker.cli.configured import configuration
    from worker.postgres.ledger import PostgresLedger
    from worker.process import opened, rules_of

    wish = Wish(
        status=status,
        actor=actor or getpass.getuser(),
        reason=reason,
        evidence=evidence,
        transaction_id=transaction_id,
    )

    async def run() -> Payment:
        config = configuration()
        async with opened(config) as database:
            try:
                return await settle(PostgresLedger(database), rules_of(config), payment_id, wish)
            except KeyError:
                raise _unknown(payment_id) from None
            except ResolutionRefused as error:
                raise CommandFailed(f"{error.code}: {error}") from None

    payment = asyncio.run(run())
    print(f"{payment.id} is {payment.status}" + (f", still held: {payment.hold}" if payment.hold else ""))
    return 0


def explain(payment_id: str) -> int:
    """Tell the story of one payment in plain sentences, and what happens next."""
    from consumers.explaining import explain as sentences

    payment, timeline = asyncio.run(_read(payment_id))
    console = Console()
    for at, sentence in sentences(payment, [_entry(one) for one in timeline]):
        stamp = f"{at:%Y-%m-%d %H:%M:%S}" if at else ""
        console.print(f"[dim]{stamp:19}[/]  ", end="")
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)
    return 0


async def _read(payment_id: str) -> tuple[Payment, list[dict[str, Any]]]:
    from worker.cli.configured import configuration
    from worker.postgres.reading import read_payment, read_timeline
    from worker.process import opened

    config = configuration()
    async with opened(config) as database:
        for merchant in config.merchants:
            payment = await read_payment(database, merchant.id, payment_id)
            if payment is not None:
                return payment, await read_timeline(database, merchant.id, payment_id) or []
    raise _unknown(payment_id)


async def _verify(payment_id: str) -> Payment:
    from schemas.callbacks import Claim
    from schemas.words import Authenticity, Source
    from worker.cli.configured import configuration
    from worker.postgres.bus import PostgresBus
    from worker.postgres.reading import read_payment
    from worker.process import opened

    config = configuration()
    payment, _ = await _read(payment_id)
    async with opened(config) as database:
        asked_at = database.clock.now()
        claim = Claim(
            id=uuid.uuid4().hex,
            account=payment.account,
            provider=payment.provider,
            source=Source.OPERATOR,
            authenticity=Authenticity.UNSIGNED,
            received_at=asked_at,
            payment_id=payment.id,
        )
        await PostgresBus(database).publish([claim])
        try:
            async with asyncio.timeout(ASK_SECONDS):
                while not (payment.checked_at and payment.checked_at > asked_at):
                    await asyncio.sleep(0.2)
                    payment = await read_payment(database, payment.merchant, payment.id) or payment
        except TimeoutError:
            raise CommandFailed(
                f"{payment.id} is {payment.status}; the gateway gave no answer in {ASK_SECONDS:.0f} s, or no "
                "`payproof serve` is running. The question stays queued."
            ) from None
        return payment


def _entry(shown: dict[str, Any]) -> Any:
    from schemas.payments import Entry
    from schemas.words import EntryKind

    return Entry(kind=EntryKind(shown["kind"]), at=shown["at"], data=shown)


def _json(value: object) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()


def _unknown(payment_id: str) -> CommandFailed:
    return CommandFailed(f"there is no payment {payment_id}")
