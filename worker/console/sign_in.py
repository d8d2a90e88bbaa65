"""Whether a person is the operator that they say they are.

An unknown name costs the same time as a known one, and the answer is the same for a wrong name, password and code.
"""

from __future__ import annotations

from datetime import datetime

import structlog

from schemas.words import SignInOutcome
from worker.config.console import Operator
from worker.config.operators import Operators
from worker.console.passwords import DIGITS, Passwords, step_of
from worker.console.sign_in_record import SignInRecord
from worker.console.slowing import LONGEST_BY_ADDRESS, LONGEST_BY_NAME, Slowing
from worker.postgres.console_sessions import use_code
from worker.postgres.database import Database
from worker.runtime.peer_addresses import read_address, sender_key

log = structlog.get_logger()


class TooManyFailures(Exception):
    """The name or the address failed too often. `seconds`: when it may try again."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class SignIn:
    """`by_name` and `by_address` slow down those who fail to sign in; `confirming`, by name, those who are signed in.

    So a stranger who fails in an operator's name keeps nobody from a decision.
    """

    def __init__(self, operators: Operators, database: Database, record: SignInRecord) -> None:
        self._operators, self._database, self._record = operators, database, record
        self._passwords = Passwords()
        self.by_name, self.by_address = Slowing(LONGEST_BY_NAME), Slowing(LONGEST_BY_ADDRESS)
        self.confirming = Slowing(LONGEST_BY_NAME)

    async def operator(self, name: str, password: str, code: str, address: str) -> Operator | None:
        """The operator of this name, if both the password and a code that was not used before are right.

        Raises TooManyFailures, and TimeoutError where too many sign in at once.
        """
        operator = self._operators.named(name)
        try:
            keys = self._try(name, address)
        except TooManyFailures:
            await self._record.failed(SignInOutcome.SLOWED, operator, address)
            raise
        phc = operator.password.reveal() if operator is not None and operator.password is not None else None
        right = await self._passwords.right(password, phc)
        if operator is None or not right or not await self._uses(operator, code):
            reason = SignInOutcome.WRONG_CODE if right else SignInOutcome.WRONG_PASSWORD
            reason = SignInOutcome.UNKNOWN_NAME if operator is None else reason
            log.warning("operator.refused", at="sign_in", reason=reason.value)
            await self._record.failed(reason, operator, address)
            return None
        self._succeeded(keys)
        log.info("operator.signed_in", operator=operator.name)
        return operator

    def begins(self, address: str) -> str:
        """Count a failure of this address before it is one. Returns the key under which a success is noted.

        Raises TooManyFailures.
        """
        key = _key_of(address)
        if (wait := self.by_address.wait(key)) > 0:
            raise TooManyFailures(wait)
        self.by_address.failed(key)
        return key

    async def confirmed(self, operator: Operator, secret: str, address: str) -> bool:
        """Whether the secret is the operator's password, or a code that was not used before.

        Raises TooManyFailures, and TimeoutError.
        """
        name = operator.name.lower()
        if (wait := self.confirming.wait(name)) > 0:
            await self._record.failed(SignInOutcome.SLOWED, operator, address)
            raise TooManyFailures(wait)
        self.confirming.failed(name)
        plain = secret.replace(" ", "")
        if len(plain) == DIGITS and plain.isdecimal() and await self._uses(operator, plain):
            right = True
        else:
            right = await self._passwords.right(secret, operator.password.reveal() if operator.password else None)
        if right:
            self.confirming.succeeded(name)
        else:
            reason = SignInOutcome.WRONG_CONFIRMATION
            log.warning("operator.refused", at="confirmation", operator=operator.name, reason=reason.value)
            await self._record.failed(reason, operator, address)
        return right

    async def _uses(self, operator: Operator, code: str) -> bool:
        key, now = operator.totp_key, self._now()
        step = None if key is None else step_of(code, key, now)
        return step is not None and await use_code(self._database, operator.name, step)

    def _now(self) -> datetime:
        return self._database.clock.now()

    def _try(self, name: str, address: str) -> tuple[str, str]:
        """Count a failure before it is one: of many requests at once, none passes uncounted."""
        keys = name.lower()[:100], _key_of(address)
        wait = max(self.by_name.wait(keys[0]), self.by_address.wait(keys[1]))
        if wait > 0:
            raise TooManyFailures(wait)
        self.by_name.failed(keys[0])
        self.by_address.failed(keys[1])
        return keys

    def _succeeded(self, keys: tuple[str, str]) -> None:
        self.by_name.succeeded(keys[0])
        self.by_address.succeeded(keys[1])


def _key_of(address: str) -> str:
    sender = read_address(address)
    return address if sender is None else sender_key(sender)
