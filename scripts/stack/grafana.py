"""Grafana where the machine has one: provisioned for this run, with a password of its own."""

import secrets
import shutil
from pathlib import Path
from typing import Any

from scripts.stack import render
from scripts.stack.packages import CHECKOUT
from scripts.stack.process import HOST, Process, http_ok

ADVICE = (
    "No Grafana on this machine. https://grafana.com/grafana/download has packages: install one and run "
    "this again. `docker compose up` brings one along."
)
HOMES = ("/usr/share/grafana", "/usr/local/share/grafana", "/opt/grafana")  # where packages put its web pages


def find() -> Path | None:
    for name in ("grafana", "grafana-server"):
        if found := shutil.which(name):
            return Path(found)
    return None


def launcher(
    program: Path, folder: Path, *, prometheus: str, alertmanager: str, **ports: Any
) -> tuple[str, Process]:
    """The administrator's password, and the process, not yet started."""
    own = folder / "grafana"
    own.mkdir()
    render.provisioning(
        CHECKOUT / "dashboards" / "provisioning",
        own / "provisioning",
        prometheus=prometheus,
        alertmanager=alertmanager,
        boards=folder / "dashboards",
    )
    password = secrets.token_urlsafe(12)
    home = next((Path(path) for path in HOMES if Path(path).is_dir()), program.resolve().parent.parent)
    settings: dict[str, str | Path] = {
        "GF_PATHS_DATA": own / "data",
        "GF_PATHS_LOGS": own / "logs",
        "GF_PATHS_PLUGINS": own / "plugins",
        "GF_PATHS_PROVISIONING": own / "provisioning",
        "GF_SERVER_HTTP_ADDR": HOST,
        "GF_SECURITY_ADMIN_PASSWORD": password,
        "GF_USERS_ALLOW_SIGN_UP": "false",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
    }
    command: list[str | Path] = [
        program,
        *(["server"] if program.name == "grafana" else []),
        "--homepath",
        home,
    ]
    process = Process(
        "grafana",
        lambda port: ["env", f"GF_SERVER_HTTP_PORT={port}", *command],
        log=folder / "logs" / "grafana.log",
        ready=http_ok("/api/health"),
        env={key: str(value) for key, value in settings.items()},
        **ports,
    )
    return password, process
