"""Which pods may connect to which in `deploy/kubernetes`: strangers, monitoring, the engines and the gateways."""

from __future__ import annotations

from tests.deployment import Document, image, kustomization
from tests.integration.cluster import containers, of_kind, selects
from worker.process import ROLES


def test_strangers_reach_the_callbacks_and_the_schema_and_nothing_else() -> None:
    (ingress,) = of_kind("Ingress")
    (service,) = [one for one in of_kind("Service") if one["metadata"]["name"] == "payproof-ingress"]
    (rule,) = ingress["spec"]["rules"]
    assert [path["path"] for path in rule["http"]["paths"]] == ["/return", "/webhooks", "/ipn", "/schemas"]
    for path in rule["http"]["paths"]:
        assert path["backend"] == {"service": {"name": service["metadata"]["name"], "port": {"name": "http"}}}
    (settings,) = [g for g in kustomization()["configMapGenerator"] if "literals" in g]
    assert f"PAYPROOF_PUBLIC_URL=https://{rule['host']}" in settings["literals"]
    assert ingress["spec"]["tls"][0]["hosts"] == [rule["host"]]


def test_all_is_closed_to_every_pod_of_ours_before_anything_is_opened() -> None:
    closed = [
        policy["spec"] for policy in of_kind("NetworkPolicy") if not {"ingress", "egress"} & policy["spec"].keys()
    ]
    (spec,) = closed
    assert sorted(spec["policyTypes"]) == ["Egress", "Ingress"]
    assert all(selects(spec["podSelector"], role) for role in ROLES)


def test_pods_are_reached_on_the_ops_port_and_ingress_on_the_public_one_too() -> None:
    names = ("PAYPROOF_LISTEN", "PAYPROOF_CONSOLE_LISTEN", "PAYPROOF_OPS_LISTEN")
    public_port, console_port, ops_port = (int(image().environment[name].rpartition(":")[2]) for name in names)
    own = {"ingress": {public_port}, "console": {console_port}}
    opened: dict[str, set[int]] = {role: set() for role in ROLES}
    for policy in of_kind("NetworkPolicy"):
        for role in ROLES:
            if selects(policy["spec"]["podSelector"], role):
                opened[role] |= _ports(policy, "ingress")
    assert opened == {role: {ops_port} | own.get(role, set()) for role in ROLES}


def test_pods_reach_the_engines_the_dns_and_gateways_over_tls() -> None:
    opened: dict[str, set[int]] = {role: set() for role in ROLES}
    for policy in of_kind("NetworkPolicy"):
        for role in ROLES:
            if selects(policy["spec"]["podSelector"], role):
                opened[role] |= _ports(policy, "egress")
    callers = {"ingress", "consume", "deliver"}
    assert opened == {role: {53, 5432, 5671} | ({443} if role in callers else set()) for role in ROLES}


def test_every_role_is_scraped_and_says_which_it_is() -> None:
    monitors = [monitor["spec"] for monitor in of_kind("PodMonitor")]
    for role in ROLES:
        (monitor,) = [spec for spec in monitors if selects(spec["selector"], role)]
        (endpoint,) = monitor["podMetricsEndpoints"]
        assert endpoint["port"] in {port["name"] for port in containers()[role]["ports"]}
        assert "role" in {relabeling["targetLabel"] for relabeling in endpoint["relabelings"]}


def _ports(policy: Document, way: str) -> set[int]:
    """The ports that a policy opens in this direction."""
    return {port["port"] for rule in policy["spec"].get(way, []) for port in rule.get("ports", [])}
