"""The configuration: what a valid file means, and that a wrong file's error names every problem and no secret."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from msgspec import Meta, Struct, field

from consumers.ports.gateway import Misconfigured
from consumers.providers.kit import NotFound
from consumers.providers.payparse import PayParse
from schemas.checks import Checks
from schemas.secret import Secret, SecretElsewhere
from schemas.words import EventType, Status
from worker.config import Config, ConfigError, load
from worker.runtime.broker_nodes import address_of, nodes_of

WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()
LEAK = "sk-live-do-not-print"
SHOP_KEY, OTHER_KEY = "an-api-key-of-the-first-shop", "an-api-key-of-the-other-shop"

ENVIRON = {
    "PAYPROOF_API_KEY": SHOP_KEY,
    "OTHER_API_KEY": OTHER_KEY,
    "PAY_KEY": "pay-key",
    "PAYPROOF_WEBHOOK_SECRET": WEBHOOK_SECRET,
    "PAYPROOF_LOG": "json",
}

GOOD = """
[[merchants]]
id = "shop"
api_keys = ["env:PAYPROOF_API_KEY"]

[[merchants.accounts]]
id = "shop-pay"
provider = "samplepay"
base_url = "https://pay.example/api"
api_key = "env:PAY_KEY"

[[merchants.webhooks]]
url = "https://shop.example/hooks"
secret = "env:PAYPROOF_WEBHOOK_SECRET"
"""


class Paths(Struct, frozen=True, kw_only=True):
    create: Annotated[str, Meta(pattern="^/")] = "/create"
    status: Annotated[str, Meta(pattern="^/")] = "/status"

    def __post_init__(self) -> None:
        if self.create == self.status:
            raise ValueError("create and status are the same path")


class SamplePay(Struct, frozen=True, kw_only=True):
    name: ClassVar[str] = "samplepay"

    base_url: str
    api_key: Secret
    password: Secret | None = None
    paths: Paths = field(default_factory=Paths)
    check: Paths | None = None
    scheme: Literal["documented", "bare"] = "documented"
    codes: dict[str, Status] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    tries: int = 3
    capture: bool = True


class Table(Struct, frozen=True, kw_only=True):
    headers: dict[str, Secret] = field(default_factory=dict)
    secrets: dict[str, Secret] = field(default_factory=dict)


class TablePay(Struct, frozen=True, kw_only=True):
    name: ClassVar[str] = "tablepay"

    base_url: str
    create: Table
    status: Table


PROVIDERS: dict[str, Any] = {"samplepay": SamplePay, "tablepay": TablePay}


def read(tmp_path: Path, text: str, **environ: str) -> Config:
    path = tmp_path / "payproof.toml"
    path.write_text(text, encoding="utf-8")
    return load({**ENVIRON, "PAYPROOF_CONFIG": str(path), **environ}, providers=PROVIDERS)


def problems(tmp_path: Path, text: str, **environ: str) -> dict[str, str]:
    """The problems, by path; fails when a secret or a value of the file shows anywhere."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, **environ)
    assert LEAK not in str(caught.value)
    assert LEAK not in repr(caught.value)
    paths = [problem.path for problem in caught.value.problems]
    assert len(paths) == len(set(paths))
    return {problem.path: problem.message for problem in caught.value.problems}


def account(**values: str) -> str:
    """GOOD with lines of its account replaced or added; a value of "" removes the line."""
    lines = {
        "id": '"shop-pay"',
        "provider": '"samplepay"',
        "base_url": '"https://pay.example/api"',
        "api_key": '"env:PAY_KEY"',
    }
    table = "\n".join(f"{key} = {value}" for key, value in {**lines, **values}.items() if value)
    return f'[[merchants]]\nid = "shop"\napi_keys = ["env:PAYPROOF_API_KEY"]\n[[merchants.accounts]]\n{table}\n'


def test_a_good_file_is_read_with_its_defaults(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD)
    assert config.return_wait == 4.0
    assert config.allow_private_webhooks is False
    assert config.checks == Checks()
    assert config.literal_secrets == ()
    merchant = config.merchant("shop")
    assert merchant is not None
    assert merchant.name is None
    assert merchant.webhooks[0].wants(EventType.COMPLETED)
    assert merchant.webhooks[0].key == b"k" * 24
    found = config.account("shop-pay")
    assert found is not None
    assert found.merchant == "shop"
    assert found.calls_per_second is None
    assert found.provider == SamplePay(base_url="https://pay.example/api", api_key=Secret("pay-key"))
    assert config.account("shop") is None
    assert config.merchant("shop-pay") is None


