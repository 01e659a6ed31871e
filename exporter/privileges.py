"""Becoming somebody without rights, for an exporter that was started as root."""

import ctypes
import grp
import logging
import os
import pwd
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from exporter.config import ConfigError

_PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h
# The inheritable ones stay in some containers; without new privileges they are worth nothing.
_CAPABILITIES = ("CapPrm", "CapEff", "CapAmb")

_log = logging.getLogger("watchkeeper.server")


@dataclass(frozen=True)
class Identity:
    """Somebody to become: numbers as the kernel has them, and what a program looks up by itself."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    name: str
    home: str


def identity(user: str) -> Identity:
    """Return who `name`, `name:group` or their numbers is. Raises ConfigError saying what to do."""
    name, colon, group = user.partition(":")
    try:
        entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except (KeyError, OverflowError):
        if not (name.isdecimal() and group.isdecimal()):  # numbers need no entry: a container has none
            raise ConfigError(
                f"there is no user {name!r} on this machine: make one with "
                f"'useradd --system --shell /usr/sbin/nologin {name}', or give uid:gid"
            ) from None
        found = Identity(int(name), int(group), (int(group),), name, "/")
    else:
        gid = _gid(group) if colon else entry.pw_gid
        groups = [gid] if colon else os.getgrouplist(entry.pw_name, gid)
        found = Identity(entry.pw_uid, gid, tuple(groups), entry.pw_name, entry.pw_dir)
    if found.uid == 0 or 0 in (found.gid, *found.groups):
        raise ConfigError(f"the user {user!r} has root's rights: name one without")
    return found


def drop(user: str) -> None:
    """Become `user` for good. Raises ConfigError when that cannot be done; the process must end then.

    To be called when addresses are bound and secrets are read, and before there are other threads: one that
    runs already could start programs with more rights. Being this user already is fine.
    """
    to = identity(user)
    if not hasattr(os, "setresuid"):
        raise ConfigError(f"this system cannot change to the user {user!r} for good: start as that user")
    if os.geteuid() != 0:
        if (os.geteuid(), os.getegid()) != (to.uid, to.gid):
            raise ConfigError(
                f"only root can become the user {user!r}, and this is {_own_name()!r}: "
                "start as root, or leave the user out"
            )
        _no_new_privileges()
        return
    try:
        os.setgroups(to.groups)
        os.setresgid(to.gid, to.gid, to.gid)
        os.setresuid(to.uid, to.uid, to.uid)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot become the user {user!r}: {reason}") from None
    _no_new_privileges()
    # A database driver looks for its files at home, and fails when that is root's.
    os.environ.update({"HOME": to.home, "USER": to.name, "LOGNAME": to.name})
    _prove(to)
    _log.info("runs as the user %s (%d:%d) from here on", to.name, to.uid, to.gid)


def advice(user: str | None) -> str:
    """Return what to tell somebody who starts this as root for no reason; empty otherwise."""
    if user or os.geteuid() != 0:
        return ""
    return (
        "runs as root, which no collector needs: name an unprivileged account with server.user or --user; "
        "it is changed to when the address is bound"
    )


def unreadable(paths: Iterable[Path]) -> list[str]:
    """Return a line for each file that this user cannot read again at a reload."""
    return [
        f"{path} cannot be read by the user {_own_name()!r}, so a reload will not see its changes"
        for path in paths
        if not os.access(path, os.R_OK)
    ]


def _gid(group: str) -> int:
    if group.isdecimal():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigError(f"there is no group {group!r} on this machine: use one that there is") from None


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _no_new_privileges() -> None:
    """Let no program that this process starts have more rights than it has, as sudo would."""
    if sys.platform != "linux":
        return
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(_PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0))) != 0:
        raise ConfigError(f"cannot give up new rights: {os.strerror(ctypes.get_errno())}")


def _prove(to: Identity) -> None:
    """Raise ConfigError unless there is no way back."""
    try:
        os.setresuid(-1, 0, -1)
    except PermissionError:
        status = Path("/proc/self/status")
        held = _held(status.read_text()) if status.is_file() else []
        if not held and os.getresuid() == (to.uid,) * 3 and os.getresgid() == (to.gid,) * 3:
            return
    raise ConfigError(f"this machine lets the user {to.name!r} keep root's rights; it will not run like that")


def _held(status: str) -> list[str]:
    """Return the sets of capabilities that are not empty, from the text of /proc/PID/status."""
    values = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return [name for name in _CAPABILITIES if int(values.get(name, "0"), 16)]
