"""Small commands: keys, completion, a statement's map written into the configuration, errors that name the guide."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from base64 import b64decode
from pathlib import Path

import pytest

from tests.commands import command, shop_command
from tests.guide.source import ROOT
from worker.cli.command_errors import WrongUsage
from worker.cli.write_statement import write_map
from worker.playground.dev.starting_files import write_starting_files

MAP = '[merchants.accounts.statement]\nreference = "Order"  # 5 of 5 rows\namount = "Amount"\n# Not clear: the fee\n'
CONFIG = """\
# our shop
[[merchants]]
id = "shop"

[[merchants.accounts]]
id = "shop-payparse"  # the first
provider = "payparse"

[merchants.accounts.status_check]
method = "GET"

# the second
[[merchants.accounts]]
id = "shop-ipay"
provider = "ipay"

# where events go
[[merchants.webhooks]]
url = "https://shop.example/hooks"
"""


def written(tmp_path: Path, text: str = CONFIG) -> Path:
    path = tmp_path / "payproof.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("account", "before"),
    [("shop-payparse", 'method = "GET"\n'), ("shop-ipay", 'provider = "ipay"\n')],
)
def test_a_map_is_put_below_its_account_and_all_else_stays(tmp_path: Path, account: str, before: str) -> None:
    path = written(tmp_path)
    write_map(path, account, MAP)
    assert path.read_text() == CONFIG.replace(before, f"{before}\n{MAP}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(WrongUsage, match="has a statement table already"):
        write_map(path, account, MAP)


def test_a_map_leaves_the_file_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path)
    own, given = os.fstat, list[tuple[int, int]]()

    def of_another(handle: int) -> os.stat_result:
        found = list(own(handle))
        found[stat.ST_UID] += 1
        return os.stat_result(found)

    def give(_: int, uid: int, gid: int) -> None:
        given.append((uid, gid))

    monkeypatch.setattr(os, "fstat", of_another)
    monkeypatch.setattr(os, "fchown", give)
    kept = path.stat()
    write_map(path, "shop-ipay", MAP)
    assert given == [(kept.st_uid, kept.st_gid)]


def test_where_the_owner_cannot_be_kept_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path)

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refuse)
    with pytest.raises(WrongUsage, match="would change its owner"):
        write_map(path, "shop-ipay", MAP)
    assert path.read_text() == CONFIG
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (CONFIG.replace("shop-ipay", "shop-eps"), "is no account of"),
        ('merchants = [{id = "shop", accounts = [{id = "shop-ipay"}]}]\n', "paste it below its account"),
        ("[[merchants\n", "paste it below its account"),
    ],
)
def test_a_file_that_cannot_be_changed_is_left_as_it_is(tmp_path: Path, text: str, why: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(WrongUsage, match=why):
        write_map(path, "shop-ipay", MAP)
    assert path.read_text() == text
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


async def test_a_guessed_map_is_written_and_then_reads_the_file(tmp_path: Path) -> None:
    export = tmp_path / "export.csv"
    export.write_text(
        "Order,Amount,Transaction ID,Status,Date\n"
        + "".join(f"order-{n},1{n}.00,TX{n}ABC,Success,2026-11-0{n} 10:00:00\n" for n in range(1, 6))
    )
    words = ("reconcile", "--guess", "--write", "--statement", str(export), "--account")
    path = written(tmp_path)
    told = await command(*words, "shop-ipay", cwd=tmp_path)
    assert told.code == 0, told
    assert "[merchants.accounts.statement]" in path.read_text()
    assert "below shop-ipay" in told.err.replace("\n", " ")
    wrong = await command(*words[:-1], cwd=tmp_path)
    assert (wrong.code, "--write: needs --account" in wrong.err) == (2, True)


async def test_a_key_for_webhooks_is_a_secret_of_standard_webhooks(tmp_path: Path) -> None:
    made = [(await command("key", "--webhook", cwd=tmp_path)).out.strip() for _ in range(2)]
    assert made[0] != made[1]
    assert [len(b64decode(one.removeprefix("whsec_"), validate=True)) for one in made] == [32, 32]
    wrong = await command("key", "--webhook", "--archive", cwd=tmp_path)
    assert wrong.code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_completion_names_the_commands(tmp_path: Path, shell: str) -> None:
    told = await command("completion", shell, cwd=tmp_path)
    assert told.code == 0
    for name in ("listen", "doctor", "reconcile"):
        assert re.search(rf"\b{name}\b", told.out)
    assert (await command("completion", "tcsh", cwd=tmp_path)).code == 2


@pytest.mark.parametrize(
    ("text", "section"),
    [
        ("wrong = 1\n", "Configuration"),
        ("[[merchants", "Configuration"),
        (f"{CONFIG}[checks]\ngive_up = 7\n", "[checks]"),
        (f"{CONFIG}[[console.operators]]\nname = 7\n", "[[console.operators]]"),
        (f"{CONFIG}type = 7\n", "[[merchants.webhooks]]"),
    ],
)
async def test_errors_of_the_configuration_name_the_guides_section(tmp_path: Path, text: str, section: str) -> None:
    written(tmp_path, text)
    told = await command("doctor", cwd=tmp_path)
    page, *named = re.findall(r"^see (\S+), |\"([^\"]+)\"", told.err.splitlines()[-1])
    assert (told.code, section in [one for _, one in named]) == (2, True), told.err
    headings = re.findall(r"^#+ (.+)$", (ROOT / page[0]).read_text(encoding="utf-8"), flags=re.MULTILINE)
    for _, one in named:
        assert any(heading.replace("`", "").startswith(one) for heading in headings), one


async def test_errors_of_the_environment_name_the_guides_section() -> None:
    code, _, err = await shop_command("doctor", PAYPROOF_LISTEN="nowhere")
    assert (code, err.splitlines()[-1]) == (2, 'see deploy/guide/operate.md, "Environment"')


@pytest.mark.parametrize("word", ["serve", "migrate"])
@pytest.mark.parametrize(
    "name", ["PAYPROOF_DATABASE_URL", "PAYPROOF_DATA_DIR", "PAYPROOF_AMQP_URL", "PAYPROOF_PUBLIC_URL"]
)
async def test_a_configuration_left_from_development_does_not_serve_another_installation(
    tmp_path: Path, word: str, name: str
) -> None:
    write_starting_files(tmp_path / "payproof.toml", "http://127.0.0.1:8090")
    told = await command(word, cwd=tmp_path, settings={name: "https://production.invalid/payproof"})
    assert (told.code, f"so {name} of the environment would be ignored" in told.err) == (2, True), told.err
    assert not (tmp_path / ".payproof-dev").exists()


async def test_the_version_is_that_of_the_package(tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (await command("--version", cwd=tmp_path)).out.strip() == project["version"]
