"""The dead letters of both stores, for the length of a command.

When the broker cannot be reached, its letters are unknown, not absent. A command then does its work with the other
store, says so, and ends with 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial

import structlog
from rich.console import Console
from rich.progress import Progress

from consumers.ports.unavailable import BusUnavailable
from schemas.audit import AuditRecord
from worker.amqp.dead_queue import dead_at_broker
from worker.amqp.refusals import BrokerRefusedError
from worker.cli.command_errors import CommandFailed, WrongUsage
from worker.cli.commanded import commanded
from worker.config import Config, rules_of
from worker.dead_letters import (
    AmbiguousId,
    CheckedOut,
    DeadLetter,
    DeadLetterStore,
    NotReplayed,
    Place,
    account_of,
    check_out,
    list_all,
    match_prefix,
    not_to_be_replayed,
    oldest_first,
)
from worker.postgres.audit_rows import note_act
from worker.postgres.queue.dead_table import BeingRead, PostgresDead, alone
from worker.postgres.server.opened import opened_as_it_is
from worker.verify.replay_reply import replay_dead_reply

MANY = 20
"""With more letters than this, a progress bar is shown."""

WHERE: dict[Place, str] = {"postgres": "in Postgres", "broker": "at the broker"}

log = structlog.get_logger()


class DeadLetters:
    """`letters` are those of the stores that were reached, oldest first; `unasked` says why the broker was not.

    `merchants`: whose each account is.
    """

    def __init__(
        self,
        places: Sequence[DeadLetterStore],
        letters: Sequence[DeadLetter],
        unasked: str | None,
        gateways: Collection[str],
        merchants: Mapping[str, str],
    ) -> None:
        self._places, self.letters, self.unasked, self._gateways = places, letters, unasked, gateways
        self._merchants = merchants
        self._console = Console(stderr=True, highlight=False)

    def counted(self, letters: Sequence[DeadLetter]) -> str:
        """How many letters each store has, in words."""
        count = Counter(one.place for one in letters)
        return ", ".join(f"{count[place.place]} {WHERE[place.place]}" for place in self._places)

    def verdict(self) -> int:
        """The exit code of a command that did its work: 1 where the broker was not reached. Then prints the reason."""
        if self.unasked is None:
            return 0
        self.say(f"what lies at the broker could not be asked for: {self.unasked}")
        return 1

    def say(self, words: str) -> None:
        self._console.print(words, markup=False, soft_wrap=True)

    def find(self, typed: str) -> list[DeadLetter]:
        """The letters that this id, or beginning of an id, means. Raises WrongUsage and CommandFailed."""
        try:
            return match_prefix(self.letters, typed)
        except AmbiguousId as error:
            if error.ids:
                raise WrongUsage(f"{typed}: several begin so: {', '.join(error.ids[:10])}") from None
            unasked = f"; what lies at the broker could not be asked for: {self.unasked}" if self.unasked else ""
            raise CommandFailed(f"there is no dead letter {typed}{unasked}") from None

    async def open(self, letters: Sequence[DeadLetter]) -> AsyncGenerator[CheckedOut, None]:
        """Yield those of the letters that are still there, each with its body. Raises BusUnavailable."""
        for place in self._places:
            async with aclosing(check_out(place, letters)) as opened:
                async for one in opened:
                    yield one

    async def replay(self, letters: Sequence[DeadLetter]) -> int:
        """Replay each letter that can be. Prints how many were, and returns the exit code."""
        whole = True
        possible = []
        for one in letters:
            if why := not_to_be_replayed(one, self._gateways):
                self.say(f"{one.id} stays: {why}")
                whole = False
            else:
                possible.append(one)

        def replaying(place: DeadLetterStore) -> Callable[[CheckedOut], Awaitable[None]]:
            async def replay(opened: CheckedOut) -> None:
                await place.replay(opened, self._record("dead_letter.replayed", opened))

            return replay

        done = await self._each(possible, replaying)
        print(f"{done} of {len(letters)} replayed")
        return max(self.verdict(), int(not whole or done < len(possible)))

    async def drop(self, letters: Sequence[DeadLetter], reason: str) -> int:
        """Drop each letter, with a line in the log. Prints how many were, and returns the exit code."""

        def dropping(place: DeadLetterStore) -> Callable[[CheckedOut], Awaitable[None]]:
            async def drop(opened: CheckedOut) -> None:
                await place.drop(opened, self._record("dead_letter.dropped", opened, reason))
                one = opened.letter
                log.info(
                    "dead_letter.dropped", claim_id=one.id, payment_id=one.payment_id, place=one.place, reason=reason
                )

            return drop

        done = await self._each(letters, dropping)
        print(f"{done} of {len(letters)} dropped")
        return max(self.verdict(), int(done < len(letters)))

    def _record(self, action: str, opened: CheckedOut, why: str | None = None) -> AuditRecord:
        merchant = self._merchants.get(account_of(opened) or "")
        one = opened.letter
        return commanded(action, merchant=merchant, payment_id=one.payment_id, subject=one.id, why=why)

    async def _each(
        self, letters: Sequence[DeadLetter], doing: Callable[[DeadLetterStore], Callable[[CheckedOut], Awaitable[None]]]
    ) -> int:
        """Process the letters one after the other. A failure is printed, and its letter stays.

        Returns how many were done.
        """
        done = 0
        hidden = len(letters) <= MANY or not self._console.is_terminal
        with Progress(console=self._console, disable=hidden, transient=True) as progress:
            bar = progress.add_task("dead letters", total=len(letters))
            for place in self._places:
                do = doing(place)
                try:
                    async with aclosing(check_out(place, letters)) as opened:
                        async for one in opened:
                            try:
                                await do(one)
                            except NotReplayed as failed:
                                self.say(f"{one.letter.id} stays: {failed}")
                                continue
                            done += 1
                            progress.update(bar, completed=done)
                except BusUnavailable as away:
                    self.say(f"stopped: {away}; whatever was not done stays where it is")
        return done


@asynccontextmanager
async def open_dead_letters(config: Config) -> AsyncIterator[DeadLetters]:
    """Read both stores. Raises CommandFailed while another command reads them."""
    async with opened_as_it_is(config) as database, AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(alone(database))
        except BeingRead:
            raise CommandFailed("another payproof dead is at work; wait until it has ended") from None
        postgres = PostgresDead(database, partial(replay_dead_reply, database, rules_of(config)))
        places: list[DeadLetterStore] = [postgres]
        letters, unasked = await list_all(postgres), None
        if url := config.settings.amqp_url:
            try:
                broker = await stack.enter_async_context(dead_at_broker(url, partial(note_act, database)))
                letters += await list_all(broker)
                places.append(broker)
            except (BusUnavailable, BrokerRefusedError) as error:
                unasked = str(error)
        gateways = {account.provider.name for account in config.accounts}
        merchants = {account.id: account.merchant for account in config.accounts}
        yield DeadLetters(places, oldest_first(letters), unasked, gateways, merchants)