def test_what_a_gateways_own_table_refuses_is_told_at_its_place(tmp_path: Path) -> None:
    table = '{ http = 404, at = "error/code", words = [] }'
    check = f'{{ path = "/order/{{session_id}}", status = "/status", completed = ["paid"], not_found = {table} }}'
    text = account(provider='"payparse"', base_url='"https://gateway.payparse.site"', status_check=check)
    path = tmp_path / "payproof.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load({**ENVIRON, "PAYPROOF_CONFIG": str(path)}, providers={"payparse": PayParse})
    place = "merchants[0].accounts[0].status_check.not_found"
    assert {problem.path: problem.message for problem in error.value.problems} == {
        f"{place}.at": "is no JSON pointer such as /error/code",
        f"{place}.words": "needs at least one word",
    }


def test_a_table_that_a_gateway_refuses_says_all_that_is_wrong_with_it() -> None:
    with pytest.raises(Misconfigured) as caught:
        NotFound(http=403, at="code", words=())
    assert str(caught.value) == (
        "http is 2xx or 4xx, but none of 401, 403, 408 and 429; at is no JSON pointer such as /error/code; "
        "words needs at least one word"
    )


def test_every_kind_of_field_of_a_gateway_is_read(tmp_path: Path) -> None:
    text = account(
        calls_per_second="5",
        paths='{ create = "/new" }',
        check='{ status = "/look" }',
        scheme='"bare"',
        codes='{ "400" = "failed" }',
        words='["PAID", "DONE"]',
        tries="5",
        capture="false",
    )
    found = read(tmp_path, text).account("shop-pay")
    assert found is not None
    assert found.calls_per_second == 5
    assert found.provider == SamplePay(
        base_url="https://pay.example/api",
        api_key=Secret("pay-key"),
        paths=Paths(create="/new"),
        check=Paths(status="/look"),
        scheme="bare",
        codes={"400": Status.FAILED},
        words=("PAID", "DONE"),
        tries=5,
        capture=False,
    )


def test_durations_are_read_in_every_unit(tmp_path: Path) -> None:
    text = 'return_wait = "300ms"\n[checks]\nclaimed = ["2s", "5m"]\npending = ["24h"]\ngive_up = "7d"\n' + GOOD
    config = read(tmp_path, text)
    assert config.return_wait == 0.3
    assert config.checks.claimed == (2.0, 300.0)
    assert config.checks.pending == (86400.0,)
    assert config.checks.give_up == 7 * 86400.0
    assert config.checks.grace == 120.0


@pytest.mark.parametrize(
    ("written", "size"), [("100MB", 10**8), ("500000kB", 5 * 10**8), ("5GB", 5 * 10**9), ("2TB", 2 * 10**12)]
)
def test_the_archives_bound_is_read_in_every_unit(tmp_path: Path, written: str, size: int) -> None:
    assert read(tmp_path, f'[archive]\nmax_size = "{written}"\n{GOOD}').archive.max_size == size


def test_without_a_bound_the_archive_has_five_gigabytes(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD).archive.max_size == 5 * 10**9


@pytest.mark.parametrize("written", ["5", "'5'", "'5 GB'", "'5gb'", "'-5GB'", "'1.5GB'", "''", "'٥GB'", "'99MB'"])
def test_a_size_of_any_other_form_or_too_small_is_refused(tmp_path: Path, written: str) -> None:
    assert set(problems(tmp_path, f"[archive]\nmax_size = {written}\n{GOOD}")) == {"archive.max_size"}


@pytest.mark.parametrize(
    "written", ["2", "'2'", "'2 s'", "'-2s'", "'1.5s'", "'2w'", "''", "'٢s'", "'999999d'", "['2s']"]
)
def test_a_duration_of_any_other_form_is_refused(tmp_path: Path, written: str) -> None:
    assert set(problems(tmp_path, f"return_wait = {written}\n{GOOD}")) == {"return_wait"}


