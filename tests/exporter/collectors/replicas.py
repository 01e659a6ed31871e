"""A Postgres that follows another one, from a copy of its folder made while it stood still."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.stack.servers import HOST, Postgres, own_file, run_folder


@contextmanager
def replica_of(primary: Postgres, programs, slot: str = "") -> Iterator[Postgres]:
    """Restart `primary`, and start a replica of it; with a slot of this name, which must be there."""
    with run_folder() as folder:
        settings = {
            "primary_conninfo": f"host={HOST} port={primary.port} user=postgres password={primary.password}"
            " application_name=follower",
            "primary_slot_name": slot,
            "wal_receiver_status_interval": "1s",
        }
        replica = Postgres(
            {name: programs[name] for name in ("initdb", "postgres")}, folder / "postgres", settings=settings
        )
        replica.password, replica.monitor_password = primary.password, primary.monitor_password
        primary.stop()
        shutil.copytree(primary.data, replica.data)
        _own(replica.data, replica.user)
        (replica.data / "standby.signal").touch()
        own_file(replica.data / "standby.signal", replica.user)
        try:
            primary.start()
            replica.start()
            yield replica
        finally:
            replica.stop()


def _own(folder: Path, user: str | None) -> None:
    for path in (folder, *folder.rglob("*")):
        own_file(path, user)
