"""`deploy/compose.yaml`: the specification's schema, and payproof's own rules. Nothing here starts it."""

from __future__ import annotations

import json
import re
import stat
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
import pytest
from check_jsonschema.builtin_schemas import get_builtin_schema

from consumers.timing import TIMING
from tests.deployment import DEPLOY, Document, compose, documents, image, settings_read
from tests.processes import directory
from worker.amqp.topology import CLAIMS, DEAD, EVENTS
from worker.config import Config, load
from worker.process import HTTP_DRAIN_SECONDS, ROLES

ONE_SHOTS = {"keys", "logins", "migrate"}
BROKERLESS = {"deliver", "reconcile", "console"}
LOGINS = {"ingress": "ingress", "consume": "consume", "sweep": "relay", "deliver": "deliver"} | {
    login: login for login in ("reconcile", "console")
}
"""The folder of each service: one for each login."""
UNHURRIED = 2 * HTTP_DRAIN_SECONDS + TIMING.drain.total_seconds()


def services() -> dict[str, Document]:
    found: dict[str, Document] = compose()["services"]
    return found


def ours() -> dict[str, Document]:
    """The services that run payproof by its own entry point."""
    image_of_ours = services()["ingress"]["image"]
    return {
        name: service
        for name, service in services().items()
        if service["image"] == image_of_ours and "entrypoint" not in service
    }


def serving() -> dict[str, list[str]]:
    """The roles of each service."""
    return {
        name: service["command"][2].split(",") for name, service in ours().items() if service["command"][0] == "serve"
    }


def drawn(place: Path) -> dict[str, str]:
    """The files that `keys` writes, by its own script and with its own environment."""
    service = services()["keys"]
    environment = service["environment"] | {"PATH": "/usr/bin:/bin"}
    subprocess.run(
        ["sh", DEPLOY / "keys.sh", place, *service["entrypoint"][3:]], env=environment, check=True, timeout=20
    )
    return {str(file.relative_to(place)): file.read_text() for file in place.rglob("*") if file.is_file()}


def test_it_fits_the_schema_of_the_compose_specification() -> None:
    jsonschema.validate(compose(), get_builtin_schema("vendor.compose-spec"))


def test_every_role_runs_in_one_service() -> None:
    assert sorted(role for roles in serving().values() for role in roles) == sorted(ROLES)


def test_no_service_can_write_to_its_root_or_gain_anything() -> None:
    for name, service in services().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service, name
        assert not service.get("privileged"), name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_no_service_can_take_the_whole_host() -> None:
    for name, service in services().items():
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert service["logging"]["options"].keys() >= {"max-size", "max-file"}, name


def test_only_the_one_without_a_network_is_root() -> None:
    roots = [name for name, service in services().items() if str(service.get("user", "")).startswith("0")]
    assert roots == ["keys"]
    assert services()["keys"]["network_mode"] == "none"


def test_every_service_that_stays_has_its_health_watched_and_comes_back() -> None:
    for name, service in services().items():
        disabled = service.get("healthcheck", {}).get("disable", False)
        if name in ONE_SHOTS:
            assert (disabled, service["restart"]) == (True, "no"), name
            continue
        assert not disabled, name
        assert service["restart"] == "unless-stopped", name
        if name in serving():
            assert "healthcheck" not in service, f"{name} has the image's"
        else:
            assert service["healthcheck"].keys() >= {"test", "interval", "timeout", "start_period", "retries"}, name