@pytest.mark.parametrize("name", ["claimed", "pending", "closed", "refunds"])
def test_a_schedule_has_entries_and_each_is_positive(tmp_path: Path, name: str) -> None:
    assert set(problems(tmp_path, f"[checks]\n{name} = []\n{GOOD}")) == {f"checks.{name}"}
    assert set(problems(tmp_path, f'[checks]\n{name} = ["1s", "0s"]\n{GOOD}')) == {f"checks.{name}[1]"}


def test_every_problem_is_named_at_once_with_its_path(tmp_path: Path) -> None:
    text = f"""
    return_wate = "4s"
    allow_http_hosts = "{LEAK}"
    [checks]
    claimed = ["2s", 5]
    grace = "soon"
    [[merchants]]
    id = "Shop"
    api_keys = ["env:NOT_SET", 7]
    [[merchants.accounts]]
    id = "one"
    provider = "samplpay"
    [[merchants.accounts]]
    id = "one"
    provider = "samplepay"
    base_url = "http://pay.example"
    api_kee = "{LEAK}"
    paths = {{ create = "x", stats = "/y" }}
    codes = {{ "400" = "fialed", "4 5" = 7 }}
    scheme = "{LEAK}"
    tries = "{LEAK}"
    capture = 1
    [[merchants.webhooks]]
    url = "http://shop.example/{LEAK}"
    secret = "{LEAK}"
    events = ["payment.complete", "payment.held"]
    """
    found = problems(
        tmp_path,
        text,
        PAYPROOF_LISTEN="8080",
        PAYPROOF_DATABASE_URL=LEAK,
        PAYPROOF_LOG="loud",
        PAYPROOF_MAX_CONNECTIONS="9",
    )
    assert found == {
        "PAYPROOF_LISTEN": "must be host:port, such as 127.0.0.1:8080 or [::1]:8080",
        "PAYPROOF_DATABASE_URL": "must begin with postgres:// or postgresql://",
        "PAYPROOF_LOG": "must be json or console",
        "PAYPROOF_MAX_CONNECTIONS": "must be a whole number, 10 or more",
        "return_wate": 'unknown key; did you mean "return_wait"?',
        "allow_http_hosts": "expected a list, found text",
        "checks.claimed[1]": "a duration is text such as 300ms, 2s, 5m, 24h or 7d",
        "checks.grace": "a duration is text such as 300ms, 2s, 5m, 24h or 7d",
        "merchants[0].id": "an id is 1 to 40 of a-z, 0-9 and -, and does not begin with -",
        "merchants[0].api_keys[0]": "the environment variable NOT_SET is not set",
        "merchants[0].api_keys[1]": "expected text (env:NAME, file:PATH or the secret itself), found a number",
        "merchants[0].accounts[0].provider": 'unknown provider; did you mean "samplepay"? (samplepay, tablepay)',
        "merchants[0].accounts[1].id": "is the id of merchants[0].accounts[0] too",
        "merchants[0].accounts[1].base_url": (
            "must be https; http is for loopback and for the hosts of allow_http_hosts"
        ),
        "merchants[0].accounts[1].api_kee": 'unknown key; did you mean "api_key"?',
        "merchants[0].accounts[1].api_key": "is missing",
        "merchants[0].accounts[1].paths.create": "does not match ^/",
        "merchants[0].accounts[1].paths.stats": 'unknown key; did you mean "status"?',
        "merchants[0].accounts[1].codes.400": (
            'must be one of pending, expired, cancelled, failed, completed, refunded; did you mean "failed"?'
        ),
        'merchants[0].accounts[1].codes."4 5"': (
            "must be one of pending, expired, cancelled, failed, completed, refunded"
        ),
        "merchants[0].accounts[1].scheme": "must be one of bare, documented",
        "merchants[0].accounts[1].tries": "expected a whole number, found text",
        "merchants[0].accounts[1].capture": "expected true or false, found a number",
        "merchants[0].webhooks[0].url": "must be https (allow_private_webhooks allows http, for development)",
        "merchants[0].webhooks[0].secret": "a webhook secret is whsec_ and the base64 of 24 bytes or more",
        "merchants[0].webhooks[0].events[0]": 'no such event; did you mean "payment.completed"?',
    }


def test_what_a_gateways_own_class_refuses_is_a_problem_at_its_path(tmp_path: Path) -> None:
    found = problems(tmp_path, account(paths='{ create = "/same", status = "/same" }'))
    assert found == {"merchants[0].accounts[0].paths": "create and status are the same path"}


