"""The user that the embedded server runs as: PostgreSQL refuses to run as root, so root gives it a user of its own.

The rights of directories above ours are never changed. If that user cannot pass through a parent (a checkout under
`/root`), the server gets the one capability to do so. If it cannot get that, EmbeddedError is raised.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from pathlib import Path

from msgspec import Struct

USER = "payproof"
FALLBACK_USER = "nobody"
USERADD_BUSY = (1, 9, 10)
USERADD_TRIES = 50
CAPABILITIES = {"dac_read_search": 2, "dac_override": 1}
"""Each lets a process pass through directories that are closed to its user; the first grants less."""


NOT_AS_ROOT = (
    f"make a user for it (useradd --system {USER}), give it PAYPROOF_DATA_DIR (chown -R) and start payproof as that "
    "user; or set PAYPROOF_DATABASE_URL"
)
"""Advice for a process of root. PostgreSQL gets a user of its own, but requests are still read with root's rights."""


class EmbeddedError(RuntimeError):
    """The embedded PostgreSQL cannot run. The message is a sentence for the person who started payproof."""


class Identity(Struct, frozen=True, kw_only=True):
    """A user to run PostgreSQL's programs as; `uid` None is the present user. `capability` is granted to them."""

    uid: int | None = None
    gid: int | None = None
    capability: str | None = None

    def run(self, *command: str | Path, seconds: float) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, without a shell, in a session of its own. `stdout` has its errors too.

        Raises EmbeddedError if it takes longer than `seconds` or cannot be started. A failing command raises nothing.
        """
        words = [*self._through_setpriv(), *(str(word) for word in command)]
        direct = self.uid is not None and self.capability is None
        try:
            return subprocess.run(  # noqa: S603 - fixed programs and paths of ours, no shell
                words,
                user=self.uid if direct else None,
                group=self.gid if direct else None,
                extra_groups=[] if direct else None,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
                timeout=seconds,
                cwd="/",
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            raise EmbeddedError(f"{Path(command[0]).name} did not end within {seconds:g} s") from None
        except OSError as error:
            raise EmbeddedError(f"{Path(command[0]).name} cannot be started: {error.strerror}") from None

    def reaches(self, *paths: Path) -> bool:
        """Whether this user can read all of these."""
        return all(self.run("/bin/sh", "-c", 'test -r "$1"', "sh", path, seconds=10).returncode == 0 for path in paths)

    def own(self, path: Path) -> None:
        """Make this user the owner of a file or directory of ours."""
        if self.uid is not None:
            os.chown(path, self.uid, -1 if self.gid is None else self.gid, follow_symlinks=False)

    def _through_setpriv(self) -> list[str]:
        if self.capability is None:
            return []
        grant = f"+{self.capability}"
        who = ["--reuid", str(self.uid), "--regid", str(self.gid), "--clear-groups", "--no-new-privs"]
        # Without no_setuid_fixup, access(2) ignores the capability, and PostgreSQL checks its own programs with it.
        return ["setpriv", *who, "--securebits", "+no_setuid_fixup", "--inh-caps", grant, "--ambient-caps", grant]


def is_root() -> bool:
    return os.geteuid() == 0


def identity_for(cluster: Path, *, programs: Path) -> Identity:
    """Choose the user of the server of `cluster`: the present user, or, for root, the cluster's owner or a system user.

    The parent of `cluster` exists. If it holds only our lock files, its owner is changed to that user. Raises
    EmbeddedError if that user cannot reach the cluster or the `programs`.
    """
    if not is_root():
        return Identity()
    uid, gid = _owner(cluster)
    plain = Identity(uid=uid, gid=gid)
    if not cluster.exists() and all(entry.name.startswith("postgres.") for entry in cluster.parent.iterdir()):
        plain.own(cluster.parent)
    needed = (programs, cluster if cluster.exists() else cluster.parent)
    if plain.reaches(*needed):
        return plain
    if shutil.which("setpriv"):
        for name, bit in CAPABILITIES.items():
            helped = Identity(uid=uid, gid=gid, capability=name)
            if _permitted(bit) and helped.reaches(*needed):
                return helped
    raise EmbeddedError(
        f"PostgreSQL runs as the user {_name(uid)} because root may not run it, and that user cannot pass through "
        f"{_closed_parent(plain, needed)}; put the checkout and PAYPROOF_DATA_DIR where other users may pass, "
        "start payproof as another user, or set PAYPROOF_DATABASE_URL"
    )


def _owner(cluster: Path) -> tuple[int, int]:
    if cluster.exists() and (found := cluster.stat()).st_uid != 0:
        return found.st_uid, found.st_gid
    for name in (USER, FALLBACK_USER):
        entry = _entry(name) or (_create(name) if name == USER else None)
        if entry is not None and entry.pw_uid != 0:
            return entry.pw_uid, entry.pw_gid
    raise EmbeddedError(f"root may not run PostgreSQL, and no user {USER} exists or can be created")


def _create(name: str) -> pwd.struct_passwd | None:
    """Create a system user; None if that fails. Tries again while `useradd` of another process is at work."""
    useradd = shutil.which("useradd") or "/usr/sbin/useradd"
    flags = ("--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent")
    for _ in range(USERADD_TRIES):
        if not Path(useradd).exists():
            break
        done = Identity().run(useradd, *flags, "--shell", "/usr/sbin/nologin", name, seconds=30)
        entry = _entry(name)
        if entry is not None or done.returncode not in USERADD_BUSY:
            return entry
        time.sleep(0.1)
    return _entry(name)


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _permitted(bit: int) -> bool:
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return any(int(line.split()[1], 16) >> bit & 1 for line in lines if line.startswith("CapPrm:"))


def _closed_parent(identity: Identity, paths: tuple[Path, ...]) -> Path:
    for path in paths:
        for parent in (*reversed(path.parents), path):
            if identity.run("/bin/sh", "-c", 'test -x "$1"', "sh", parent, seconds=10).returncode != 0:
                return parent
    return paths[0]
