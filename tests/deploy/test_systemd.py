"""The service's unit: right for systemd, true to the command, and hiding nothing that has to be seen."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from exporter import cli
from tests.deploy.sandbox import service
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/systemd"
UNIT = FOLDER / "watchkeeper.service"
DOCS = ROOT / "docs/security.md"
SERVICE = service(UNIT)


def needs(program):
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"no {program} here")


def words():
    (line,) = SERVICE["ExecStart"]
    return shlex.split(line)


@needs("systemd-analyze")
def test_systemd_takes_the_unit(tmp_path):
    """It verifies without a word, with a program in place of ours, which is not installed here."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(words()[0], sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60
    )
    # Units of the machine that it refers to may have faults of their own.
    assert [line for line in done.stderr.splitlines() if UNIT.name in line] == []
    assert done.returncode == 0 or "watchkeeper" not in done.stderr


@needs("systemd-analyze")
def test_the_score_is_the_documented_one():
    """`systemd-analyze security` gives what docs/security.md says, by the command that stands there."""
    command = re.search(r"\$ (systemd-analyze security .*)", DOCS.read_text())
    assert command is not None
    done = subprocess.run(shlex.split(command[1]), cwd=ROOT, capture_output=True, text=True, timeout=60)
    score = re.search(r"Overall exposure level for watchkeeper.service: ([\d.]+) OK", done.stdout)
    assert score is not None, done.stdout + done.stderr
    documented = re.search(r"exposure level for watchkeeper.service: ([\d.]+) OK", DOCS.read_text())
    # Each version of systemd weighs a little differently.
    assert float(score[1]) == pytest.approx(float(documented[1]), abs=0.3)


def test_the_command_is_the_real_one():
    """ExecStart's options are those that `watchkeeper` has, and its user is not changed twice."""
    program, *arguments = words()
    assert Path(program).name == "watchkeeper"
    options = cli._parser().parse_args(arguments)
    assert options.run is cli._serve
    assert options.config == Path("/etc/watchkeeper/watchkeeper.yml")
    assert getattr(options, "user", None) is None
    assert SERVICE["ExecReload"] == ["/bin/kill -HUP $MAINPID"]


def test_it_has_no_rights_at_all():
    """A user of its own, no capability, no way to new rights; the secrets stay root's."""
    once = {key: values[0] for key, values in SERVICE.items() if len(values) == 1}
    assert (once["User"], once["Group"]) == ("watchkeeper", "watchkeeper")
    assert once["CapabilityBoundingSet"] == once["AmbientCapabilities"] == ""
    assert once["NoNewPrivileges"] == "yes"
    assert once["LoadCredential"] == "secrets:/etc/watchkeeper/secrets"


@pytest.mark.parametrize(
    "key", ["ProtectProc", "ProcSubset", "ProtectHostname", "ProtectClock", "PrivateNetwork", "IPAddressDeny"]
)
def test_what_would_make_it_lie_is_left_out_with_a_reason(key):
    """Hardening that hides the machine is not in the unit, and docs/security.md says why."""
    assert key not in SERVICE
    assert f"`{key}=" in DOCS.read_text()


def test_homes_are_read_only_rather_than_hidden():
    """With an empty /home in its place, a home on a disk of its own would have that one's size."""
    assert SERVICE["ProtectHome"] == ["read-only"]
    assert "`ProtectHome=yes`" in DOCS.read_text()


@needs("systemd-sysusers")
@needs("systemd-tmpfiles")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_account_and_the_folders_are_made(tmp_path):
    """The two files make what the unit needs, with rights that keep secrets from everybody else."""
    (tmp_path / "etc").mkdir()
    for command in (
        ["systemd-sysusers", f"--root={tmp_path}", str(FOLDER / "sysusers.conf")],
        ["systemd-tmpfiles", f"--root={tmp_path}", "--create", str(FOLDER / "tmpfiles.conf")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    account = (tmp_path / "etc/passwd").read_text()
    assert re.fullmatch(r"watchkeeper:[^:]+:\d+:\d+:Watchkeeper:/:/usr/sbin/nologin\n", account)
    modes = {
        path: (tmp_path / path).stat().st_mode & 0o777
        for path in ("etc/watchkeeper", "etc/watchkeeper/secrets")
    }
    assert modes == {"etc/watchkeeper": 0o750, "etc/watchkeeper/secrets": 0o700}


def page(unit, log):
    """What the exporter publishes of the machine, under a unit or as the same user without one."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WATCHKEEPER_")}
    variables = {"WATCHKEEPER_COLLECTORS__HOST": "", "WATCHKEEPER_SERVER__LISTEN": "127.0.0.1:0"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/deploy/sandbox.py"), unit, "serve"],
            stdout=output,
            stderr=output,
            env=clean | variables | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        )
    try:

        def address():
            assert process.poll() is None, log.read_text()
            return re.search(r"http://\S+/metrics", log.read_text())

        url = wait_for(address, 30, "the exporter's address")[0]
        httpx.get(url, timeout=30)  # what runs in the background is there the second time
        lines = httpx.get(url, timeout=30).text.splitlines()
    finally:
        process.terminate()
        process.wait(20)
    assert process.returncode == 0, log.read_text()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {series: float(value) for series, value in values.items() if series.startswith("node_")}


# Figures that stand still while two exporters start one after the other.
STILL = re.compile(
    r"node_(filesystem_(size_bytes|files|readonly|device_error)|uname_info|os_info|boot_time_seconds"
    r"|memory_(MemTotal|SwapTotal)_bytes|network_(up|mtu_bytes|info|speed_bytes)|disk_info|cpu_info"
    r"|timex_tick_seconds|filefd_maximum|nf_conntrack_entries_limit)\b"
)


@needs("systemd-analyze")
@needs("mount")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide files from a process")
def test_the_machine_looks_the_same_from_inside(tmp_path):
    """Under the unit's read-only files, empty /dev, missing rights, refused system calls: the same series."""
    outside = page("-", tmp_path / "outside")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("this container lets nobody change its mounts")
    inside = page(str(UNIT), tmp_path / "inside")
    ours = {name for name in set(outside) ^ set(inside) if "mountpoint=" not in name}
    assert ours == set()
    still = {name for name in outside if STILL.match(name)}
    assert {name.partition("{")[0] for name in still} >= {
        "node_filesystem_readonly",
        "node_filesystem_size_bytes",
        "node_memory_MemTotal_bytes",
        "node_timex_tick_seconds",
        "node_uname_info",
    }
    assert {name: inside[name] for name in still} == {name: outside[name] for name in still}