@pytest.mark.parametrize("value", ["0", "-1", "inf", "nan", "true", '"5"'])
def test_a_budget_is_a_positive_number(tmp_path: Path, value: str) -> None:
    assert set(problems(tmp_path, account(calls_per_second=value))) == {"merchants[0].accounts[0].calls_per_second"}


@pytest.mark.parametrize("value", ["", "-shop", "Shop", "shop_1", "দোকান", "x" * 41, "shop\\n"])
def test_an_id_of_any_other_form_is_refused(tmp_path: Path, value: str) -> None:
    assert set(problems(tmp_path, account(id=f'"{value}"'))) == {"merchants[0].accounts[0].id"}


def test_ids_and_api_keys_are_unique_in_the_file(tmp_path: Path) -> None:
    found = problems(tmp_path, GOOD + GOOD)
    assert found == {
        "merchants[1].id": "is the id of merchants[0] too",
        "merchants[1].api_keys[0]": "is the key of merchants[0] too",
        "merchants[1].accounts[0].id": "is the id of merchants[0].accounts[0] too",
        "merchants[1].accounts[0].provider": "has the gateway, base_url and credentials of merchants[0].accounts[0]",
    }


def test_two_accounts_of_one_gateway_differ_in_address_or_credentials(tmp_path: Path) -> None:
    second = """
    [[merchants]]
    id = "other"
    api_keys = ["env:OTHER_API_KEY"]
    [[merchants.accounts]]
    id = "other-pay"
    provider = "samplepay"
    base_url = "https://pay.example/api{}"
    api_key = "{}"
    """
    assert read(tmp_path, GOOD + second.format("", "another-key")).account("other-pay") is not None
    assert read(tmp_path, GOOD + second.format("/v2", "pay-key")).account("other-pay") is not None
    assert set(problems(tmp_path, GOOD + second.format("/", "pay-key"))) == {"merchants[1].accounts[0].provider"}


def test_secrets_in_tables_are_credentials_too(tmp_path: Path) -> None:
    """As at a gateway from a table, whose keys are all in its tables."""
    accounts = """
    [[merchants.accounts]]
    id = "{id}"
    provider = "tablepay"
    base_url = "https://table.example"
    [merchants.accounts.create]
    secrets = {{merchantId = "merchant-1", password = "{password}"}}
    [merchants.accounts.status]
    headers = {{merchantId = "merchant-1"}}
    """
    first = GOOD + accounts.format(id="first", password="one")
    assert read(tmp_path, first + accounts.format(id="second", password="two")).account("second") is not None
    found = problems(tmp_path, first + accounts.format(id="second", password="one"))
    assert found == {
        "merchants[0].accounts[2].provider": "has the gateway, base_url and credentials of merchants[0].accounts[1]"
    }


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ("https://pay.example", True),
        ("http://127.0.0.1:9000/ipay", True),
        ("http://127.8.8.8", True),
        ("http://[::1]:9000", True),
        ("http://localhost:9000", True),
        ("http://sandbox:9000/ipay", True),
        ("http://SANDBOX:9000/ipay", True),
        ("http://pay.example", False),
        ("http://localhost.pay.example", False),
        ("http://127.0.0.1.pay.example", False),
        ("http://me@pay.example", False),
        ("https://me:pw@pay.example", False),
        ("https://pay.example?key=1", False),
        ("https://pay.example#x", False),
        ("https://pay.example:port", False),
        ("https://", False),
        ("https://pay .example", False),
        ("ftp://pay.example", False),
        ("pay.example", False),
    ],
)
def test_plain_http_is_for_loopback_and_named_hosts_only(tmp_path: Path, url: str, fits: bool) -> None:
    text = 'allow_http_hosts = ["Sandbox"]\n' + account(base_url=f'"{url}"')
    if fits:
        assert read(tmp_path, text).allow_http_hosts == {"sandbox"}
    else:
        assert set(problems(tmp_path, text)) == {"merchants[0].accounts[0].base_url"}


