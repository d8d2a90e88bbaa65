"""Debian's WordPress with MariaDB and PHP, in a directory and on a port of its own, with the gateway's plugin.

Stand-ins take the place of WooCommerce's classes: `tests/woocommerce/woocommerce.php`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.harness import free_ports
from tests.processes import directory
from worker.playground.demo.children import LOOK_SECONDS, STOP_SECONDS

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "deploy" / "woocommerce" / "payproof-gateway"
STAND_INS = ROOT / "tests" / "woocommerce"
PLAYING = (STAND_INS / "playing.php").read_text()
DEBIAN = Path("/usr/share/wordpress")
START_SECONDS = 120.0
PASSWORD = "only-for-this-test"
CONFIG = """<?php
define('DB_NAME', 'shop');
define('DB_USER', 'root');
define('DB_PASSWORD', '');
define('DB_HOST', 'localhost:%(socket)s');
define('DB_CHARSET', 'utf8mb4');
define('WP_HOME', '%(url)s');
define('WP_SITEURL', '%(url)s');
define('DISABLE_WP_CRON', true); // the tests call it
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('WP_ACCESSIBLE_HOSTS', '127.0.0.1');
define('AUTOMATIC_UPDATER_DISABLED', true);
define('WP_DEBUG', true);
define('WP_DEBUG_LOG', '%(log)s');
define('WP_DEBUG_DISPLAY', false);
define('AUTH_KEY', 'a');
define('SECURE_AUTH_KEY', 'b');
define('LOGGED_IN_KEY', 'c');
define('NONCE_KEY', 'd');
define('PAYPROOF_URL', '%(payproof)s');
define('PAYPROOF_API_KEY', '%(key)s');
define('PAYPROOF_WEBHOOK_SECRET', (string) getenv('SECRET'));
$table_prefix = 'wp_';
defined('ABSPATH') || define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
"""
INSTALL = f"""<?php
define('WP_INSTALLING', true);
function wp_new_blog_notification() {{}} // it would send a mail
require __DIR__ . '/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
wp_install('Shop', 'admin', 'admin@example.com', false, '', '{PASSWORD}');
"""
ACTIVATE = """<?php
require __DIR__ . '/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/plugin.php';
foreach (['woocommerce/woocommerce.php', 'payproof-gateway/payproof-gateway.php'] as $plugin) {
    $failed = activate_plugin($plugin);
    if (is_wp_error($failed)) { fwrite(STDERR, $failed->get_error_message()); exit(1); }
}
update_option('woocommerce_payproof_settings', ['enabled' => 'yes', 'title' => 'Pay', 'account' => 'shop-payparse']);
"""


class WordPress:
    """`url` is the site's address; a webhook goes to `hook`."""

    def __init__(self, place: Path) -> None:
        (port,) = free_ports(1)
        self.place, self.root = place, place / "site"
        self.url = f"http://127.0.0.1:{port}"
        self.hook = f"{self.url}/?rest_route=/payproof/v1/webhook"
        self.log = place / "php.log"
        self._listen = f"127.0.0.1:{port}"
        self._server: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self, payproof: str, key: str) -> Iterator[None]:
        """The database and an installed site. The server of pages is started by `start`."""
        with mariadb(self.place) as socket:
            self._install(payproof, key, socket)
            try:
                yield
            finally:
                self.stop()

    def start(self, secret: str) -> None:
        """Serve pages; `secret` is the webhook's as the site knows it."""
        with self.log.open("ab") as log:
            self._server = subprocess.Popen(
                ["php", "-S", self._listen, "-t", str(self.root)],
                env={**os.environ, "SECRET": secret, "PHP_CLI_SERVER_WORKERS": "4"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> None:
        """End the server and its workers, which are a group of their own."""
        if self._server is not None and self._server.poll() is None:
            os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait(STOP_SECONDS)

    def run(self, program: str, given: str = "") -> str:
        """Run PHP in the site, as a maintenance script. It is given this on its standard input."""
        script = self.root / "script.php"
        script.write_text(program)
        done = subprocess.run(
            ["php", str(script)],
            cwd=self.root,
            input=given,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
        script.unlink()
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def play(self, program: str, given: Any = None) -> Any:
        """What PHP returns that has the functions of `tests/woocommerce/playing.php`, and this value as `$given`."""
        begin = "$given = json_decode(file_get_contents('php://stdin'), true);"
        done = self.run(
            f"{PLAYING}\n{begin}\necho json_encode((function () use ($given) {{ {program} }})());", json.dumps(given)
        )
        return json.loads(done)

    async def call(self, method: str, route: str, **body: Any) -> Any:
        """One of the stand-ins' routes."""
        url = f"{self.url}/?rest_route=/standin/v1{route}"
        async with aiohttp.ClientSession() as http, http.request(method, url, json=body or None) as answered:
            assert answered.status == 200, await answered.text()
            return await answered.json()

    def _install(self, payproof: str, key: str, socket: Path) -> None:
        shutil.copytree(DEBIAN, self.root, symlinks=True)
        plugins = self.root / "wp-content" / "plugins"
        shutil.copytree(PLUGIN, plugins / PLUGIN.name)
        shutil.copytree(STAND_INS, plugins / "woocommerce")
        told = {"socket": socket, "url": self.url, "log": self.place / "debug.log"}
        told |= {"payproof": payproof, "key": key}
        (self.root / "wp-config.php").write_text(CONFIG % told)
        self.run(INSTALL)
        self.run(ACTIVATE)


@contextmanager
def wordpress_alone() -> Iterator[WordPress]:
    """An installed site for scripts. Its service is nowhere, unless a script answers for it."""
    with directory() as place:
        wordpress = WordPress(place)
        with wordpress.running("http://127.0.0.1:1", "k" * 30):
            yield wordpress


@contextmanager
def mariadb(place: Path) -> Iterator[Path]:
    """A server with an empty database `shop`. Yields its socket."""
    data, socket = place / "mysql", place / "mysql.sock"
    temporary = place / "mysql-temporary"  # a server that starts removes all temporary tables in its directory
    data.mkdir()
    temporary.mkdir()
    own = ["--no-defaults", f"--datadir={data}", f"--tmpdir={temporary}"]
    if os.geteuid() == 0:
        shutil.chown(data, "mysql")
        shutil.chown(temporary, "mysql")
        place.chmod(0o777)  # the server's own user makes its socket here
        own.append("--user=mysql")
    path = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"}
    plain = ("--auth-root-authentication-method=normal", "--skip-test-db")
    made = subprocess.run(["mariadb-install-db", *own, *plain], env=path, check=False, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    with (place / "mysql.log").open("ab") as log:
        server = subprocess.Popen(
            ["mariadbd", *own, f"--socket={socket}", f"--pid-file={data}/pid", "--skip-networking"],
            env=path,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        ends = time.monotonic() + START_SECONDS
        while not _made(socket):
            assert server.poll() is None, (place / "mysql.log").read_text()
            assert time.monotonic() < ends, "MariaDB is up"
            time.sleep(LOOK_SECONDS)
        yield socket
    finally:
        server.terminate()
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _made(socket: Path) -> bool:
    asked = ["mariadb", "--no-defaults", f"--socket={socket}", "-uroot", "-e", "CREATE DATABASE shop"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0
