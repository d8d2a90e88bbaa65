"""Digests of images, asked of a real registry: for all platforms of a tag, and written into every file or none."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.deployment import DEPLOY
from tests.harness import free_ports
from tests.processes import directory

START_SECONDS = 60.0
IMAGES = ("python:3.13-slim-bookworm", "postgres:17-bookworm", "rabbitmq:4.1", "rabbitmq:4.1-management")
OTHERS = ("prom/prometheus:v3.5.0", "grafana/grafana:12.1.1", "cloudnative-pg/postgresql:17")
CONFIG = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {place}/images}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@contextmanager
def registry(place: Path) -> Iterator[str]:
    """A registry's host and port; the server is ended afterwards."""
    (port,) = free_ports(1)
    (place / "registry.yaml").write_text(CONFIG.format(place=place, port=port))
    with (place / "registry.log").open("wb") as log:
        server = subprocess.Popen(["docker-registry", "serve", place / "registry.yaml"], stdout=log, stderr=log)
        try:
            until = time.monotonic() + START_SECONDS
            while not _answers(port):
                assert server.poll() is None, (place / "registry.log").read_text()
                assert time.monotonic() < until, "the registry does not answer"
                time.sleep(0.05)
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(START_SECONDS)


def _answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/v2/", timeout=5) as answer:
            return bool(answer.status == 200)
    except URLError:
        return False


class Layout:
    """An image for two platforms as a directory of OCI files."""

    def __init__(self, place: Path, name: str) -> None:
        self.place = place
        (place / "blobs/sha256").mkdir(parents=True)
        (place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        index = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [
                self._manifest(name, platform) | {"platform": {"os": "linux", "architecture": platform}}
                for platform in ("amd64", "arm64")
            ],
        }
        described = self._blob(json.dumps(index).encode(), "application/vnd.oci.image.index.v1+json")
        self.digest = described["digest"]
        (place / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described]}))

    def _manifest(self, name: str, platform: str) -> dict[str, object]:
        settings = {
            "architecture": platform,
            "os": "linux",
            "config": {"Labels": {"name": name}},
            "rootfs": {"type": "layers", "diff_ids": []},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": self._blob(json.dumps(settings).encode(), "application/vnd.oci.image.config.v1+json"),
            "layers": [],
        }
        return self._blob(json.dumps(manifest).encode(), "application/vnd.oci.image.manifest.v1+json")

    def _blob(self, content: bytes, kind: str) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        (self.place / "blobs/sha256" / digest).write_bytes(content)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    with directory() as place, registry(place) as host:
        yield host


@pytest.fixture
def deploy(tmp_path: Path, host: str) -> Path:
    """A copy of the deployment files whose images are all in the registry of the test."""
    copy = tmp_path / "deploy"
    shutil.copytree(DEPLOY, copy, ignore=shutil.ignore_patterns("guide", "grafana", "subscribers"))
    for file in (copy / "Dockerfile", copy / "compose.yaml", *(copy / "kubernetes").glob("*.yaml")):
        text = re.sub(r"@sha256:[0-9a-f]{64}", "", file.read_text()).replace("ghcr.io/", "")
        for name in (*IMAGES, *OTHERS):
            text = re.sub(rf"(?<=[ ]){re.escape(name)}(?=\s)", f"{host}/{name}", text)
        file.write_text(text)
    return copy


def push(host: str, name: str, place: Path, *, says: str = "first") -> str:
    """Push an image of this name. Returns its digest, which depends on what the image says."""
    layout = Layout(place / name.replace("/", "_").replace(":", "_"), f"{name} {says}")
    words = ["skopeo", "--insecure-policy", "copy", "--all", "--dest-tls-verify=false"]
    done = subprocess.run(
        [*words, f"oci:{layout.place}", f"docker://{host}/{name}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return str(layout.digest)


def run(deploy: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, deploy / "pin_images.py", *words], capture_output=True, text=True, timeout=300, check=False
    )


def test_each_image_gets_the_digest_of_its_tag_for_every_platform(deploy: Path, host: str, tmp_path: Path) -> None:
    digests = {f"{host}/{name}": push(host, name, tmp_path) for name in (*IMAGES, *OTHERS)}
    assert run(deploy, "--check").returncode == 1
    done = run(deploy, "--insecure")
    assert done.returncode == 0, done.stderr
    written = b"\n".join(_texts(deploy).values()).decode()
    for name, digest in digests.items():
        assert f"{name}@{digest}" in written
    checked = run(deploy, "--check")
    assert (checked.returncode, checked.stdout) == (0, "")
    before = _texts(deploy)
    assert run(deploy, "--insecure").returncode == 0
    assert _texts(deploy) == before, "the same digests are written once"


def test_a_tag_that_moved_gets_its_new_digest(deploy: Path, host: str, tmp_path: Path) -> None:
    for name in (*IMAGES, *OTHERS):
        push(host, name, tmp_path)
    assert run(deploy, "--insecure").returncode == 0
    (tmp_path / "later").mkdir()
    moved = push(host, IMAGES[1], tmp_path / "later", says="moved")
    assert run(deploy, "--insecure").returncode == 0
    assert f"{host}/{IMAGES[1]}@{moved}" in (deploy / "compose.yaml").read_text()


def test_nothing_is_written_when_an_image_is_not_there(deploy: Path, host: str, tmp_path: Path) -> None:
    for name in (*IMAGES, *OTHERS[1:]):
        push(host, name, tmp_path)
    before = _texts(deploy)
    done = run(deploy, "--insecure")
    assert done.returncode == 2
    assert f"{host}/{OTHERS[0]}" in done.stderr
    assert "Traceback" not in done.stderr
    assert _texts(deploy) == before


def _texts(deploy: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in deploy.rglob("*") if file.is_file()}
