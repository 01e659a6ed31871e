"""What a run of the set-up is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scripts.stack import render

DEMO_INTERVAL = "5s"  # instead of 15 s, so that a first look finds curves


@dataclass(frozen=True)
class Options:
    """Without `config` it is the demo."""

    config: Path | None = None  # the user's watchkeeper.yml
    app_targets: tuple[str, ...] = ()
    service: str = "app"
    alertmanager: Path | None = None  # the user's own, taken as it is
    free_ports: bool = False
    ports: Mapping[str, int] = field(default_factory=dict)  # demanded ones
    interval: str | None = None
    rules_scale: float = 1  # tests divide the rules' times by this
    thresholds: Mapping[render.Override, float] = field(default_factory=dict)
    load: tuple[str, ...] = ()  # further arguments of examples.load
    app_env: Mapping[str, str] = field(default_factory=dict)
    grafana: bool = True

    @property
    def demo(self) -> bool:
        return self.config is None
