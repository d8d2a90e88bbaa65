"""What our manifests may say of other projects' resources: a hand-kept part of their definitions, as of summer 2026.

It is not their full schema. It holds the fields that `deploy/kubernetes` uses, with their types, and refuses every
other field, so that a misspelt field is caught. Only the operators know which values are valid.
"""

from __future__ import annotations

from typing import Any, Final

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string", "minLength": 1}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
FLAG: Final[Schema] = {"type": "boolean"}
WORDS: Final[Schema] = {"type": "object", "additionalProperties": {"type": "string"}}
SIZE: Final[Schema] = {"type": "string", "pattern": r"^\d+(Mi|Gi)$"}
DURATION: Final[Schema] = {"type": "string", "pattern": r"^\d+s$"}


def table(*required: str, **fields: Schema) -> Schema:
    """An object of these fields and no others."""
    return {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}


def rows(of: Schema) -> Schema:
    return {"type": "array", "items": of, "minItems": 1}


RESOURCES = table("requests", "limits", requests=WORDS, limits=WORDS)
LABELS = table("matchLabels", matchLabels=WORDS)
RELABELING = table("targetLabel", sourceLabels=rows(TEXT), targetLabel=TEXT, replacement=TEXT)

MOUNTS = rows(
    table("name", name=TEXT, volumeMounts=rows(table("name", "mountPath", name=TEXT, mountPath=TEXT, readOnly=FLAG)))
)
SECRETS = rows(table("name", name=TEXT, secret=table("secretName", secretName=TEXT)))

SPECS: Final[dict[tuple[str, str], Schema]] = {
    ("postgresql.cnpg.io/v1", "Cluster"): table(
        "instances",
        "storage",
        instances=COUNT,
        imageName=TEXT,
        bootstrap=table(
            "initdb",
            initdb=table(database=TEXT, owner=TEXT, dataChecksums=FLAG, encoding=TEXT, postInitSQL=rows(TEXT)),
        ),
        managed=table(
            "roles",
            roles=rows(
                table(
                    "name",
                    name=TEXT,
                    ensure={"enum": ["present", "absent"]},
                    login=FLAG,
                    inRoles=rows(TEXT),
                    passwordSecret=table("name", name=TEXT),
                )
            ),
        ),
        postgresql=table(
            synchronous=table("method", "number", method={"enum": ["any", "first"]}, number=COUNT), parameters=WORDS
        ),
        storage=table("size", size=SIZE),
        walStorage=table("size", size=SIZE),
        resources=RESOURCES,
        affinity=table(topologyKey=TEXT, podAntiAffinityType={"enum": ["preferred", "required"]}),
        monitoring=table(enablePodMonitor=FLAG),
    ),
    ("rabbitmq.com/v1beta1", "RabbitmqCluster"): table(
        replicas=COUNT,
        image=TEXT,
        persistence=table("storage", storage=SIZE),
        resources=RESOURCES,
        affinity=table(
            podAntiAffinity=table(
                requiredDuringSchedulingIgnoredDuringExecution=rows(
                    table("topologyKey", topologyKey=TEXT, labelSelector=LABELS)
                )
            )
        ),
        rabbitmq=table(additionalConfig=TEXT),
        tls=table(secretName=TEXT, disableNonTLSListeners=FLAG),
        override=table(
            statefulSet=table(spec=table(template=table(spec=table("containers", containers=MOUNTS, volumes=SECRETS))))
        ),
    ),
    ("cert-manager.io/v1", "Issuer"): {
        "anyOf": [table("selfSigned", selfSigned=table()), table("ca", ca=table("secretName", secretName=TEXT))]
    },
    ("cert-manager.io/v1", "Certificate"): table(
        "secretName",
        "issuerRef",
        isCA=FLAG,
        commonName=TEXT,
        dnsNames=rows(TEXT),
        secretName=TEXT,
        duration={"type": "string", "pattern": r"^\d+h$"},
        privateKey=table(algorithm=TEXT, size=COUNT, rotationPolicy={"enum": ["Never", "Always"]}),
        issuerRef=table("name", name=TEXT, kind={"enum": ["Issuer", "ClusterIssuer"]}),
    ),
    ("keda.sh/v1alpha1", "ScaledObject"): table(
        "scaleTargetRef",
        "triggers",
        scaleTargetRef=table("name", name=TEXT),
        minReplicaCount=COUNT,
        maxReplicaCount=COUNT,
        pollingInterval=COUNT,
        cooldownPeriod=COUNT,
        fallback=table("failureThreshold", "replicas", failureThreshold=COUNT, replicas=COUNT),
        triggers=rows(
            table("type", "metadata", type=TEXT, name=TEXT, metadata=WORDS, authenticationRef=table("name", name=TEXT))
        ),
    ),
    ("keda.sh/v1alpha1", "TriggerAuthentication"): table(
        secretTargetRef=rows(table("parameter", "name", "key", parameter=TEXT, name=TEXT, key=TEXT))
    ),
    ("monitoring.coreos.com/v1", "PodMonitor"): table(
        "selector",
        selector=LABELS,
        podMetricsEndpoints=rows(
            table(
                "port",
                port=TEXT,
                path=TEXT,
                honorLabels=FLAG,
                interval=DURATION,
                scrapeTimeout=DURATION,
                relabelings=rows(RELABELING),
            )
        ),
    ),
}
