"""Runs `watchkeeper` under what a systemd unit takes from it, where no systemd runs.

python sandbox.py UNIT serve … as root: files, rights, system calls and addresses as the unit says, by the
kernel's own means; `-` in place of the unit changes the user only, to compare with.
"""

import ctypes
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

USER = 65534
NEW_MOUNTS, NEW_USERS = 0x20000, 0x10000000  # sched.h
SET_DUMPABLE, SET_NO_NEW_PRIVS, SET_MDWE = 4, 38, 65  # prctl.h
ALLOW, REFUSE, EQUAL = 0x7FFF0000, 0x00050001, 4  # seccomp.h; REFUSE is EPERM
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
CAPABILITIES_VERSION = 0x20080522

libc = ctypes.CDLL(None, use_errno=True)


def service(unit):
    """The keys of the section [Service], each with all its values."""
    found, section = defaultdict(list), ""
    for line in Path(unit).read_text().splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found[key].append(value)
    return found


def allowed(filters):
    """The system calls that the lines of SystemCallFilter leave."""
    calls = group("@default")
    for line in filters:
        names = set().union(*(group(name) for name in line.lstrip("~").split()))
        calls = calls - names if line.startswith("~") else calls | names
    return calls


def group(name):
    """The system calls of one of systemd's groups; a plain name is itself."""
    if not name.startswith("@"):
        return {name}
    command = ["systemd-analyze", "syscall-filter", "--no-pager", name]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    members = [line.strip() for line in lines[1:]]
    return set().union(*(group(member) for member in members if member and not member.startswith("#")))


def done(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(*arguments):
    return subprocess.run(["mount", *arguments], capture_output=True).returncode == 0


def take_files():
    """Everything read-only, no devices: ProtectSystem, ProtectHome, ProtectKernelTunables, PrivateDevices."""
    done(libc.unshare(NEW_MOUNTS))
    assert mount("--make-rslave", "/")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        point = line.split()[1]
        if point != "/proc" and not point.startswith("/dev"):
            mount("-o", "remount,bind,ro", point)
    assert mount("--bind", "/proc/sys", "/proc/sys")
    assert mount("-o", "remount,bind,ro", "/proc/sys")
    assert mount("-t", "tmpfs", "tmpfs", "/dev")
    try:
        Path("/usr/sandbox").touch()
    except OSError:
        return
    raise AssertionError("files can still be written")


def change_user():
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    os.environ["HOME"] = "/"


def take_rights():
    """PrivateUsers, CapabilityBoundingSet=, NoNewPrivileges, MemoryDenyWriteExecute."""
    done(libc.prctl(SET_DUMPABLE, 1, 0, 0, 0))  # for the maps
    done(libc.unshare(NEW_USERS))
    Path("/proc/self/setgroups").write_text("deny")
    for name in ("uid_map", "gid_map"):
        Path("/proc/self", name).write_text(f"{USER} {USER} 1")
    header, none = (ctypes.c_uint32 * 2)(CAPABILITIES_VERSION, 0), (ctypes.c_uint32 * 6)()
    done(libc.capset(header, none))
    done(libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    libc.prctl(SET_MDWE, 1, 0, 0, 0)  # refused by kernels before 6.3


def take_calls(calls, families):
    """SystemCallFilter, RestrictAddressFamilies."""
    seccomp = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    seccomp.seccomp_init.restype = ctypes.c_void_p
    seccomp.seccomp_init.argtypes = [ctypes.c_uint32]

    class Comparison(ctypes.Structure):
        _fields_ = [
            ("argument", ctypes.c_uint),
            ("operation", ctypes.c_int),
            ("first", ctypes.c_uint64),
            ("second", ctypes.c_uint64),
        ]

    seccomp.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(Comparison),
    ]
    seccomp.seccomp_load.argtypes = [ctypes.c_void_p]
    context = seccomp.seccomp_init(REFUSE)
    assert context
    for name in calls - {"socket"}:
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # others belong to other processors
            assert seccomp.seccomp_rule_add_array(context, ALLOW, number, 0, None) == 0, name
    socket = seccomp.seccomp_syscall_resolve_name(b"socket")
    for family in families:
        only = Comparison(0, EQUAL, FAMILIES[family], 0)
        assert seccomp.seccomp_rule_add_array(context, ALLOW, socket, 1, ctypes.byref(only)) == 0
    assert seccomp.seccomp_load(context) == 0


def main():
    from exporter import checking, cli, collectors, inventory, server

    assert all(
        (checking, server, collectors.found(), inventory.everything())
    )  # what is imported late is read now
    unit, *arguments = sys.argv[1:]
    if unit == "-":
        change_user()
    else:
        settings = service(unit)
        calls = allowed(settings["SystemCallFilter"])
        take_files()
        change_user()
        take_rights()
        take_calls(calls, settings["RestrictAddressFamilies"][0].split())
    sys.exit(cli.main(arguments))


if __name__ == "__main__":
    main()
