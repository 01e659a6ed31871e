"""Redis in its other shapes: with settings of its own, as a Sentinel, as nodes of a cluster."""

from pathlib import Path

import redis

from scripts.stack.packages import Program
from scripts.stack.process import HOST, Process, free_port, is_free, tcp_open
from scripts.stack.servers import Redis

DOWN_AFTER = 500  # milliseconds until a server counts as down: the shortest that a busy machine bears


class TunedRedis(Redis):
    """A Redis with further lines in its configuration."""

    def __init__(self, program: Program, folder: Path, *lines: str, port: int = 0) -> None:
        super().__init__(program, folder, port=port)
        self.config = folder / "redis.conf"
        self.configure(*lines)

    def configure(self, *lines: str) -> None:
        """Add lines, which hold from the next start on."""
        with self.config.open("a") as config:
            config.writelines(f"{line}\n" for line in lines)


class Sentinel(Process):
    """Watches a master under the name `main`, and takes a replica when it is gone. Nobody else must agree."""

    def __init__(self, program: Program, folder: Path, master: Redis) -> None:
        folder.mkdir(parents=True)
        config = folder / "sentinel.conf"
        config.write_text(
            f"bind {HOST}\ndir {folder}\n"
            f"sentinel monitor main {HOST} {master.port} 1\n"
            f"sentinel auth-pass main {master.password}\n"
            f"sentinel down-after-milliseconds main {DOWN_AFTER}\n"
            "sentinel failover-timeout main 2000\n"
        )
        super().__init__(
            "sentinel",
            lambda port: [program.path, config, "--port", str(port), "--sentinel"],
            log=folder / "sentinel.log",
            ready=tcp_open,
            scheme="redis",
        )

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}"


def cluster_port() -> int:
    """A free port for a node of a cluster, which takes another 10,000 above it."""
    while (port := free_port()) + 10_000 > 65_535 or not is_free(port + 10_000):
        pass
    return port


def join(nodes: list[TunedRedis]) -> None:
    """Make a cluster of them, each with its share of the slots."""
    slots = 16384
    bounds = [slots * number // len(nodes) for number in range(len(nodes) + 1)]
    for number, node in enumerate(nodes):
        with redis.Redis.from_url(node.url) as client:
            mine = range(bounds[number], bounds[number + 1])
            client.execute_command("CLUSTER", "ADDSLOTS", *mine)
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            for other in nodes[:number]:
                client.execute_command("CLUSTER", "MEET", HOST, other.port)
