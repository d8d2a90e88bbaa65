"""What `payproof doctor` finds about the identity provider: that it answers, is the one that is meant, and has keys."""

from __future__ import annotations

from worker.config.oidc import Oidc
from worker.console.identity_provider import Provider, ProviderSilent
from worker.console.oidc_flow import CALLBACK
from worker.ops.doctor.findings import Finding

SUBJECT = "console.oidc.issuer"
_TO_DO = "write issuer exactly as in its /.well-known/openid-configuration, and let this machine reach it"


async def provider_findings(oidc: Oidc) -> list[Finding]:
    provider = Provider(oidc)
    try:
        await provider.discovery()
        keys = await provider.keys()
    except ProviderSilent as silent:
        return [Finding("no", SUBJECT, f"{oidc.host}: {silent}", _TO_DO)]
    words = f"{oidc.host} answers, with {len(keys.keys)} keys; it has to know the console's address with {CALLBACK}"
    return [Finding("ok", SUBJECT, words)]