def test_every_port_is_published_on_loopback_alone() -> None:
    published = {name: service["ports"] for name, service in services().items() if "ports" in service}
    assert published.keys() == {"ingress", "console", "sandbox", "prometheus", "grafana"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert compose({"PAYPROOF_BIND": "0.0.0.0"})["services"]["ingress"]["ports"] == ["0.0.0.0:8080:8080"]


def test_the_engines_are_out_of_the_worlds_reach() -> None:
    assert compose()["networks"]["inside"] == {"internal": True}
    assert all(services()[engine]["networks"] == ["inside"] for engine in ("postgres", "rabbitmq"))


def test_nobody_is_killed_who_still_drains() -> None:
    assert all(_seconds(service["stop_grace_period"]) > 0 for service in services().values())
    assert all(_seconds(services()[name]["stop_grace_period"]) > UNHURRIED for name in serving())


def test_every_variable_is_one_that_payproof_reads() -> None:
    for name, service in ours().items():
        assert set(service["environment"]) <= settings_read(), name


def test_whoever_is_waited_for_exists_and_can_become_what_is_waited_for() -> None:
    for name, service in services().items():
        for awaited, how in service.get("depends_on", {}).items():
            expected = "service_completed_successfully" if awaited in ONE_SHOTS else "service_healthy"
            assert how == {"condition": expected}, f"{name} waits for {awaited}"
            assert awaited in services(), name
            assert "profiles" not in services()[awaited], f"{name} would not start without a profile"


def test_every_file_and_volume_that_is_mounted_exists() -> None:
    for name, service in services().items():
        for source, target, *how in (mount.split(":") for mount in service.get("volumes", [])):
            assert target.startswith("/"), name
            if source.startswith("."):
                assert (DEPLOY / source).exists(), f"{name} mounts {source}"
                assert how == ["ro"], f"{name} cannot change {source}"
            else:
                assert source in compose()["volumes"], name


def test_each_service_has_the_folder_of_its_own_login_and_no_other() -> None:
    """What is mounted at /run/payproof, by service. `keys` alone writes, and sees all of it."""
    found = {name: _mounted(service, "/run/payproof") for name, service in services().items()}
    assert {name: sources for name, sources in found.items() if sources} == {
        **{name: [f"{folder}:ro"] for name, folder in LOGINS.items()},
        "migrate": ["owner:ro"],
        "logins": ["owner:ro"],
        "postgres": ["owner:ro"],
        "rabbitmq": ["broker:ro"],
        "sandbox": ["shop:ro"],
    }
    written = dict(mount.split(":") for mount in services()["keys"]["volumes"] if not mount.startswith("./"))
    folders = {"owner", "broker", "shop", *LOGINS.values()}
    assert written == {"keys": "/run/payproof/drawn"} | {name: f"/run/payproof/{name}" for name in folders}
    assert [name for name, service in services().items() if "keys:" in repr(service.get("volumes"))] == ["keys"]


def test_each_folder_holds_what_its_service_uses_and_no_more() -> None:
    with directory() as place:
        files = {path for path in drawn(place) if not path.startswith(("drawn/", "owner/", "broker/", "shop/"))}
    login = {"username", "password", "database-url"}
    held = {
        "ingress": {*login, "amqp-url", "contacts-key", "shop-api-key", "shop-webhook-secret"},
        "consume": {*login, "amqp-url", "archive-key"},
        "relay": {*login, "amqp-url"},
        "deliver": {*login, "shop-webhook-secret"},
        "reconcile": {*login, "archive-key"},
        "console": {*login, "archive-key", "contacts-key"},
    }
    assert files == {f"{folder}/{name}" for folder, names in held.items() for name in names}


def test_secrets_of_gateways_callbacks_and_endpoints_are_mounted_where_they_are_used() -> None:
    found = {
        name: {
            target
            for target in ("gateways", "ingress", "webhooks", "console")
            if _mounted(service, f"/etc/payproof/{target}")
        }
        for name, service in ours().items()
    }
    assert found == {
        "ingress": {"gateways", "ingress", "webhooks"},
        "consume": {"gateways"},
        "sweep": set(),
        "deliver": {"webhooks"},
        "reconcile": set(),
        "console": {"console"},
        "migrate": {"gateways"},  # reconciles, too
        "sandbox": set(),
    }
    assert all(
        _mounted(service, "/etc/payproof/payproof.toml") for name, service in ours().items() if name != "sandbox"
    )


def test_only_the_relay_writes_events_and_only_consume_makes_queues() -> None:
    with directory() as place:
        definitions = json.loads(drawn(place)["broker/definitions.json"])
    rights = {one["user"]: one for one in definitions["permissions"]}
    assert rights.keys() == {"payproof", "app_ingress", "app_consume", "app_relay"}
    assert {one["name"] for one in definitions["users"]} == rights.keys(), "there is no user guest"
    ours = {user: one for user, one in rights.items() if user != "payproof"}
    assert [user for user, one in ours.items() if re.fullmatch(one["write"], EVENTS)] == ["app_relay"]
    assert [user for user, one in ours.items() if re.fullmatch(one["configure"], EVENTS)] == ["app_consume"]
    assert [user for user, one in ours.items() if re.fullmatch(one["read"], DEAD)] == ["app_consume"]
    assert all(re.fullmatch(one["write"], CLAIMS) for one in ours.values()), "a probe is published there"


def test_every_image_is_pinned_by_a_tag() -> None:
    images = {service["image"] for name, service in services().items() if name not in ours() and name != "keys"}
    assert all(":" in image and not image.endswith(":latest") for image in images)


def test_keys_are_drawn_once_and_kept() -> None:
    with directory() as place:
        first = drawn(place)
        assert drawn(place) == first
        assert all(stat.S_IMODE(file.stat().st_mode) == 0o444 for file in place.rglob("*") if file.is_file())
    with directory() as place:
        other = drawn(place)
        assert first.keys() == other.keys()
        names = {path for path in first if path.endswith("/username")}
        assert not {first[path] for path in first.keys() - names} & {other[path] for path in other.keys() - names}


def test_what_an_older_installation_has_drawn_is_kept() -> None:
    """The volume of the keys is the one that it was, and holds the archive's key."""
    with directory() as place:
        (place / "drawn").mkdir()
        (place / "drawn" / "archive-key").write_text("older")
        files = drawn(place)
    assert (files["consume/archive-key"], files["owner/archive-key"]) == ("older", "older")


def test_the_engines_are_reached_by_their_services_names_with_what_was_drawn() -> None:
    with directory() as place:
        keys = drawn(place)
    users = {"owner": "payproof"} | {folder: f"app_{folder}" for folder in LOGINS.values()}
    for folder, user in users.items():
        for name, engine, port in (("database-url", "postgres", 5432), ("amqp-url", "rabbitmq", 5672)):
            if (written := keys.get(f"{folder}/{name}")) is None:
                assert name == "amqp-url"
                assert folder in BROKERLESS
                continue
            url = urlsplit(written)
            assert (url.hostname, url.port, url.username) == (engine, port, user)
            if folder != "owner":
                assert url.password == keys[f"{folder}/password"]
    passwords = [keys[f"{folder}/password"] for folder in LOGINS.values()]
    assert len(set(passwords)) == len(passwords)


@pytest.mark.parametrize("service", [*LOGINS, "migrate"])
def test_the_configuration_of_the_sandbox_is_a_good_one_in_the_box_of_each_service(service: str) -> None:
    config = configured(service)
    assert config.settings.database_url is not None
    assert (config.settings.amqp_url is None) == (service in ("deliver", "reconcile", "console"))
    assert config.settings.config_path.name == "payproof.toml"
    assert {urlsplit(account.provider.base_url).hostname for account in config.accounts} == {"sandbox"}


def configured(name: str) -> Config:
    """The configuration of a service: the image's environment, its own, the mounted file and its own secrets."""
    with directory() as place:
        drawn(place)
        folder = place / LOGINS.get(name, "owner")
        toml = (DEPLOY / "sandbox" / "payproof.toml").read_text().replace("/run/payproof", str(folder))
        (place / "payproof.toml").write_text(toml)
        environment = image().environment | services()[name]["environment"]
        for there, here in {"/run/payproof": str(folder), "/etc/payproof": str(place)}.items():
            environment = {variable: value.replace(there, here) for variable, value in environment.items()}
        return load(environment, roles=serving().get(name, ()))


def _mounted(service: Document, target: str) -> list[str]:
    """What this service mounts there, with how."""
    mounts = [mount.split(":") for mount in service.get("volumes", [])]
    return [":".join([source, *how]) for source, place, *how in mounts if place == target]


def test_prometheus_asks_every_role_and_is_asked_by_grafana() -> None:
    (config,) = documents(DEPLOY / "prometheus" / "prometheus.yml")
    (job,) = [job for job in config["scrape_configs"] if job["job_name"] == "payproof"]
    (discovery,) = job["dns_sd_configs"]
    assert sorted(discovery["names"]) == sorted(serving())
    assert image().environment["PAYPROOF_OPS_LISTEN"].endswith(f":{discovery['port']}")
    assert config["rule_files"] == ["rules.yaml"]
    (sources,) = documents(DEPLOY / "grafana/provisioning/datasources/prometheus.yaml")
    assert [source["url"] for source in sources["datasources"]] == ["http://prometheus:9090"]
    (boards,) = documents(DEPLOY / "grafana/provisioning/dashboards/payproof.yaml")
    mounted = [mount.split(":")[:2] for mount in services()["grafana"]["volumes"]]
    assert ["./grafana/dashboards", boards["providers"][0]["options"]["path"]] in mounted


def _seconds(duration: str) -> int:
    assert duration.endswith("s")
    return int(duration.removesuffix("s"))
