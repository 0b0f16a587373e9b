"""A RabbitMQ server of the tests' own: loopback only, its own name, ports, directories and port mapper."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from config.chaos.stack import wait_until
from config.stack.launch import Account, child_setup
from config.stack.ports import take_block

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
    password: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    _children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"amqp://stanchion:{self.password}@127.0.0.1:{self.port}//"

    def configure(self) -> None:
        (self.directory / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            "default_user = stanchion\n"
            f"default_pass = {self.password}\n"
            "default_user_tags.administrator = true\n"
        )
        (self.directory / "plugins").write_text("[].\n")

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        self._spawn([str(self.program)])
        wait_until(self._answers, "RabbitMQ takes connections", _START_SECONDS)

    def start_port_mapper(self) -> None:
        self._spawn(["epmd", "-port", str(self.port + 2), "-address", "127.0.0.1"])

    def kill(self) -> None:
        """Kill -9 the server; its data stays."""
        server = self._children.pop()
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()

    def stop(self) -> None:
        while self._children:
            with suppress(ProcessLookupError):
                self.kill()

    def _spawn(self, argv: list[str]) -> None:
        with (self.directory / "server.log").open("ab") as log:
            self._children.append(
                subprocess.Popen(
                    argv,
                    cwd=self.directory,
                    env=self._environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    preexec_fn=child_setup(Account.SAME, signal.SIGKILL),
                    start_new_session=True,
                )
            )

    def _environment(self) -> dict[str, str]:
        place = str(self.directory)
        return {
            "PATH": os.environ["PATH"],
            "HOME": place,
            "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": f"stanchion-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.port + 1),
            "ERL_EPMD_PORT": str(self.port + 2),
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
    ports = take_block()
    server = RabbitMq(program, directory, ports.base)
    server.configure()
    try:
        server.start_port_mapper()
        server.start()
        yield server
    finally:
        server.stop()
        ports.release()
