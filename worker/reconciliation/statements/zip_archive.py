"""The zip archive that an XLSX workbook is, inflated within bounds.

The maker of an archive may declare false sizes. They are checked first, because that is cheap, and the bytes are
counted while inflating.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, LargeZipFile, ZipFile, ZipInfo

from worker.reconciliation.statements.tables import StatementError

LARGEST = 1 << 30
MOST_FILES = 10_000
# Sheets of equal rows shrink by a hundred, and no real sheet by more; deflate can shrink by a thousand.
STEEPEST, STEEP_FROM = 250, 16 << 20
_CHUNK = 1 << 16
_LOCAL_HEADER = 30


def check_workbook(path: Path) -> None:
    """Raise StatementError unless the archive is whole, a workbook, as large as it declares, and not too large."""
    files = entries(path)
    names = [one.filename for one in files]
    if len(set(names)) < len(names):
        raise StatementError("the workbook is damaged: its archive holds a file twice")
    if "xl/workbook.xml" not in names:
        raise StatementError(_what_else(names))
    declared, packed = sum(one.file_size for one in files), sum(one.compress_size for one in files)
    if declared > LARGEST:
        raise StatementError(f"the workbook declares {declared:,} bytes of content; at most {LARGEST:,} are read")
    if len(files) > MOST_FILES or (declared > STEEP_FROM and declared > STEEPEST * packed):
        raise StatementError(
            f"the workbook unpacks {packed:,} bytes into {declared:,}, as no statement does; it is not opened"
        )
    with path.open("rb") as file:
        for one in files:
            for _ in inflate(file, one):
                pass


def entries(path: Path) -> list[ZipInfo]:
    try:
        with ZipFile(path) as archive:
            return archive.infolist()
    except (BadZipFile, LargeZipFile, ValueError, EOFError, NotImplementedError):
        raise StatementError(
            "the workbook is cut off or damaged: its zip archive has no sound end; fetch it again"
        ) from None


def inflate(file: BinaryIO, entry: ZipInfo) -> Iterator[bytes]:
    """Yield the content of one file of the archive.

    Raises StatementError where it is damaged, protected by a password, or not of the size that it declares.
    """
    if entry.flag_bits & 1:
        raise StatementError("the workbook is protected by a password; save it without one")
    if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise StatementError("the workbook is packed in a way that spreadsheet programs do not use")
    damaged = StatementError(f"the workbook is cut off or damaged in {entry.filename[:60]!r}; fetch it again")
    file.seek(entry.header_offset)
    head = file.read(_LOCAL_HEADER)
    if len(head) < _LOCAL_HEADER or not head.startswith(b"PK\x03\x04"):
        raise damaged
    file.seek(int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little"), 1)
    left, size = entry.compress_size, 0
    unpacker = zlib.decompressobj(-15) if entry.compress_type == ZIP_DEFLATED else None
    while left:
        packed = file.read(min(_CHUNK, left))
        if not packed:
            raise damaged
        left -= len(packed)
        while packed:
            try:
                chunk = unpacker.decompress(packed, _CHUNK) if unpacker else packed
            except zlib.error:
                raise damaged from None
            packed = unpacker.unconsumed_tail if unpacker else b""
            size += len(chunk)
            if size > entry.file_size:
                raise StatementError(
                    f"the workbook declares {entry.file_size:,} bytes for {entry.filename[:60]!r} and holds more; "
                    "it is not opened"
                )
            yield chunk
    if size != entry.file_size:
        raise damaged


def _what_else(names: list[str]) -> str:
    if "xl/workbook.bin" in names:
        return "the file is a binary workbook (XLSB); save it as XLSX or CSV"
    if "content.xml" in names:
        return "the file is an OpenDocument file; save it as XLSX or CSV"
    if "word/document.xml" in names:
        return "the file is a Word document; export the statement as XLSX or CSV"
    return f"the file is a zip archive of {len(names)} files and no workbook; unpack it first"
