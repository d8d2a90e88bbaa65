#!/usr/bin/env python3
"""Writes the digest of each image that is deployed beside its tag, so that a tag that moves changes nothing.

    deploy/pin_images.py           asks each image's registry for the tag's present digest, and writes it
    deploy/pin_images.py --check   lists the images without a digest; exit code 1 where there are some

It needs only Python 3.11 and skopeo, which knows registries and their logins. An image for several platforms has one
digest for all. Payproof's own image is built, not fetched, and has none here.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

DEPLOY = Path(__file__).resolve().parent
DEADLINE_SECONDS = 120
OURS = "payproof"
IMAGE = re.compile(
    r"^(?P<before>(?:FROM|\s*(?:-\s+)?image(?:Name)?:)\s+)"
    r"(?P<name>[^\s@:]+(?::\d+/[^\s@:]+)?)(?::(?P<tag>[^\s@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
    r"(?P<after>[ \t].*)?$",
    flags=re.MULTILINE,
)


def files() -> list[Path]:
    """Every file that names an image."""
    return sorted([DEPLOY / "Dockerfile", DEPLOY / "compose.yaml", *(DEPLOY / "kubernetes").glob("*.yaml")])


def images(text: str) -> list[re.Match[str]]:
    """Where the text names an image that is fetched."""
    return [found for found in IMAGE.finditer(text) if found["name"].rpartition("/")[2] != OURS]


def digest(image: str, *options: str) -> str:
    """The registry's present digest of `NAME:TAG`. Raises RuntimeError with the registry's or skopeo's words."""
    command = ["skopeo", "inspect", "--no-tags", "--format", "{{.Digest}}", *options, f"docker://{image}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False)
    except FileNotFoundError:
        raise RuntimeError("skopeo is not installed (on Debian and Ubuntu: apt-get install skopeo)") from None
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{image}: the registry did not answer within {DEADLINE_SECONDS} s") from None
    if done.returncode:
        raise RuntimeError(f"{image}: {(done.stderr.strip().splitlines() or ['skopeo printed nothing'])[-1]}")
    return done.stdout.strip()


def main() -> int:
    words = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    words.add_argument("--check", action="store_true", help="only list the images without a digest")
    words.add_argument("--insecure", action="store_true", help="the registry speaks plain http")
    options = words.parse_args()
    if options.check:
        return check()
    try:
        pin(["--tls-verify=false"] if options.insecure else [])
    except RuntimeError as error:
        print(f"pin_images: {error}", file=sys.stderr)
        return 2
    return 0


def check() -> int:
    """Print the images without a digest. Returns the exit code."""
    missing = [
        f"{file.relative_to(DEPLOY.parent)}: {found['name']}:{found['tag'] or 'latest'}"
        for file in files()
        for found in images(file.read_text("utf-8"))
        if not found["digest"]
    ]
    for line in missing:
        print(f"{line} has no digest; deploy/pin_images.py writes it")
    return 1 if missing else 0


def pin(options: list[str]) -> None:
    """Ask for every digest, and only then write any. Raises RuntimeError."""
    texts = {file: file.read_text("utf-8") for file in files()}
    names = sorted({f"{found['name']}:{found['tag'] or 'latest'}" for text in texts.values() for found in images(text)})
    digests = {name: digest(name, *options) for name in names}
    for name in names:
        print(f"{name}@{digests[name]}")

    def pinned(found: re.Match[str]) -> str:
        name = f"{found['name']}:{found['tag'] or 'latest'}"
        if name not in digests:
            return found[0]
        return f"{found['before']}{name}@{digests[name]}{found['after'] or ''}"

    for file, text in texts.items():
        file.write_text(IMAGE.sub(pinned, text), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
