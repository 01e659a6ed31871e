"""Load, tasks, open files, and the name of the machine, its kernel and its distribution."""

import os
import shlex
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from exporter.catalog import Sample
from exporter.collectors.host._metric import counter, gauge
from exporter.collectors.host._tree import Tree, text_of

LOAD1 = gauge("node_load1", "Tasks that run or wait, mean of one minute.")
LOAD5 = gauge("node_load5", "Tasks that run or wait, mean of five minutes.")
LOAD15 = gauge("node_load15", "Tasks that run or wait, mean of fifteen minutes.")
BOOT_TIME = gauge("node_boot_time_seconds", "When the machine started, as a Unix time.")
CONTEXT_SWITCHES = counter("node_context_switches_total", "Times that a processor went over to another task.")
INTERRUPTS = counter("node_intr_total", "Interrupts served.")
FORKS = counter("node_forks_total", "Tasks started.")
PROCS_RUNNING = gauge("node_procs_running", "Tasks that run or could run now.")
PROCS_BLOCKED = gauge("node_procs_blocked", "Tasks that wait for a disk or another device.")
HUNG_TASKS = counter(
    "node_kernel_hung_tasks_total", "Tasks that the kernel found stuck for minutes, often on a disk."
)
FILEFD_ALLOCATED = gauge("node_filefd_allocated", "Files open in all programs.")
FILEFD_MAXIMUM = gauge("node_filefd_maximum", "Files that may be open in all programs.")
ENTROPY_AVAILABLE = gauge("node_entropy_available_bits", "Randomness that the kernel has at hand.")
ENTROPY_POOL_SIZE = gauge("node_entropy_pool_size_bits", "Randomness that it can have at hand.")
UNAME = gauge(
    "node_uname_info",
    "Always 1; the labels name the machine and its kernel.",
    "domainname",
    "machine",
    "nodename",
    "release",
    "sysname",
    "version",
)
_OS = (
    "build_id",
    "id",
    "id_like",
    "image_id",
    "image_version",
    "name",
    "pretty_name",
    "variant",
    "variant_id",
    "version",
    "version_codename",
    "version_id",
)
OS_INFO = gauge("node_os_info", "Always 1; the labels name the distribution.", *_OS)
OS_VERSION = gauge(
    "node_os_version", "First two parts of the distribution's version as a number.", "id", "id_like", "name"
)

_STAT = {
    "btime": BOOT_TIME,
    "ctxt": CONTEXT_SWITCHES,
    "intr": INTERRUPTS,
    "processes": FORKS,
    "procs_running": PROCS_RUNNING,
    "procs_blocked": PROCS_BLOCKED,
}
_NUMBERS = {
    "sys/kernel/random/entropy_avail": ENTROPY_AVAILABLE,
    "sys/kernel/random/poolsize": ENTROPY_POOL_SIZE,
    "sys/kernel/hung_task_detect_count": HUNG_TASKS,
}


def read(tree: Tree, stat: str) -> Iterator[Sample]:
    """Yield what the kernel says of itself, in the text of /proc/stat and elsewhere."""
    load = tree.proc("loadavg").split()
    for metric, text in zip((LOAD1, LOAD5, LOAD15), load, strict=False):
        yield metric.sample(float(text))
    numbers = parse_fields(stat)
    for field, metric in _STAT.items():
        if field in numbers:
            yield metric.sample(numbers[field])
    allocated, _, maximum = tree.proc("sys/fs/file-nr").split()
    yield FILEFD_ALLOCATED.sample(float(allocated))
    yield FILEFD_MAXIMUM.sample(float(maximum))
    for file, metric in _NUMBERS.items():
        if text := tree.maybe(file):
            yield metric.sample(float(text))
    yield from _names(tree)


def _names(tree: Tree) -> Iterator[Sample]:
    system = os.uname()
    yield UNAME.sample(
        1,
        domainname=tree.maybe("sys/kernel/domainname").strip(),
        machine=system.machine,
        nodename=nodename(tree.root),
        release=system.release,
        sysname=system.sysname,
        version=system.version,
    )
    facts = release(tree.root)
    if facts:
        yield OS_INFO.sample(1, **{label: facts.get(label, "") for label in _OS})
        version = version_number(facts.get("version_id", ""))
        if version is not None:
            yield OS_VERSION.sample(
                version,
                id=facts.get("id", ""),
                id_like=facts.get("id_like", ""),
                name=facts.get("name", ""),
            )


def nodename(root: Path) -> str:
    """Return the machine's name. In a container the kernel tells that of the container, by /proc as well."""
    if root != Path("/"):
        lines = text_of(f"{root}/etc/hostname").splitlines()
        names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if names:
            return names[0]
    return os.uname().nodename


def release(root: Path) -> Mapping[str, str]:
    """Return what the distribution's file says of itself, keys in small letters; see os-release(5)."""
    for file in ("etc/os-release", "usr/lib/os-release"):
        if text := text_of(f"{root}/{file}"):
            return parse_release(text)
    return {}


@lru_cache(1)
def parse_release(text: str) -> Mapping[str, str]:
    """Return the values, without the shell's quotes."""
    facts = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and not key.startswith("#"):
            try:
                facts[key.strip().lower()] = "".join(shlex.split(value))
            except ValueError:  # a quote that is not closed
                facts[key.strip().lower()] = value
    return facts


def version_number(version: str) -> float | None:
    """Return "12" or "22.04.1" as 12 or 22.04; None for what is no number, such as a name."""
    try:
        return float(".".join(version.split(".")[:2]))
    except ValueError:
        return None


def parse_fields(text: str) -> dict[str, float]:
    """Return the first number of each line by the word before it."""
    fields = (line.split(None, 2) for line in text.splitlines())
    return {field[0]: float(field[1]) for field in fields if len(field) > 1}
