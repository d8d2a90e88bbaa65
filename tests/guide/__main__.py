"""Make the tables of the guides anew: `python -m tests.guide`, after a change of their sources."""

from __future__ import annotations

from tests.guide.source import ROOT
from tests.guide.tables import filled

GUIDES = ROOT / "deploy/guide"


def main() -> None:
    for path in sorted(GUIDES.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        if (made := filled(text)) != text:
            path.write_text(made, encoding="utf-8")
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
