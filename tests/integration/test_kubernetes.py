"""`deploy/kubernetes`: Kubernetes' own schemas, and payproof's own rules. Nothing here contacts a cluster."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jsonschema
import kubernetes_validate
import pytest
import yaml

from consumers.timing import TIMING
from tests.deployment import DEPLOY, KUBERNETES, Document, image, kustomization, manifests, settings_read
from tests.integration.cluster import containers, deployments, labels, of_kind, pods, selects, toml
from tests.integration.custom_resources import SPECS
from worker.amqp.topology import claims_queue
from worker.config import ConfigError, load
from worker.ops.doctor.transport import broker_transport
from worker.process import HTTP_DRAIN_SECONDS, ROLES

OLDEST, NEWEST = "1.30.0", kubernetes_validate.latest_version()
"""Between these lie all supported versions; the manifests use only fields that all of them have."""

OWNERS = {"name": "payproof-database-app", "key": "uri"}
"""Made by CloudNativePG, with the login of the owner of the tables."""

LOGINS = (*ROLES, "keda")
BROKERLESS = {"deliver", "reconcile", "console"}
GROUPS = {
    "ingress": ["payproof_ingress"],
    "console": ["payproof_console"],
    "reconcile": ["payproof_ingress", "payproof_worker"],
}
"""The groups of database users that a role's login is in; every other role's is in the group of workers."""


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
        memory = container["resources"]["limits"]["memory"]
        assert memory == ("512Mi" if role in ("reconcile", "console") else "256Mi"), role
        container["resources"] = container["resources"]["requests"]
        container["env"] = [one for one in container["env"] if one["name"] != "PAYPROOF_AMQP_URL"]
        text = repr(pod | {"containers": [container]})
        alike.append(text.replace(repr(labels(role)), "labels").replace(f"'payproof-{role}'", "its own"))
    assert len(set(alike)) == 1
    brokers = {role for role, container in containers().items() if "PAYPROOF_AMQP_URL" in repr(container["env"])}
    assert brokers == set(ROLES) - BROKERLESS


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
    found = {
        service["metadata"]["name"]: [
            role for role in ROLES if selects({"matchLabels": service["spec"]["selector"]}, role)
        ]
        for service in of_kind("Service")
    }
    assert found == {"payproof-ingress": ["ingress"], "payproof-console": ["console"]}


def test_a_disruption_may_take_one_pod_of_a_role_at_a_time() -> None:
    budgets = {
        budget["metadata"]["name"]: budget["spec"]["maxUnavailable"] for budget in of_kind("PodDisruptionBudget")
    }
    assert budgets == {f"payproof-{role}": 1 for role in ROLES}


def test_no_pod_can_become_root_or_write_or_talk_to_the_cluster() -> None:
    for role, pod in (pods() | {"migrate": migrating()}).items():
        user, _, group = image().all("USER")[0].partition(":")
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True, role
        assert (security["runAsUser"], security["runAsGroup"]) == (int(user), int(group))
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False, "it would set variables that begin with PAYPROOF_"
        assert "initContainers" not in pod
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"].keys() == {"requests", "limits"}
            assert "memory" in container["resources"]["limits"]
            assert all(mount["readOnly"] for mount in container["volumeMounts"])


def test_only_the_job_that_migrates_is_the_owner_of_the_tables() -> None:
    (container,) = migrating()["containers"]
    assert container["args"] == ["migrate"]
    assert container["env"] == [{"name": "PAYPROOF_DATABASE_URL", "valueFrom": {"secretKeyRef": OWNERS}}]
    assert [m["metadata"]["name"] for m in manifests() if OWNERS["name"] in repr(m)] == ["payproof-migrate"]
    steps = (DEPLOY / "deploying.md").read_text()
    assert "delete job payproof-migrate --ignore-not-found" in steps, "a Job cannot be changed"


def test_ports_are_the_images_and_only_ingress_has_the_public_one() -> None:
    names = ("PAYPROOF_LISTEN", "PAYPROOF_CONSOLE_LISTEN", "PAYPROOF_OPS_LISTEN")
    public_port, console_port, ops_port = (int(image().environment[name].rpartition(":")[2]) for name in names)
    own = {"ingress": public_port, "console": console_port}
    for role, container in containers().items():
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert ports == {"ops": ops_port} | ({"http": own[role]} if role in own else {})
    for service in of_kind("Service"):
        port = own[service["metadata"]["name"].removeprefix("payproof-")]
        assert service["spec"]["ports"] == [{"name": "http", "port": port, "targetPort": "http"}]


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
        assert {variable["name"] for variable in container["env"]} <= settings_read()
    assert named == {"PAYPROOF_PUBLIC_URL", "PAYPROOF_TRUSTED_PROXIES", "PGSSLMODE", "PGSSLROOTCERT"}
    assert "PAYPROOF_PUBLIC_URL" in settings_read()


def test_every_deployment_has_the_secret_of_its_name_and_no_other() -> None:
    for role, pod in pods().items():
        mounted = [volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume]
        named = {variable["valueFrom"]["secretKeyRef"]["name"] for variable in pod["containers"][0]["env"]}
        assert (mounted, named) == ([f"payproof-{role}"], {f"payproof-{role}"})
        authorities = [one["secret"] for v in pod["volumes"] for one in v.get("projected", {}).get("sources", [])]
        assert all([item["key"] for item in one["items"]] == ["ca.crt"] for one in authorities), "and no private key"
    (authentication,) = of_kind("TriggerAuthentication")
    refs = {(t["name"], t["key"]) for t in authentication["spec"]["secretTargetRef"]}
    assert refs == {("payproof-keda", "amqp-url"), ("payproof-keda", "tls"), ("payproof-rabbitmq-tls", "ca.crt")}
    (ingress,) = of_kind("Ingress")
    assert "cert-manager.io/cluster-issuer" in ingress["metadata"]["annotations"], "its certificate's secret is made"


def test_the_written_commands_make_every_key_that_is_used(tmp_path: Path) -> None:
    """Each role loads its configuration with the secret of its own deployment, and a role without a key does not."""
    keys = written_keys(tmp_path)
    for role, container in containers().items():
        for variable in container["env"]:
            assert (keys / role / variable["valueFrom"]["secretKeyRef"]["key"]).is_file()
        load(environment_of(role, tmp_path), roles=[role])
    assert {"amqp-url", "tls"} <= {file.name for file in (keys / "keda").iterdir()}
    for secret, role in (("archive-key", "ingress"), ("ipay-api-key", "deliver"), ("shop-api-key", "consume")):
        assert not (keys / role / secret).exists(), f"{role} was given {secret}"
    with pytest.raises(ConfigError):
        load(environment_of("deliver", tmp_path), roles=["consume"])
    steps = (DEPLOY / "deploying.md").read_text()
    assert f"for login in {' '.join(LOGINS)}; do" in steps
    assert "create secret generic payproof-$login --type=kubernetes.io/basic-auth --from-file=keys/$login" in steps
    assert "create secret generic payproof-broker --from-file=keys/broker" in steps


def test_both_engines_are_reached_by_verified_tls(tmp_path: Path) -> None:
    keys = written_keys(tmp_path)
    (settings,) = [g for g in kustomization()["configMapGenerator"] if "literals" in g]
    literals = dict(literal.split("=", 1) for literal in settings["literals"])
    assert (literals["PGSSLMODE"], literals["PGSSLROOTCERT"]) == ("verify-full", "/etc/payproof-ca/database.crt")
    (broker,) = of_kind("RabbitmqCluster")
    assert broker["spec"]["tls"] == {"secretName": "payproof-rabbitmq-tls", "disableNonTLSListeners": True}
    (certificate,) = [c["spec"] for c in of_kind("Certificate") if c["spec"]["secretName"] == "payproof-rabbitmq-tls"]
    for role, pod in pods().items():
        (mount,) = [m["mountPath"] for m in pod["containers"][0]["volumeMounts"] if m["name"] == "authorities"]
        paths = {
            f"{mount}/{item['path']}": source["secret"]["name"]
            for volume in pod["volumes"]
            for source in volume.get("projected", {}).get("sources", [])
            for item in source["secret"]["items"]
        }
        assert paths[literals["PGSSLROOTCERT"]] == "payproof-database-ca"
        if role in BROKERLESS:
            continue
        found = broker_transport(url := (keys / role / "amqp-url").read_text())
        assert (found.host in certificate["dnsNames"], found.verified, found.protocol) == (True, True, "TLS")
        assert paths[parse_qs(urlsplit(url).query)["cafile"][0]] == "payproof-rabbitmq-tls"


def test_the_databases_users_are_the_deployments_each_in_its_groups() -> None:
    (cluster,) = of_kind("Cluster")
    managed = cluster["spec"]["managed"]["roles"]
    assert {role["name"]: (role["passwordSecret"]["name"], role["inRoles"]) for role in managed} == {
        f"app_{role}": (f"payproof-{role}", GROUPS.get(role, ["payproof_worker"])) for role in ROLES
    }
    assert all((role["ensure"], role["login"]) == ("present", True) for role in managed)


def test_the_brokers_users_come_from_the_definitions_that_are_drawn() -> None:
    (broker,) = of_kind("RabbitmqCluster")
    pod = broker["spec"]["override"]["statefulSet"]["spec"]["template"]["spec"]
    (mount,) = pod["containers"][0]["volumeMounts"]
    (volume,) = pod["volumes"]
    assert (volume["name"], volume["secret"]["secretName"]) == (mount["name"], "payproof-broker")
    assert f"load_definitions = {mount['mountPath']}/definitions.json" in broker["spec"]["rabbitmq"]["additionalConfig"]


def migrating() -> Document:
    """The pod of the Job that migrates."""
    (job,) = of_kind("Job")
    found: Document = job["spec"]["template"]["spec"]
    return found


def written_keys(place: Path) -> Path:
    """The folder of keys that the commands of deploying.md make, run as they are written; each empty file is filled."""
    steps = (DEPLOY / "deploying.md").read_text()
    commands = steps[
        steps.index("mkdir -m 0700 keys") : steps.index("kubectl apply -f deploy/kubernetes/namespace.yaml")
    ]
    touched = re.sub(r"(?m)^touch ([^#\n]+).*$", r"for file in \1; do echo secret >$file; done", commands)
    script = touched.replace("deploy/keys.sh", str(DEPLOY / "keys.sh"))
    subprocess.run(["sh", "-eu", "-c", script], cwd=place, check=True, timeout=60)
    return place / "keys"


def environment_of(role: str, place: Path) -> dict[str, str]:
    """The variables of a deployment, with its files where `written_keys` made them."""
    toml = (KUBERNETES / "payproof.toml").read_text().replace("/etc/payproof-keys", str(place / "keys" / role))
    (place / "payproof.toml").write_text(toml)
    return {"PAYPROOF_CONFIG": str(place / "payproof.toml")}


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
