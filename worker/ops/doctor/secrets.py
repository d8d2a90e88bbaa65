"""Secrets and personal data, as the configuration leaves them, and who reads what strangers send.

The one thing to get wrong: printing one. A finding names the place of a secret and never what stands there.
"""

from __future__ import annotations

from collections.abc import Iterator

from worker.config import Config
from worker.ops.doctor.finding import Finding
from worker.postgres.server.identity import NOT_AS_ROOT, is_root


def secrets(config: Config) -> Iterator[Finding]:
    for path in config.literal_secrets:
        if ".api_keys[" in path:
            to_do = (
                "payproof key makes a new one and prints its hash; of this one, printf %s KEY | sha256sum after sha256:"
            )
        else:
            to_do = "env:NAME or file:PATH keeps it out"
        yield Finding("!!", path, "stands in the file itself", to_do)
    if not config.archive.keys:
        words = "callbacks are stored as received, with what they tell of buyers, and without encryption"
        to_do = 'payproof key --archive prints a key; set [archive] keys = ["env:PAYPROOF_ARCHIVE_KEY"]'
        yield Finding("!!", "archive.keys", words, to_do)
    if config.settings.database_url is None and is_root():
        words = "the embedded PostgreSQL runs as a user lent to it, but payproof itself runs as root"
        yield Finding("!!", "user", words, NOT_AS_ROOT)
