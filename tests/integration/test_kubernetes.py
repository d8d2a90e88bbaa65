"""`deploy/kubernetes`: Kubernetes' own schemas, and payproof's own rules. Nothing here contacts a cluster."""

from __future__ import annotations

import re
import shutil
import subprocess

import jsonschema
import kubernetes_validate
import pytest
import yaml

from consumers.timing import TIMING
from tests.deployment import DEPLOY, KUBERNETES, image, kustomization, manifests, settings_read
from tests.integration.cluster import containers, deployments, labels, of_kind, pods, selects, toml
from tests.integration.custom_resources import SPECS
from worker.amqp.topology import claims_queue
from worker.process import HTTP_DRAIN_SECONDS, ROLES

OLDEST, NEWEST = "1.30.0", kubernetes_validate.latest_version()
"""Between these lie all supported versions; the manifests use only fields that all of them have."""

MADE_BY_OPERATORS = {
    ("payproof-database", "Cluster"): ("payproof-database-app", {"uri"}),
    ("payproof-rabbitmq", "RabbitmqCluster"): ("payproof-rabbitmq-default-user", {"connection_string"}),
}


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_object_fits_its_schema(version: str) -> None:
    for manifest in manifests():
        kind = (manifest["apiVersion"], manifest["kind"])
        if kind in SPECS:
            jsonschema.validate(manifest["spec"], SPECS[kind])
        else:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_every_file_is_listed_and_no_object_stands_there_twice() -> None:
    files = {file.name for file in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization()["resources"]) == files
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests()]
    assert len(names) == len(set(names))


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl to render with; the rest needs none")
def test_kubectl_renders_it() -> None:
    done = subprocess.run(["kubectl", "kustomize", KUBERNETES], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    rendered = list(yaml.safe_load_all(done.stdout))
    made = {(one["kind"], one["metadata"]["name"]) for one in rendered if one["kind"] != "ConfigMap"}
    assert made == {(one["kind"], one["metadata"]["name"]) for one in manifests()}
    assert all(one["metadata"]["namespace"] == "payproof" for one in rendered if one["kind"] != "Namespace")
    (replaced,) = kustomization()["images"]
    used = {
        c["image"] for d in rendered if d["kind"] == "Deployment" for c in d["spec"]["template"]["spec"]["containers"]
    }
    assert used == {f"{replaced['newName']}:{replaced['newTag']}"}


def test_every_role_runs_in_one_deployment_of_its_name() -> None:
    assert {role: container["args"] for role, container in containers().items()} == {
        role: ["serve", "--roles", role] for role in ROLES
    }
    assert {deployment["metadata"]["name"] for deployment in of_kind("Deployment")} == {f"payproof-{r}" for r in ROLES}


def test_the_pods_of_all_roles_differ_in_nothing_but_what_is_meant() -> None:
    alike = []
    for role, pod in pods().items():
        container = {
            name: value
            for name, value in pod["containers"][0].items()
            if name not in ("args", "ports", "readinessProbe", "lifecycle")
        }
        text = repr(pod | {"containers": [container]})
        alike.append(text.replace(repr(labels(role)), "labels"))
    assert len(set(alike)) == 1


def test_selectors_find_the_pods_of_their_role_and_no_others() -> None:
    for role, deployment in deployments().items():
        assert selects(deployment["spec"]["selector"], role)
        spread = pods()[role]["topologySpreadConstraints"]
        selectors = [deployment["spec"]["selector"], *(constraint["labelSelector"] for constraint in spread)]
        selectors += [
            b["spec"]["selector"] for b in of_kind("PodDisruptionBudget") if b["metadata"]["name"].endswith(role)
        ]
        assert len(selectors) == 4, role
        assert all([other for other in ROLES if selects(selector, other)] == [role] for selector in selectors)
    (service,) = of_kind("Service")
    assert [role for role in ROLES if selects({"matchLabels": service["spec"]["selector"]}, role)] == ["ingress"]


def test_a_disruption_may_take_one_pod_of_a_role_at_a_time() -> None:
    budgets = {
        budget["metadata"]["name"]: budget["spec"]["maxUnavailable"] for budget in of_kind("PodDisruptionBudget")
    }
    assert budgets == {f"payproof-{role}": 1 for role in ROLES}


def test_no_pod_can_become_root_or_write_or_talk_to_the_cluster() -> None:
    for role, pod in pods().items():
        user, _, group = image().all("USER")[0].partition(":")
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True, role
        assert (security["runAsUser"], security["runAsGroup"]) == (int(user), int(group))
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False, "it would set variables that begin with PAYPROOF_"
        for container in (*pod["initContainers"], *pod["containers"]):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"].keys() == {"requests", "limits"}
            assert "memory" in container["resources"]["limits"]
            assert all(mount["readOnly"] for mount in container["volumeMounts"])


def test_the_schema_is_brought_up_to_date_before_a_role_starts() -> None:
    for pod in pods().values():
        (first,) = pod["initContainers"]
        assert first["args"] == ["migrate"]
        assert all(first[name] == pod["containers"][0][name] for name in ("image", "env", "envFrom", "volumeMounts"))


def test_ports_are_the_images_and_only_ingress_has_the_public_one() -> None:
    listen, ops = (image().environment[name] for name in ("PAYPROOF_LISTEN", "PAYPROOF_OPS_LISTEN"))
    public_port, ops_port = int(listen.rpartition(":")[2]), int(ops.rpartition(":")[2])
    for role, container in containers().items():
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert ports == ({"http": public_port, "ops": ops_port} if role == "ingress" else {"ops": ops_port})
    (service,) = of_kind("Service")
    assert service["spec"]["ports"] == [{"name": "http", "port": public_port, "targetPort": "http"}]


def test_probes_ask_the_ops_port_and_a_role_without_postgres_is_not_restarted() -> None:
    for role, container in containers().items():
        probes = {name: container[f"{name}Probe"] for name in ("startup", "liveness", "readiness")}
        assert {probe["httpGet"]["port"] for probe in probes.values()} == {"ops"}
        assert all(probe["timeoutSeconds"] for probe in probes.values())
        paths = {name: probe["httpGet"]["path"] for name, probe in probes.items()}
        ready = "/healthz" if role == "ingress" else "/readyz"
        assert paths == {"startup": "/healthz", "liveness": "/healthz", "readiness": ready}


def test_nobody_is_killed_who_still_drains() -> None:
    for role, pod in pods().items():
        hook = pod["containers"][0].get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["0"])
        lingers = int(re.findall(r"\d+", hook[-1])[0])
        drains = 2 * HTTP_DRAIN_SECONDS + TIMING.drain.total_seconds()
        assert pod["terminationGracePeriodSeconds"] > lingers + drains, role


