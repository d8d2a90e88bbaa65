"""The file that a proposal rests on, such as a page of a statement. It is encrypted as the archive is.

The proposal's evidence names the file's digest. So the resolution says which file it rests on, also when it is gone.
"""

from __future__ import annotations

from hashlib import sha256

import asyncpg
from msgspec import Struct
from msgspec.structs import replace

from consumers.commands.resolve import ResolutionRequest
from schemas.typed_evidence import FILE_NAMED
from worker.postgres.database import Connection, Reads
from worker.runtime.encryption import ArchiveCipher

MOST_BYTES = 2 * 1024 * 1024
MEDIA = {
    b"%PDF-": "application/pdf",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
}
"""The kinds of files that are taken, by how their bytes begin. What a browser calls a file is not believed."""

_SUFFIXES = {"application/pdf": "pdf", "image/png": "png", "image/jpeg": "jpg", "text/plain": "txt"}
_KEEP = """
    INSERT INTO evidence (proposal_id, name, media, size, digest, key_id, body) VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
_READ = "SELECT name, media, key_id, body FROM evidence WHERE proposal_id = $1"


class FileRefused(Exception):
    """The file is not kept. The message says why, in words."""


class EvidenceFile(Struct, frozen=True, kw_only=True):
    """A file and its name. `media` is what its bytes are."""

    name: str
    media: str
    body: bytes

    @property
    def digest(self) -> bytes:
        return sha256(self.body).digest()

    @property
    def suffix(self) -> str:
        """The end of a file's name of this kind."""
        return _SUFFIXES[self.media]

    def __repr__(self) -> str:
        return f"EvidenceFile({self.media}, {len(self.body)} bytes)"


def evidence_file(name: str, body: bytes) -> EvidenceFile:
    """A file that may be kept. Raises FileRefused where it is empty, too large or of no kind that is taken."""
    if not body:
        raise FileRefused("the file is empty")
    if len(body) > MOST_BYTES:
        raise FileRefused(f"the file is larger than {MOST_BYTES // 1024 // 1024} MiB")
    media = next((media for begins, media in MEDIA.items() if body.startswith(begins)), None) or _text(body)
    plain = "".join(sign for sign in name.replace("\\", "/").rpartition("/")[2] if sign.isprintable())[:200].strip()
    return EvidenceFile(name=plain or "file", media=media, body=body)


def with_digest(wanted: ResolutionRequest, file: EvidenceFile | None) -> ResolutionRequest:
    """The request whose evidence names the file by its digest."""
    if file is None:
        return wanted
    named = f"{FILE_NAMED} {file.digest.hex()}"
    return replace(wanted, evidence=f"{wanted.evidence}; {named}" if wanted.evidence else named)


async def keep_file(
    connection: Connection[asyncpg.Record], proposal_id: str, file: EvidenceFile, cipher: ArchiveCipher
) -> None:
    key_id, body = cipher.encrypt(proposal_id, file.body)
    await connection.execute(_KEEP, proposal_id, file.name, file.media, len(file.body), file.digest, key_id, body)


async def read_file(database: Reads, proposal_id: str, cipher: ArchiveCipher) -> EvidenceFile | None:
    """The file of a proposal; None where it has none. Raises NotDecrypted."""
    for row in await database.fetch(_READ, proposal_id):
        body = cipher.decrypt(proposal_id, row["key_id"], row["body"])
        return EvidenceFile(name=row["name"], media=row["media"], body=body)
    return None


async def has_file(database: Reads, proposal_id: str) -> bool:
    """Whether a file is kept with the proposal."""
    return bool(await database.fetch("SELECT FROM evidence WHERE proposal_id = $1", proposal_id))


def _text(body: bytes) -> str:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if any(sign < " " and sign not in "\t\r\n" for sign in text):
        raise FileRefused("the file must be a PDF, a PNG or JPEG picture, or UTF-8 text")
    return "text/plain"
