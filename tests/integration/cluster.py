"""`deploy/kubernetes` by role: each role's deployment, pod and container, and the pods that a selector finds."""

from __future__ import annotations

import tomllib

import asyncpg

from tests.deployment import KUBERNETES, Document, manifests


def of_kind(kind: str) -> list[Document]:
    return [manifest for manifest in manifests() if manifest["kind"] == kind]


def deployments() -> dict[str, Document]:
    """The deployments, by the role that each runs."""
    return {
        d["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]: d for d in of_kind("Deployment")
    }


def pods() -> dict[str, Document]:
    return {role: deployment["spec"]["template"]["spec"] for role, deployment in deployments().items()}


def containers() -> dict[str, Document]:
    """The container of each role's process."""
    return {role: pod["containers"][0] for role, pod in pods().items()}


def labels(role: str) -> Document:
    found: Document = deployments()[role]["spec"]["template"]["metadata"]["labels"]
    return found


def selects(selector: Document, role: str) -> bool:
    wanted = selector.get("matchLabels", {}).items()
    rules = selector.get("matchExpressions", [])
    assert all(rule["operator"] == "In" for rule in rules)
    return wanted <= labels(role).items() and all(labels(role).get(rule["key"]) in rule["values"] for rule in rules)


def toml() -> Document:
    return tomllib.loads((KUBERNETES / "payproof.toml").read_text())


async def make_shop_of_manifest(admin: asyncpg.Connection[asyncpg.Record]) -> None:
    """Make the database `shop` with the groups and users of the cluster's manifest. Its owner may create no role."""
    (cluster,) = [one["spec"] for one in of_kind("Cluster")]
    for statement in cluster["bootstrap"]["initdb"]["postInitSQL"]:
        await admin.execute(statement)
    for role in cluster["managed"]["roles"]:
        await admin.execute(f"CREATE ROLE {role['name']} LOGIN IN ROLE {', '.join(role['inRoles'])}")
    await admin.execute("CREATE ROLE tables_owner LOGIN")
    await admin.execute("CREATE DATABASE shop OWNER tables_owner")