def test_every_variable_is_one_that_payproof_reads() -> None:
    generated = {g["name"]: g for g in kustomization()["configMapGenerator"]}
    (settings,) = [g for g in generated.values() if "literals" in g]
    named = {literal.partition("=")[0] for literal in settings["literals"]}
    for container in containers().values():
        assert container["envFrom"] == [{"configMapRef": {"name": settings["name"]}}]
        assert named | {variable["name"] for variable in container["env"]} <= settings_read()
    assert {"PAYPROOF_PUBLIC_URL", "PAYPROOF_TRUSTED_PROXIES"} == named


def test_every_secret_is_made_by_an_operator_or_by_the_command_that_is_written_down() -> None:
    made = {secret: keys for (name, kind), (secret, keys) in MADE_BY_OPERATORS.items() if _exists(kind, name)}
    for container in containers().values():
        for variable in container["env"]:
            wanted = variable["valueFrom"]["secretKeyRef"]
            assert wanted["key"] in made[wanted["name"]]
    for authentication in of_kind("TriggerAuthentication"):
        assert all(t["key"] in made[t["name"]] for t in authentication["spec"]["secretTargetRef"])
    steps = (DEPLOY / "deploying.md").read_text()
    for pod in pods().values():
        (mounted,) = [volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume]
        assert f"create secret generic {mounted}" in steps
    (ingress,) = of_kind("Ingress")
    issued = "cert-manager.io/cluster-issuer" in ingress["metadata"]["annotations"]
    assert issued, "the certificate's secret is made by cert-manager"


def test_every_file_that_the_configuration_names_is_one_that_the_written_command_makes() -> None:
    (mount,) = {m["mountPath"] for c in containers().values() for m in c["volumeMounts"] if m["name"] == "keys"}
    named = re.findall(r'"file:([^"]+)"', (KUBERNETES / "payproof.toml").read_text())
    assert named
    steps = (DEPLOY / "deploying.md").read_text()
    for path in named:
        folder, _, file = path.rpartition("/")
        assert folder == mount
        assert f"keys/{file}" in steps, f"deploying.md does not say how {file} is made"


def test_the_configuration_is_where_the_image_looks_for_it() -> None:
    (generated,) = [g for g in kustomization()["configMapGenerator"] if "files" in g]
    for pod in pods().values():
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        (mount,) = [m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "configuration"]
        assert volumes["configuration"]["configMap"]["name"] == generated["name"]
        assert image().environment["PAYPROOF_CONFIG"] == f"{mount['mountPath']}/{generated['files'][0]}"


def test_consumers_scale_by_the_queue_of_every_gateway_there_is() -> None:
    (scaled,) = of_kind("ScaledObject")
    assert scaled["spec"]["scaleTargetRef"]["name"] == "payproof-consume"
    providers = {account["provider"] for merchant in toml()["merchants"] for account in merchant["accounts"]}
    queues = [trigger["metadata"]["queueName"] for trigger in scaled["spec"]["triggers"]]
    assert sorted(queues) == sorted(claims_queue(provider) for provider in providers)
    authentications = {one["metadata"]["name"] for one in of_kind("TriggerAuthentication")}
    assert {trigger["authenticationRef"]["name"] for trigger in scaled["spec"]["triggers"]} <= authentications


def test_an_autoscaler_and_an_apply_do_not_fight_over_how_many() -> None:
    targets = [
        scaler["spec"]["scaleTargetRef"]["name"]
        for scaler in (*of_kind("ScaledObject"), *of_kind("HorizontalPodAutoscaler"))
    ]
    assert sorted(targets) == ["payproof-consume", "payproof-ingress"]
    for deployment in of_kind("Deployment"):
        assert ("replicas" in deployment["spec"]) == (deployment["metadata"]["name"] not in targets)
    assert all(deployment["spec"].get("replicas", 2) >= 2 for deployment in of_kind("Deployment"))


def _exists(kind: str, name: str) -> bool:
    return name in {manifest["metadata"]["name"] for manifest in of_kind(kind)}
