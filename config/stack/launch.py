"""How a child process begins: whose account it runs under, and that it dies with its parent."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from enum import Enum
from pathlib import Path

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
NOBODY = 65534
_NAMESPACE_USER = 1000

_libc = ctypes.CDLL(None, use_errno=True)


class Account(Enum):
    """Under which account a server runs. PostgreSQL refuses to run as root."""

    SAME = "same"
    USER_NAMESPACE = "user_namespace"  # root seen as an ordinary user by the child alone; files stay root's
    NOBODY = "nobody"  # uid 65534; needs directories that this uid can reach


def unprivileged_account() -> Account:
    """Return the account for a server that refuses to be root: the least intrusive one that works here."""
    if os.geteuid() != 0:
        return Account.SAME
    return Account.USER_NAMESPACE if _user_namespaces_work() else Account.NOBODY


def child_setup(account: Account, death_signal: signal.Signals) -> Callable[[], None]:
    """Return the function that runs in the child between fork and exec.

    The death signal fires when the spawning *thread* ends, so children are spawned from the main
    thread. It is set last, because a change of account clears it.
    """
    parent = os.getpid()

    def setup() -> None:
        if account is Account.USER_NAMESPACE:
            _enter_user_namespace()
        elif account is Account.NOBODY:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        os.umask(0o077)
        if sys.platform == "linux":
            _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return setup


def can_reach(account: Account, path: Path) -> bool:
    """Tell whether a child under this account gets through the folders above ``path``."""
    if account is not Account.NOBODY:
        return True
    return all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents if folder.exists())


def _enter_user_namespace() -> None:
    if _libc.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER)")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{_NAMESPACE_USER} 0 1"),
        ("gid_map", f"{_NAMESPACE_USER} 0 1"),
    ):
        descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(descriptor, text.encode())
        os.close(descriptor)


def _user_namespaces_work() -> bool:
    if sys.platform != "linux":
        return False
    try:
        setup = child_setup(Account.USER_NAMESPACE, signal.SIGKILL)
        subprocess.run(["/bin/sh", "-c", "exit 0"], preexec_fn=setup, check=True)
    except (subprocess.SubprocessError, OSError):
        return False
    return True
