"""A master and a replica of Valkey with three sentinels, all real and on loopback, for tests of a failover."""

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis

from config.chaos.stack import wait_until
from config.stack import valkey
from config.stack.ports import take_block
from tests.children import kill_group, spawn

MASTER = "stanchion"
_DOWN_AFTER_MS = 700
_SENTINELS = 3


@dataclass
class RedisSentinel:
    """Two servers on the first two ports after ``base``, three sentinels on the next three."""

    directory: Path
    base: int
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    _children: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._sentinel_ports)
        return f"sentinel://:{self.password}@{hosts}/0?master={MASTER}"

    def start(self) -> None:
        """Start everything and wait until each sentinel knows the replica and the others."""
        self._serve(self.base)
        self._serve(self.base + 1, replica_of=self.base)
        for port in self._sentinel_ports:
            self._watch(port)
        wait_until(lambda: all(map(self._knows_all, self._sentinel_ports)), "the sentinels know each other", 60)

    def master_port(self) -> int:
        with redis.Redis(port=self._sentinel_ports[0], socket_timeout=2) as sentinel:
            answer = sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        return int(answer[1])

    def fail_over(self) -> None:
        """Kill -9 the master and return once every sentinel has seen that the replica is the master."""
        before = self.master_port()
        kill_group(self._children.pop(before))
        wait_until(lambda: self.master_port() != before and self._is_master(self.master_port()), "a failover", 60)
        wait_until(lambda: all(self._is_sound(port, before) for port in self._sentinel_ports), "all know of it", 60)

    def stop(self) -> None:
        for child in self._children.values():
            kill_group(child)

    @property
    def _sentinel_ports(self) -> range:
        return range(self.base + 2, self.base + 2 + _SENTINELS)

    def _serve(self, port: int, replica_of: int | None = None) -> None:
        options = {"port": port, "requirepass": self.password, "masterauth": self.password, "save": "", "dir": "."}
        argv = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        argv += ["--replicaof", "127.0.0.1", str(replica_of)] if replica_of else []
        self._spawn(port, ["--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0", *argv])

    def _watch(self, port: int) -> None:
        file = self.directory / f"sentinel-{port}.conf"
        file.write_text(
            f"bind 127.0.0.1\nport {port}\nprotected-mode no\n"
            f"sentinel monitor {MASTER} 127.0.0.1 {self.base} 2\n"
            f"sentinel auth-pass {MASTER} {self.password}\n"
            f"sentinel down-after-milliseconds {MASTER} {_DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {MASTER} 5000\n"
        )
        self._spawn(port, [str(file), "--sentinel"])

    def _spawn(self, port: int, arguments: list[str]) -> None:
        folder = self.directory / str(port)
        folder.mkdir(exist_ok=True)
        self._children[port] = spawn([str(valkey.program()), *arguments], folder)

    def _knows_all(self, port: int) -> bool:
        known = self._master_as_seen(port)
        return bool(known) and int(known["num-slaves"]) == 1 and int(known["num-other-sentinels"]) == _SENTINELS - 1

    def _is_sound(self, port: int, before: int) -> bool:
        """Tell whether a sentinel knows another master than ``before`` and doubts it in no way."""
        known = self._master_as_seen(port)
        return bool(known) and int(known["port"]) != before and known["flags"] == "master"

    def _master_as_seen(self, port: int) -> dict[str, str]:
        """Return what a sentinel says of the master, nothing while it does not answer."""
        try:
            with redis.Redis(port=port, socket_timeout=2, decode_responses=True) as sentinel:
                flat = sentinel.execute_command("SENTINEL", "MASTER", MASTER)
        except redis.RedisError:
            return {}
        return flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))

    def _is_master(self, port: int) -> bool:
        with redis.Redis(port=port, password=self.password, socket_timeout=2) as server:
            return server.info("replication")["role"] == "master"


@contextmanager
def running_sentinels(directory: Path) -> Iterator[RedisSentinel]:
    block = take_block(None)
    servers = RedisSentinel(directory, block.base)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()
        block.release()
