"""A Grafana that the machine has is started with our boards and a password of its own."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from scripts.stack import grafana
from scripts.stack.options import Options
from scripts.stack.process import free_port, get
from scripts.stack.stack import Stack

# No Grafana can be had here: this stand-in shows the settings that it was started with.
STAND_IN = """\
#!/bin/sh
mkdir "$GF_PATHS_DATA" "$GF_PATHS_DATA/api" && cd "$GF_PATHS_DATA" && echo ok >api/health
{python} -c 'import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))' "$@" >started.json
exec {python} -m http.server --bind "$GF_SERVER_HTTP_ADDR" "$GF_SERVER_HTTP_PORT"
"""


def stand_in(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in as the first program of this name on the PATH."""
    program = folder / name
    program.parent.mkdir()
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return program


@pytest.mark.parametrize(
    ("name", "first"), [("grafana", ["server", "--homepath"]), ("grafana-server", ["--homepath"])]
)
def test_it_is_started_with_our_boards_and_a_password(
    tmp_path: Path, monkeypatch, name: str, first: list[str]
):
    """Both generations of the command get the loopback, a password, and the provisioning of this run."""
    program = stand_in(tmp_path / "bin", name, monkeypatch)
    (tmp_path / "logs").mkdir()

    found = grafana.find()
    assert found == program
    password, process = grafana.launcher(
        found, tmp_path, prometheus="http://127.0.0.1:1", alertmanager="http://127.0.0.1:2", port=free_port()
    )
    try:
        process.start()
        arguments, environment = json.loads(get(f"{process.url}/started.json") or b"")
    finally:
        process.stop()
    assert arguments[: len(first)] == first
    assert len(password) >= 16
    assert environment["GF_SECURITY_ADMIN_PASSWORD"] == password
    assert environment["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
    provisioning = Path(environment["GF_PATHS_PROVISIONING"])
    [datasource] = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    assert datasource["url"] == "http://127.0.0.1:1"
    [provider] = yaml.safe_load((provisioning / "dashboards/watchkeeper.yml").read_text())["providers"]
    assert provider["options"]["path"] == str(tmp_path / "dashboards")


def test_the_alerts_of_a_run_lead_to_it(tmp_path: Path, monkeypatch):
    """Prometheus, which started first, reads its rules again when Grafana's address is known."""
    stand_in(tmp_path / "bin", "grafana", monkeypatch)
    config = tmp_path / "watchkeeper.yml"
    config.write_text("collectors:\n  host:\n")
    stack = Stack(Options(config=config, free_ports=True), say=lambda text: None)
    try:
        stack.start()
        answer = json.loads(get(f"{stack.server('prometheus').url}/api/v1/rules?type=alert") or b"")
        links = [
            rule["annotations"]["dashboard_url"]
            for group in answer["data"]["groups"]
            for rule in group["rules"]
        ]
        assert links
        assert [link for link in links if not link.startswith(f"{stack.server('grafana').url}/d/")] == []
    finally:
        stack.stop()


def test_without_one_the_advice_is_one_line(monkeypatch, tmp_path: Path):
    """No Grafana is no error."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert grafana.find() is None
    assert "\n" not in grafana.ADVICE
    assert "grafana.com" in grafana.ADVICE
