# SPDX-License-Identifier: Apache-2.0
"""A real NGINX for tests, with `deploy/nginx/strongroom.conf` as it is shipped, on ports of the loopback address."""

import asyncio
import getpass
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from missing_tools import missing
from service import free_ports

CONFIGURATION: Final = Path(__file__).parents[1] / "deploy" / "nginx" / "strongroom.conf"
LISTENERS: Final = ("vault", "gateway", "webhooks", "console")
#: Where NGINX calls Strongroom from, so that it can be told from callers who come directly.
PROXY_ADDRESS: Final = "127.0.0.2"
SECONDS_MAX: Final = 10
_NAME: Final = re.compile(r"\$\{([A-Z_]+)\}")
_AROUND: Final = """
user {user};
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
daemon off;
master_process off;
events {{ worker_connections 256; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_bind {address};
    include {folder}/strongroom.conf;
}}
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """Where it listens, and the files that callers need."""

    ports: Mapping[str, int]
    folder: Path

    def url(self, listener: str) -> str:
        return f"https://localhost:{self.ports[listener]}"

    @property
    def certificates(self) -> "Certificates":
        return Certificates(self.folder)


class Certificates:
    """Two authorities and a client certificate of each, made by OpenSSL: one authority is NGINX's, one is nobody's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def authority(self, name: str) -> Path:
        return self.folder / f"{name}-authority.pem"

    def client(self, name: str) -> tuple[Path, Path]:
        return self.folder / f"{name}-client.pem", self.folder / f"{name}-client.key"

    def make(self) -> None:
        for name in ("known", "unknown"):
            new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
            key = self.folder / f"{name}-authority.key"
            certificate, client_key = self.client(name)
            _openssl(
                *("req", "-x509", *new_key, "-days", "2", "-subj", f"/CN={name} authority"),
                *("-keyout", str(key), "-out", str(self.authority(name))),
            )
            _openssl(
                *("req", "-x509", *new_key, "-days", "2", "-subj", f"/CN={name} client"),
                *("-CA", str(self.authority(name)), "-CAkey", str(key)),
                *("-addext", "basicConstraints=critical,CA:FALSE"),
                *("-addext", "extendedKeyUsage=clientAuth"),
                *("-keyout", str(client_key), "-out", str(certificate)),
            )


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def filled_in(values: Mapping[str, str]) -> str:
    """Return the shipped configuration with its names filled in; a name that is not known is an error."""
    text = CONFIGURATION.read_text("utf-8")
    return _NAME.sub(lambda found: values[found[1]], text)


@asynccontextmanager
async def nginx(
    folder: Path, upstreams: Mapping[str, str], *, certificate: Path, key: Path, authority: Path
) -> AsyncIterator[Nginx]:
    """Lend an NGINX before listeners (HOST:PORT by name) whose certificate is of `authority`."""
    found = Nginx(dict(zip(LISTENERS, free_ports(len(LISTENERS)), strict=True)), folder)
    values = {
        "SERVER_NAME": "localhost",
        "CERTIFICATE": str(certificate),
        "KEY": str(key),
        "CLIENT_AUTHORITY": str(found.certificates.authority("known")),
        "STRONGROOM_AUTHORITY": str(authority),
        "STRONGROOM_NAME": "localhost",
        **{f"{name.upper()}_LISTEN": f"127.0.0.1:{port}" for name, port in found.ports.items()},
        **{name.upper(): upstreams[name] for name in LISTENERS},
    }
    process = _started(found, values)
    try:
        await _accepts(process, found.ports["console"])
        yield found
    finally:
        process.terminate()
        await asyncio.to_thread(process.communicate, timeout=SECONDS_MAX)


def _started(found: Nginx, values: Mapping[str, str]) -> "subprocess.Popen[str]":
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        missing("nginx")
    folder = found.folder
    folder.mkdir(parents=True, exist_ok=True)
    found.certificates.make()
    (folder / "strongroom.conf").write_text(filled_in(values), "utf-8")
    around = _AROUND.format(folder=folder, user=getpass.getuser(), address=PROXY_ADDRESS)
    (folder / "nginx.conf").write_text(around, "utf-8")
    return subprocess.Popen(
        [program, "-p", str(folder), "-c", str(folder / "nginx.conf")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


async def _accepts(process: "subprocess.Popen[str]", port: int) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            if process.poll() is not None:
                raise AssertionError(process.communicate()[1])
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                await writer.wait_closed()
                return
