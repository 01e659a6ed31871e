"""Prepares for docker-compose.yml what its servers read: passwords, and routes to the demo's receiver."""

import json
import os
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import yaml

from scripts.stack import render
from scripts.stack.errors import SetupError

RECEIVER = "http://receiver:8002"
PASSWORDS = (
    "postgres",
    "postgres_demo",
    "postgres_watchkeeper",
    "redis_demo",
    "redis_watchkeeper",
    "grafana",
)

# Who may read a file: the user of the service that its name begins with, by the number in docker-compose.yml.
OWNERS = {
    "postgres": 999,
    "redis": 10003,  # not the image's 999, which is Postgres' number too
    "app": 10001,
    "exporter": 10002,
    "alertmanager": 65534,
    "grafana": 472,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Fill the folder; 2 with a message when alertmanager.yml cannot be used."""
    folder, alertmanager = (Path(word) for word in (sys.argv[1:] if argv is None else argv))
    try:
        prepare(folder, alertmanager)
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 2
    print("Grafana's password: docker compose exec grafana cat /run/watchkeeper/grafana_password")
    return 0


def _give(owner: int, file: int) -> None:
    os.fchown(file, owner, owner)


def prepare(folder: Path, alertmanager: Path, give: Callable[[int, int], None] = _give) -> dict[str, str]:
    """Write what each service reads, with the passwords of the first time; return the files' texts."""
    routes = yaml.safe_dump(render.alertmanager(alertmanager, RECEIVER), sort_keys=False)
    texts = {**files(kept(folder / "passwords.json")), "alertmanager.yml": routes}
    for name, text in texts.items():
        owner = OWNERS[name.partition("_")[0].partition(".")[0]]
        _write(folder / name, text, partial(give, owner))
    return texts


def kept(path: Path) -> dict[str, str]:
    """Return the passwords of an earlier start; those that are missing are made and kept."""
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    # Twenty-four random bytes, in letters that need no quoting in an address, in SQL or in redis.conf.
    passwords = {name: known.get(name) or secrets.token_urlsafe(24) for name in PASSWORDS}
    _write(path, json.dumps(passwords))
    return passwords


def files(password: Mapping[str, str]) -> dict[str, str]:
    """Return the text of each file that holds a password."""
    return {
        "postgres_password": password["postgres"],
        "postgres_demo_password": password["postgres_demo"],
        "postgres_watchkeeper_password": password["postgres_watchkeeper"],
        "app_database_url": f"postgresql://demo:{password['postgres_demo']}@postgres:5432/demo",
        "exporter_dsn": f"postgresql://watchkeeper:{password['postgres_watchkeeper']}@postgres:5432/demo",
        "redis.conf": _redis(password),
        "app_redis_url": f"redis://demo:{password['redis_demo']}@redis:6379/0",
        "exporter_redis_url": f"redis://watchkeeper:{password['redis_watchkeeper']}@redis:6379/0",
        "grafana_password": password["grafana"],
    }


def _redis(password: Mapping[str, str]) -> str:
    return (
        "user default off\n"
        f"user demo on >{password['redis_demo']} ~* +@all -@dangerous\n"
        f"user watchkeeper on >{password['redis_watchkeeper']} +info +ping\n"
        'save ""\nappendonly no\nmaxmemory 64mb\nmaxmemory-policy allkeys-lru\n'
    )


def _write(path: Path, text: str, give: Callable[[int], None] = lambda file: None) -> None:
    """Write whole or not at all, readable by its owner alone from the first moment."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o400), "w") as file:
        file.write(text)
        give(file.fileno())
    part.rename(path)


if __name__ == "__main__":
    sys.exit(main())
