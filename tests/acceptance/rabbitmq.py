"""RabbitMQ servers of the tests' own, one or a cluster: loopback only, own names, ports, folders and port mapper."""

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from config.chaos.stack import wait_until
from config.stack.ports import take_block
from tests.children import kill_group, spawn

_START_SECONDS = 60.0


def find_program() -> Path | None:
    """Return the server's own script; Debian's wrapper around it insists on an account of its own."""
    found = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))
    return found[-1] if found and shutil.which("epmd") else None


@dataclass
class RabbitMq:
    """One server that can be killed and started again on its data."""

    program: Path
    directory: Path
    port: int
    mapper_port: int
    password: str
    cookie: str
    _child: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return f"stanchion-{self.port}@localhost"

    @property
    def url(self) -> str:
        return f"amqp://stanchion:{self.password}@127.0.0.1:{self.port}//"

    def configure(self, names: Sequence[str]) -> None:
        """Write the configuration; servers of these ``names``, this one's among them, find each other by it."""
        self.directory.mkdir(exist_ok=True)
        peers = [
            f"cluster_formation.classic_config.nodes.{place} = {name}" for place, name in enumerate(names, start=1)
        ]
        lines = (
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            "default_user = stanchion",
            f"default_pass = {self.password}",
            "default_user_tags.administrator = true",
            "cluster_formation.peer_discovery_backend = classic_config",
            *peers,
        )
        (self.directory / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        (self.directory / "plugins").write_text("[].\n")
        cookie = self.directory / ".erlang.cookie"
        cookie.write_text(self.cookie)
        cookie.chmod(0o400)

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        self._child = spawn([str(self.program)], self.directory, self._environment())
        wait_until(self._answers, "RabbitMQ takes connections", _START_SECONDS)

    def kill(self) -> None:
        """Kill -9 the server, if it runs; its data stays."""
        if self._child is not None:
            kill_group(self._child)
        self._child = None

    def _environment(self) -> dict[str, str]:
        place = str(self.directory)
        return {
            "PATH": os.environ["PATH"],
            "HOME": place,
            "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.port + 1),
            "ERL_EPMD_PORT": str(self.mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": f"{place}/data",
            "RABBITMQ_LOG_BASE": f"{place}/log",
            "RABBITMQ_PID_FILE": f"{place}/pid",
            "RABBITMQ_CONFIG_FILE": f"{place}/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": f"{place}/none",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{place}/plugins",
        }

    def _answers(self) -> bool:
        with socket.socket() as connection:
            connection.settimeout(1)
            if connection.connect_ex(("127.0.0.1", self.port)):
                return False
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            with suppress(OSError):
                return bool(connection.recv(1))
        return False


@contextmanager
def running_rabbitmq(program: Path, directory: Path) -> Iterator[RabbitMq]:
    """Run a server and its port mapper; both have ended afterwards."""
    with running_cluster(program, directory, 1) as (server,):
        yield server


@contextmanager
def running_cluster(program: Path, directory: Path, nodes: int) -> Iterator[tuple[RabbitMq, ...]]:
    """Run a cluster of so many servers and one port mapper; all have ended afterwards."""
    ports = take_block()
    password, cookie = secrets.token_urlsafe(18), secrets.token_hex(16).upper()
    first = ports.base + 1
    cluster = tuple(
        RabbitMq(program, directory / str(port), port, ports.base, password, cookie)
        for port in range(first, first + 2 * nodes, 2)
    )
    mapper = spawn(["epmd", "-port", str(ports.base), "-address", "127.0.0.1"], directory, {"PATH": os.environ["PATH"]})
    try:
        for server in cluster:
            server.configure([one.name for one in cluster])
            server.start()
        yield cluster
    finally:
        for server in cluster:
            server.kill()
        kill_group(mapper)
        ports.release()