@pytest.mark.parametrize("url", ["http://shop.example/hooks", "https://127.0.0.1/hooks", "http://localhost:3000/"])
def test_webhooks_to_private_places_are_for_development(tmp_path: Path, url: str) -> None:
    text = GOOD.replace("https://shop.example/hooks", url)
    assert set(problems(tmp_path, text)) == {"merchants[0].webhooks[0].url"}
    assert read(tmp_path, "allow_private_webhooks = true\n" + text).merchants[0].webhooks[0].url == url


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", WEBHOOK_SECRET[6:], WEBHOOK_SECRET + "!"])
def test_a_webhook_secret_that_is_weak_or_malformed_is_refused(tmp_path: Path, secret: str) -> None:
    assert set(problems(tmp_path, GOOD, PAYPROOF_WEBHOOK_SECRET=secret)) == {"merchants[0].webhooks[0].secret"}


def test_older_webhook_secrets_sign_too_and_are_held_to_the_same(tmp_path: Path) -> None:
    both = GOOD + 'previous_secrets = ["env:OLDER"]\n'
    (webhook,) = read(tmp_path, both, OLDER=WEBHOOK_SECRET).merchants[0].webhooks
    assert webhook.previous_secrets == (Secret(WEBHOOK_SECRET),)
    assert webhook.key == b"k" * 24, "returns are signed with the newest"
    wrong = "merchants[0].webhooks[0].previous_secrets[0]"
    assert set(problems(tmp_path, both, OLDER="whsec_c2hvcnQ=")) == {wrong}


def test_one_url_is_one_endpoint_of_a_merchant(tmp_path: Path) -> None:
    again = GOOD + GOOD[GOOD.index("[[merchants.webhooks]]") :]
    assert problems(tmp_path, again) == {"merchants[0].webhooks[1].url": "is the url of merchants[0].webhooks[0] too"}


def test_an_endpoints_id_is_its_merchants_own(tmp_path: Path) -> None:
    hooks = GOOD.index("[[merchants.webhooks]]")
    hook = GOOD[hooks:].replace("url = ", 'id = "erp"\nurl = ')
    assert read(tmp_path, GOOD[:hooks] + hook).merchants[0].webhooks[0].id == "erp"
    again = GOOD[:hooks] + hook + hook.replace('url = "', 'url = "https://other.example/?')
    assert problems(tmp_path, again) == {"merchants[0].webhooks[1].id": "is the id of merchants[0].webhooks[0] too"}
    assert set(problems(tmp_path, again.replace('"erp"', '"wh_1"'))) == {
        "merchants[0].webhooks[0].id",
        "merchants[0].webhooks[1].id",
    }


