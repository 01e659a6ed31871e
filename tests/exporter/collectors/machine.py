"""Recorded machines: /proc is a folder here, /sys and the control groups are unpacked from one text each."""

from pathlib import Path

from exporter.catalog import Sample
from exporter.collectors.host import Settings

HERE = Path(__file__).parent
PROC = HERE / "proc"
LINK = " -> "
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def unpack(folder: Path, *names: str) -> Path:
    """Write the files of these texts: a line `== path` starts each, and `== path -> target` is a link."""
    for name in names:
        for entry in (HERE / f"{name}.txt").read_text().split("== ")[1:]:
            path, _, content = entry.partition("\n")
            path, link, target = path.partition(LINK)
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            if link:
                file.symlink_to(target)
            else:
                file.write_text(content)
    return folder


def recorded(folder: Path, **changed) -> Settings:
    """The settings for the recorded machine, its /sys unpacked below `folder`."""
    return Settings(procfs=PROC, sysfs=unpack(folder, "sys", "cgroup2"), **changed)


def series(samples: list[Sample]) -> Series:
    """Values by name and labels; a label without a value is no label to Prometheus."""
    return {
        (
            each.metric.name,
            frozenset(p for p in zip(each.metric.labels, each.labels, strict=True) if p[1]),
        ): float(each.value)
        for each in samples
    }
