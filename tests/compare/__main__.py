"""`python -m tests.compare --before DIRECTORY`: runs one list of acts through two programs and shows how they differ.

The other program is that of another checkout. Every difference can be repeated with the same seed.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.compare.acts import Act, drawn
from tests.compare.playing import playing
from tests.compare.telling import Difference, End, about, differences, end_of, kinds_met

HERE = Path(__file__).resolve().parents[2]


async def compared(before: Path, after: Path, acts: Sequence[Act], seed: int) -> tuple[End, End]:
    """The ends of both programs; they run side by side, each one act at a time."""
    ends = await asyncio.gather(*[_played(root, acts, seed) for root in (before, after)])
    return ends[0], ends[1]


async def _played(root: Path, acts: Sequence[Act], seed: int) -> End:
    async with playing(root, seed) as player:
        for act in acts:
            await player.does(act)
        return await end_of(player)


def told(found: Sequence[Difference], acts: Sequence[Act]) -> str:
    lines = []
    for one in found:
        lines += [*(f"  {done}" for done in about(acts, one.who)), str(one), ""]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.compare", description=__doc__.split("\n")[0])
    parser.add_argument("--before", type=Path, required=True, help="the checkout to compare with")
    parser.add_argument("--after", type=Path, default=HERE, help="the other checkout; default: this checkout")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--payments", type=int, default=100)
    words = parser.parse_args()
    seed = secrets.randbits(32) if words.seed is None else words.seed
    acts = drawn(seed, words.payments)
    kinds = Counter(act.does for act in acts)
    print(f"seed {seed}: {words.payments} payments, {len(acts)} acts: {dict(kinds)}", flush=True)
    began = time.monotonic()
    before, after = asyncio.run(compared(words.before.resolve(), words.after.resolve(), acts, seed))
    found = list(differences(before, after))
    print(told(found, acts), end="")
    for name, times in kinds_met(after).items():
        print(f"{name}: {', '.join(f'{word} {n}' for word, n in times.most_common())}")
    parts = Counter(one.what for one in found)
    print(f"{len(after.payments)} payments in {time.monotonic() - began:.0f} s; differences: {dict(parts) or 'none'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
