"""Opening a statement file: its kind is told from its first bytes.

Portals send web pages named .xls and workbooks named .csv, so the name of a file decides nothing.
"""

from __future__ import annotations

from pathlib import Path

from worker.reconciliation.statements.decoding import encoding_of
from worker.reconciliation.statements.separated import separated_tables
from worker.reconciliation.statements.tables import WHOLE_FILE, Bounds, StatementError, StatementFile
from worker.reconciliation.statements.workbook import workbook_tables

_HEAD_BYTES = 8192
_OTHERS = {
    b"%PDF-": "a PDF",
    b"\x1f\x8b": "compressed by gzip; unpack it first",
    b"Rar!": "a RAR archive; unpack it first",
    b"7z\xbc\xaf": "a 7-Zip archive; unpack it first",
    b"{\\rtf": "an RTF document",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
}
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_EXPORT = "export the statement as CSV or XLSX"


def open_statement(path: Path, bounds: Bounds = WHOLE_FILE) -> StatementFile:
    """The file's kind, and the tables that it may be read as. `bounds`: of a workbook. Raises StatementError."""
    try:
        if not path.is_file():
            raise StatementError("it is no file" if path.exists() else "there is no such file")
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        if head.startswith(_ZIP):
            return StatementFile(path=path, form="XLSX", tables=workbook_tables(path, form="XLSX", bounds=bounds))
        if head.startswith(_OLE):
            return StatementFile(path=path, form="XLS", tables=workbook_tables(path, form="XLS", bounds=bounds))
        _refuse_others(head)
        return StatementFile(path=path, form="CSV", tables=separated_tables(path))
    except OSError as error:
        raise StatementError(f"it cannot be read: {error.strerror}") from None


def _refuse_others(head: bytes) -> None:
    for start, what in _OTHERS.items():
        if head.startswith(start):
            raise StatementError(f"the file is {what}" + ("" if "unpack" in what else f"; {_EXPORT}"))
    text = head.decode(encoding_of(head), "replace").lstrip("\ufeff \t\r\n")
    if not text:
        raise StatementError("the file is empty")
    if text.startswith("<"):
        what = "an XML document" if text[:5].lower() == "<?xml" and "<html" not in text.lower() else "a web page"
        raise StatementError(
            f"the file is {what}, whatever it is named; open it in a spreadsheet program and save it as XLSX or CSV"
        )