class TestSecrets:
    def test_a_file_beside_the_configuration_loses_one_line_ending(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("pay-key\n")
        assert self._key(read(tmp_path, account(api_key='"file:key"'))) == Secret("pay-key")

    def test_a_file_elsewhere_is_named_by_its_whole_path(self, tmp_path: Path) -> None:
        place = tmp_path / "elsewhere"
        place.mkdir()
        (place / "key").write_text("pay-key")
        assert self._key(read(tmp_path, account(api_key=f'"file:{place / "key"}"'))) == Secret("pay-key")

    @pytest.mark.parametrize(
        ("written", "message"),
        [
            ("env:NOT_SET", "the environment variable NOT_SET is not set"),
            ("env:EMPTY", "the environment variable EMPTY is empty"),
            ("env:", "after env: stands the name of an environment variable"),
            ("file:gone", "the file gone cannot be read: No such file or directory"),
            ("file:", "after file: stands the path of a file"),
            ("file:binary", "the file binary is not UTF-8 text"),
            ("file:empty", "the file empty is empty"),
            ("file:two-lines", "holds a line break or another control character"),
            ("", "is empty"),
        ],
    )
    def test_one_that_cannot_be_had_is_a_problem(self, tmp_path: Path, written: str, message: str) -> None:
        (tmp_path / "binary").write_bytes(b"\xff\xfe")
        (tmp_path / "empty").write_text("\n")
        (tmp_path / "two-lines").write_text(f"{LEAK}\n\n")
        found = problems(tmp_path, account(api_key=f'"{written}"'), EMPTY="")
        assert found == {"merchants[0].accounts[0].api_key": message}

    def test_one_written_out_is_taken_and_remembered(self, tmp_path: Path) -> None:
        config = read(tmp_path, account(api_key=f'"{LEAK}"'))
        assert config.literal_secrets == ("merchants[0].accounts[0].api_key",)
        assert self._key(config) == Secret(LEAK)
        assert LEAK not in repr(config)

    @staticmethod
    def _key(config: Config) -> Any:
        found = config.account("shop-pay")
        assert found is not None
        assert isinstance(found.provider, SamplePay)
        return found.provider.api_key


def test_an_api_key_finds_its_merchant_and_nothing_else_does(tmp_path: Path) -> None:
    text = GOOD + '[[merchants]]\nid = "other"\napi_keys = ["a-first-key-of-the-other-shop", "env:OTHER_API_KEY"]\n'
    config = read(tmp_path, text)
    for key, merchant in ((SHOP_KEY, "shop"), (OTHER_KEY, "other")):
        found = config.caller_by_key(key)
        assert found is not None
        assert found.merchant is config.merchant(merchant)
    for presented in ("", SHOP_KEY[:-1], f"{SHOP_KEY} ", SHOP_KEY.upper(), "\udcff", "কী"):
        assert config.caller_by_key(presented) is None


def test_an_api_key_that_no_header_can_carry_is_refused(tmp_path: Path) -> None:
    assert set(problems(tmp_path, GOOD, PAYPROOF_API_KEY="two words")) == {"merchants[0].api_keys[0]"}


@pytest.mark.parametrize("text", ["", "merchants = []", "merchants = 3", '[merchants]\nid = "shop"'])
def test_without_a_merchant_there_is_nothing_to_serve(tmp_path: Path, text: str) -> None:
    assert set(problems(tmp_path, text)) == {"merchants"}


class TestTheFile:
    def test_a_missing_one_says_how_to_make_one(self, tmp_path: Path) -> None:
        path = tmp_path / "gone.toml"
        with pytest.raises(ConfigError, match="there is no such file; `payproof init` writes a starter"):
            load({"PAYPROOF_CONFIG": str(path)})

    def test_a_directory_in_its_place_is_a_problem(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
            load({"PAYPROOF_CONFIG": str(tmp_path)})

    def test_one_that_is_no_toml_is_named_with_line_and_column(self, tmp_path: Path) -> None:
        (message,) = problems(tmp_path, f"return_wait = {LEAK}\n").values()
        assert message.startswith("is not TOML: ")
        assert "line 1, column 15" in message

    def test_problems_of_the_environment_are_told_with_those_of_the_file(self, tmp_path: Path) -> None:
        assert set(problems(tmp_path, "= 1", PAYPROOF_LISTEN="x")) == {
            "PAYPROOF_LISTEN",
            str(tmp_path / "payproof.toml"),
        }


class TestSecretsOfOtherRoles:
    """A process is given the secrets that its roles use; one of another role may be missing."""

    TEXT = """
    [archive]
    keys = ["file:archive-key"]
    [[merchants]]
    id = "shop"
    api_keys = ["file:shop-key"]
    [[merchants.webhooks]]
    url = "https://shop.example/hook"
    secret = "file:webhook-secret"
    previous_secrets = ["file:older-secret"]
    [[merchants.accounts]]
    id = "shop-one"
    provider = "moneybag"
    base_url = "https://one.example"
    api_key = "file:gateway-key"
    webhook_secret = "file:gateway-webhook-secret"
    [[merchants.accounts]]
    id = "shop-two"
    provider = "moneybag"
    base_url = "https://one.example"
    api_key = "file:gateway-key"
    webhook_secret = "file:gateway-webhook-secret"
    """
    USED: ClassVar[dict[str, set[str]]] = {
        "ingress": {
            "merchants[0].api_keys[0]",
            "merchants[0].webhooks[0].secret",
            *(f"merchants[0].accounts[{n}].{name}" for n in (0, 1) for name in ("api_key", "webhook_secret")),
        },
        "consume": {"archive.keys[0]", "merchants[0].accounts[0].api_key", "merchants[0].accounts[1].api_key"},
        "sweep": set[str](),
        "relay": set[str](),
        "deliver": {"merchants[0].webhooks[0].secret", "merchants[0].webhooks[0].previous_secrets[0]"},
    }

    @pytest.mark.parametrize("role", list(USED))
    def test_each_role_names_exactly_those_that_it_uses_and_has_not(self, tmp_path: Path, role: str) -> None:
        (tmp_path / "payproof.toml").write_text(self.TEXT)
        environ = {"PAYPROOF_CONFIG": str(tmp_path / "payproof.toml")}
        if not self.USED[role]:
            load(environ, roles=[role])
            return
        with pytest.raises(ConfigError) as raised:
            load(environ, roles=[role])
        assert {problem.path for problem in raised.value.problems} == self.USED[role]

    def test_one_that_is_elsewhere_says_so_where_it_is_used(self, tmp_path: Path) -> None:
        (tmp_path / "payproof.toml").write_text(self.TEXT)
        config = load({"PAYPROOF_CONFIG": str(tmp_path / "payproof.toml")}, roles=["sweep"])
        with pytest.raises(SecretElsewhere, match=r"^archive.keys\[0\]: the file archive-key cannot be read"):
            _ = config.archive.cipher_keys

    def test_one_that_is_there_is_checked_by_every_role(self, tmp_path: Path) -> None:
        (tmp_path / "payproof.toml").write_text(self.TEXT)
        (tmp_path / "archive-key").write_text("weak")
        with pytest.raises(ConfigError) as raised:
            load({"PAYPROOF_CONFIG": str(tmp_path / "payproof.toml")}, roles=["sweep"])
        assert {problem.path for problem in raised.value.problems} == {"archive.keys[0]"}


class TestTheEnvironment:
    def test_what_is_absent_or_empty_has_its_default(self, tmp_path: Path) -> None:
        settings = read(tmp_path, GOOD, PAYPROOF_DATABASE_URL="", PAYPROOF_LISTEN="").settings
        assert settings.config_path == tmp_path / "payproof.toml"
        assert settings.database_url is None
        assert settings.amqp_url is None
        assert settings.data_dir == Path(".payproof")
        assert settings.listen == ("127.0.0.1", 8080)
        assert settings.ops_listen == ("127.0.0.1", 9090)
        assert settings.public_url == "http://127.0.0.1:8080"
        assert settings.log == "json"

    def test_what_is_given_is_taken(self, tmp_path: Path) -> None:
        settings = read(
            tmp_path,
            GOOD,
            PAYPROOF_DATABASE_URL=f"postgresql://me:{LEAK}@db/payproof",
            PAYPROOF_AMQP_URL=f"amqps://me:{LEAK}@mq/",
            PAYPROOF_DATA_DIR="/var/lib/payproof",
            PAYPROOF_PUBLIC_URL="https://pay.shop.example/",
            PAYPROOF_LISTEN="[::1]:80",
            PAYPROOF_OPS_LISTEN="0.0.0.0:0",
            PAYPROOF_LOG="console",
        ).settings
        assert settings.database_url == Secret(f"postgresql://me:{LEAK}@db/payproof")
        assert settings.amqp_url == Secret(f"amqps://me:{LEAK}@mq/")
        assert LEAK not in repr(settings)
        assert settings.data_dir == Path("/var/lib/payproof")
        assert settings.public_url == "https://pay.shop.example"
        assert settings.listen == ("::1", 80)
        assert settings.ops_listen == ("0.0.0.0", 0)
        assert settings.log == "console"

    def test_an_address_with_a_password_may_stand_in_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "database-url").write_text(f"postgresql://me:{LEAK}@db/payproof\n")
        assert read(tmp_path, GOOD, PAYPROOF_DATABASE_URL="file:database-url").settings.database_url == Secret(
            f"postgresql://me:{LEAK}@db/payproof"
        )
        (tmp_path / "amqp-url").write_text(LEAK)
        found = problems(tmp_path, GOOD, PAYPROOF_DATABASE_URL="file:other", PAYPROOF_AMQP_URL="file:amqp-url")
        assert found == {
            "PAYPROOF_DATABASE_URL": "the file other cannot be read: No such file or directory",
            "PAYPROOF_AMQP_URL": "must begin with amqp:// or amqps://",
        }

    def test_a_direct_url_of_the_database_stands_beside_the_poolers(self, tmp_path: Path) -> None:
        pooled, direct = "postgresql://me@pooler/payproof", "postgresql://me@db/payproof"
        settings = read(tmp_path, GOOD, PAYPROOF_DATABASE_URL=pooled, PAYPROOF_DATABASE_DIRECT_URL=direct).settings
        assert (settings.database_url, settings.sessions_url) == (Secret(pooled), Secret(direct))
        assert read(tmp_path, GOOD, PAYPROOF_DATABASE_URL=pooled).settings.sessions_url == Secret(pooled)
        found = problems(tmp_path, GOOD, PAYPROOF_DATABASE_DIRECT_URL=direct)
        assert found.keys() == {"PAYPROOF_DATABASE_DIRECT_URL"}

    def test_each_node_of_a_cluster_has_a_url_of_its_own(self, tmp_path: Path) -> None:
        url = f"amqps://me:{LEAK},1@one/, amqps://me:{LEAK},1@two:5671/"
        settings = read(tmp_path, GOOD, PAYPROOF_AMQP_URL=url).settings
        assert settings.amqp_url is not None
        nodes = nodes_of(settings.amqp_url)
        assert nodes == [Secret(f"amqps://me:{LEAK},1@one/"), Secret(f"amqps://me:{LEAK},1@two:5671/")]
        assert [address_of(node) for node in nodes] == ["one", "two:5671"]
        found = problems(tmp_path, GOOD, PAYPROOF_AMQP_URL=f"amqp://me:{LEAK}@one,two/")
        assert found == {
            "PAYPROOF_AMQP_URL": "each node needs a URL of its own, as in amqp://user:password@one/,"
            "amqp://user:password@two/"
        }

    def test_the_public_url_follows_the_listening_address(self, tmp_path: Path) -> None:
        assert read(tmp_path, GOOD, PAYPROOF_LISTEN="[::1]:81").settings.public_url == "http://[::1]:81"

    @pytest.mark.parametrize("value", ["8080", ":8080", "host", "host:", "host:99999", "host:x", "::1:80", "a b:80"])
    def test_a_listening_address_of_any_other_form_is_refused(self, tmp_path: Path, value: str) -> None:
        assert set(problems(tmp_path, GOOD, PAYPROOF_OPS_LISTEN=value)) == {"PAYPROOF_OPS_LISTEN"}

    @pytest.mark.parametrize(
        ("value", "url", "path"),
        [
            ("https://shop.example/pay/", "https://shop.example/pay", "/pay"),
            ("https://shop.example/a-b/~c_d/v1.2", "https://shop.example/a-b/~c_d/v1.2", "/a-b/~c_d/v1.2"),
            ("https://shop.example/", "https://shop.example", ""),
        ],
    )
    def test_the_public_url_may_have_a_path(self, tmp_path: Path, value: str, url: str, path: str) -> None:
        settings = read(tmp_path, GOOD, PAYPROOF_PUBLIC_URL=value).settings
        assert (settings.public_url, settings.public_path) == (url, path)

    @pytest.mark.parametrize(
        "value",
        [
            *("pay.example", "ftp://pay.example", "https://", "https://pay.example?x=1"),
            *("https://pay.example//a", "https://pay.example/a%20b", "https://pay.example/..", "https://a/{b}"),
            *("https://pay.example/v1", "https://pay.example/return/pay", "https://pay.example/docs"),
        ],
    )
    def test_a_public_url_of_any_other_form_is_refused(self, tmp_path: Path, value: str) -> None:
        assert set(problems(tmp_path, GOOD, PAYPROOF_PUBLIC_URL=value)) == {"PAYPROOF_PUBLIC_URL"}


@pytest.mark.parametrize(
    ("words", "places"),
    [
        ("", set()),
        ('events = "30d"', set()),
        ('events = "400d"\npayments = "400d"', set()),
        ('events = "29d"', {"retention.events"}),
        ('events = "30d"\npayments = "365d"', {"retention.payments"}),
        ('payments = "3650d"', {"retention.payments"}),
        ('events = "500d"\npayments = "400d"', {"retention.payments"}),
        ('event = "400d"', {"retention.event"}),
    ],
)
def test_a_retention_is_refused_that_is_too_short_or_leaves_events_behind(
    tmp_path: Path, words: str, places: set[str]
) -> None:
    text = f"[retention]\n{words}\n{GOOD}"
    assert set(problems(tmp_path, text)) == places if places else read(tmp_path, text).retention is not None


def test_a_text_of_a_wrong_length_is_told_the_length_that_it_may_have(tmp_path: Path) -> None:
    text = account(
        provider='"shurjopay"', api_key="", username='"env:PAY_KEY"', password='"env:PAY_KEY"', prefix='"TOOLONG"'
    )
    (tmp_path / "payproof.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"accounts\[0\]\.prefix: must have 1 to 5 characters"):
        load({**ENVIRON, "PAYPROOF_CONFIG": str(tmp_path / "payproof.toml")})
