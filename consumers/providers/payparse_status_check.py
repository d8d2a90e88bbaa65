"""The `status_check` of a PayParse account: its status API, which PayParse does not document."""

from __future__ import annotations

import re
from typing import Literal

from consumers.providers import kit


class StatusCheck(kit.StatusTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table of its replies, and `path` after `base_url`, in which `{session_id}` and `{reference}` are replaced."""

    method: Literal["GET", "POST"] = "GET"
    path: str

    def errors(self) -> list[kit.FieldError]:
        wrong = []
        if not self.path.startswith("/"):
            wrong.append(kit.FieldError(field="path", message="begins with /"))
        placeholders = set(re.findall(r"\{[^}]*\}", self.path))
        if not placeholders or not placeholders <= {"{session_id}", "{reference}"}:
            wrong.append(
                kit.FieldError(field="path", message="holds {session_id} or {reference}, and nothing else in braces")
            )
        return wrong + kit.StatusTable.errors(self)
