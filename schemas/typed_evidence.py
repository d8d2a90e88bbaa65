"""Evidence of a decision, as a person types it: it cannot pass for a file that payproof keeps."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from schemas.fields import Text
from schemas.wire import Unreadable

FILE_NAMED = "file SHA-256"
"""By these words the evidence of a decision names a file that payproof keeps."""


class TypedEvidence(Text, frozen=True, kw_only=True):
    """Evidence as a person types it: it names no file by FILE_NAMED, however that is written."""

    def read(self, value: Any) -> str:
        text = super().read(value)
        plain = re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", text).casefold())
        if re.sub(r"\W", "", FILE_NAMED.casefold()) in plain:
            raise Unreadable(f"must not hold `{FILE_NAMED}`: payproof writes that for a file that it keeps")
        return text
