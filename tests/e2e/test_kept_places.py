"""What tests keep is made by one process at a time, and made again after a failure."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.e2e.kept import kept

SECONDS = 60.0


def test_one_makes_it_while_another_waits(tmp_path: Path) -> None:
    place, makes, seen = tmp_path / "home" / "shop", threading.Event(), list[object]()

    def second() -> None:
        makes.wait(SECONDS)
        with kept(place, "1.0", SECONDS) as make:
            seen.append((make, (place / "package").exists()))

    other = threading.Thread(target=second)
    other.start()
    with kept(place, "1.0", SECONDS) as make:
        assert make
        makes.set()
        (place / "package").touch()
    other.join(SECONDS)
    assert seen == [(False, True)]


def test_it_is_made_again_from_something_else_and_after_a_failure(tmp_path: Path) -> None:
    place = tmp_path / "shop"
    with pytest.raises(FileExistsError), kept(place, "1.0", SECONDS):
        place.mkdir()
    with kept(place, "1.0", SECONDS) as make:
        assert make
    with kept(place, "1.1", SECONDS) as make:
        assert make
    with kept(place, "1.1", SECONDS) as make:
        assert not make


def test_who_waits_too_long_is_told_for_what(tmp_path: Path) -> None:
    place = tmp_path / "shop"
    late = kept(place, "1.0", 0.0)
    with kept(place, "1.0", SECONDS), pytest.raises(TimeoutError, match=f"another process still makes {place}"):
        late.__enter__()
