"""Whether the judge would see the faults it was made for: `python -m tests.unit.simulation.faults` puts each one back.

Each fault is a line or two of the rules as they once were, in a copy of the tree. The first finding is printed with its
seed, or the property that failed. A patch that no longer fits its file proves nothing, so `test_faults.py` checks that
each fits.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).resolve().parents[3]
TREE = ("consumers", "schemas", "worker", "tests")
PAYMENTS, SEEDS = 200, 10
ORDER = "tests/unit/simulation/test_order.py"


class Fault(Struct, frozen=True, kw_only=True):
    """A fault and where it was: `old` stands once in `file`, and `new` is the faulty text from before."""

    name: str
    file: str
    old: str
    new: str


_ANYHOW = """\
from msgspec.structs import force_setattr
TIMING = Timing()
force_setattr(TIMING, "{}", _seconds({}))
"""
"""A time that `Timing` itself would refuse."""

FAULTS = (
    Fault(
        name="an early not found strikes a transaction out",
        file="consumers/apply_reply.py",
        old='if foreign.why == "other_payment":',
        new="if foreign.why:",
    ),
    Fault(
        name="any 404 proves that nobody paid",
        file="consumers/providers/kit/replies.py",
        old="    if status < 200 or 300 <= status < 400:\n",
        new='    if status == 404 and not reply.body.startswith(b"<"):\n        return not_found()\n'
        "    if status < 200 or 300 <= status < 400:\n",
    ),
    Fault(
        name="one answer closes",
        file="consumers/checks/expiry.py",
        old="proven = last - known >= timedelta(seconds=checks.confirm_end)",
        new="proven = True",
    ),
    Fault(
        name="the wish to execute is thrown away while another attempt is in doubt",
        file="consumers/checks/order_execution.py",
        old="        return waiting(payment, now)\n",
        new="        return drop_execute_request(payment)\n",
    ),
    Fault(
        name="what comes before its payment is never heard",
        file="consumers/commands/open_payment.py",
        old="        await batch.queue_early_claims(change.payment, signed_only=not tracked)\n",
        new="",
    ),
    Fault(
        name="Execute is sent however late",
        file="consumers/timing.py",
        old="TIMING = Timing()\n",
        new=_ANYHOW.format("execute_begins_within", 600),
    ),
    Fault(
        name="an Execute that was not sent ends the wish",
        file="consumers/checks/execute.py",
        old='return to_the_back(replace(payment, execute_state="wanted"), asked_at)',
        new="return drop_execute_request(payment)",
    ),
    Fault(
        name="a second Execute while the first is in doubt",
        file="consumers/timing.py",
        old="TIMING = Timing()\n",
        new=_ANYHOW.format("execute_again", 6),
    ),
    Fault(
        name="a gateway's expires_at in the past is believed",
        file="consumers/commands/open_payment.py",
        old="max(row.expires_at, min(theirs, now + LONGEST_LIFETIME))",
        new="theirs",
    ),
    Fault(
        name="multipart is not read",
        file="consumers/providers/kit/callback_fields.py",
        old="    if is_multipart(body):\n        return read_multipart(body, MAX_FIELDS)\n",
        new="    if is_multipart(body):\n        return []\n",
    ),
    Fault(
        name="forms with stray signs are refused",
        file="consumers/providers/kit/callback_fields.py",
        old="keep_blank_values=True, max",
        new="strict_parsing=True, max",
    ),
    Fault(
        name="an unreadable body throws its query away",
        file="worker/ingress/read_callback.py",
        old='reading, note = provider.read_claim(replace(callback, body=b"")), UNREAD',
        new="reading, note = CallbackContent(said=callback.said), UNREAD",
    ),
    Fault(
        name="JSON labelled HTML is no answer",
        file="consumers/providers/kit/replies.py",
        old='    if reply.body.lstrip()[:1] == b"<":\n',
        new='    if "html" in reply.headers.get("content-type", ""):\n',
    ),
    Fault(
        name="a byte order mark spoils an answer",
        file="schemas/wire.py",
        old='body.decode("utf-8-sig", errors="replace")',
        new='body.decode("utf-8", errors="replace")',
    ),
    Fault(
        name="a key twice, or half an emoji, spoils what is not read",
        file="schemas/wire.py",
        old="    return _kept(_parsed(text, told, _lenient_number, float, strict=False))",
        new="    return told(read_json(body).items())",
    ),
    Fault(
        name="paid with an amount that is no money is no answer",
        file="consumers/providers/kit/reply_fields.py",
        old="            unread.append(name)\n",
        new="            raise\n",
    ),
    Fault(
        name="a buyer back without a word waits for the pending schedule",
        file="consumers/providers/shadhinpay.py",
        old="wordless=True,",
        new="wordless=False,",
    ),
    Fault(
        name="a refunded attempt still occupies its order",
        file="consumers/money/unique_keys.py",
        old="returned=status is Status.REFUNDED)",
        new="returned=False)",
    ),
    Fault(
        name="a token refused by 403 or by a code is kept",
        file="consumers/providers/bkash_errors.py",
        old="return reply.status in (401, 403) or reply_code(reply) in _TOKEN_REFUSED",
        new="return reply.status == 401",
    ),
    Fault(
        name="a look that a death or a 503 ate is not made up for",
        file="consumers/checks/next_check.py",
        old="not due.alone and not again)",
        new="not due.alone)",
    ),
    Fault(
        name="an attempt that failed ends a payment while another attempt is open",
        file="consumers/providers/sslcommerz_attempts.py",
        old="for status in (None, kit.Status.PENDING):",
        new="for status in (None,):",
    ),
    Fault(
        name="a bank's review is a failure",
        file="consumers/providers/shurjopay.py",
        old='"2005": kit.Status.PENDING,',
        new='"2005": kit.Status.FAILED,',
    ),
    Fault(
        name="a word that nobody published ends a payment",
        file="consumers/providers/aamarpay.py",
        old="status=STATUSES[word] if paid else kit.Status.PENDING,",
        new='status=STATUSES[word] if paid else kit.Status("failed" if word == "Failed" else "pending"),',
    ),
    Fault(
        name="a reply that echoes no reference of ours is read",
        file="consumers/providers/eps.py",
        old='reference = kit.required_text(body, "MerchantTransactionId")',
        new='reference = kit.optional_text(body, "MerchantTransactionId")',
    ),
    Fault(
        name="an invoice pays the order that shows it",
        file="consumers/providers/uddoktapay.py",
        old="    if not kit.may_be_ours(reference, expected.reference):\n"
        '        return kit.ForeignTransaction(why="other_payment")\n',
        new="    reference = expected.reference\n",
    ),
    Fault(
        name="an invoice that is not known yet is another order's",
        file="consumers/providers/uddoktapay.py",
        old='return kit.ForeignTransaction(why="not_found")',
        new='return kit.ForeignTransaction(why="other_payment")',
    ),
)


def broken(tree: Path, fault: Fault) -> None:
    """Put a fault back in a copy of the tree. Raises ValueError where its text does not stand there once."""
    path = tree / fault.file
    text = path.read_text()
    if text.count(fault.old) != 1:
        raise ValueError(f"{fault.name}: its text stands {text.count(fault.old)} times in {fault.file}")
    path.write_text(text.replace(fault.old, fault.new))


def caught(tree: Path, seeds: int) -> str:
    """The first finding of this tree's judge; "" when it finds nothing in so many worlds."""
    for seed in range(1, seeds + 1):
        found = _run(tree, "-m", "tests.unit.simulation.faults", "--world", str(seed))
        if found:
            return f"seed {seed}: {found}"
    failed = _run(tree, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", ORDER)
    return f"{ORDER}: {failed}" if "FAILED" in failed or "ERROR" in failed else ""


def _run(tree: Path, *arguments: str) -> str:
    """The last line that a process in this tree prints: a finding, a failure, or how it died."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    ended = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    lines = (ended.stdout if ended.returncode in (0, 1) and ended.stdout.strip() else ended.stderr).strip().splitlines()
    return lines[-1] if lines else ""


def copied(into: Path) -> Path:
    for name in TREE:
        shutil.copytree(ROOT / name, into / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", into)
    return into


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.unit.simulation.faults", description=__doc__)
    parser.add_argument("--only", default="", help="only faults whose name contains this")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--world", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.world is not None:
        return _world(given.world)
    passed = 0
    for fault in FAULTS:
        if given.only not in fault.name:
            continue
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as directory:
            tree = copied(Path(directory))
            broken(tree, fault)
            found = caught(tree, given.seeds)
        passed += not found
        print(f"{fault.name}\n    {found or 'NOT CAUGHT'} ({time.monotonic() - began:.0f} s)", flush=True)
    return 1 if passed else 0


def _world(seed: int) -> int:
    from tests.unit.simulation.world import judged

    findings = judged(seed, PAYMENTS)
    if findings:
        print(f"{len(findings)} findings, such as {findings[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
