"""Disks that the kernel joins into one (md): how many work, have failed, and are wanted."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from exporter.catalog import Sample
from exporter.collectors.host._metric import gauge
from exporter.collectors.host._tree import Tree

DISKS = gauge(
    "node_md_disks",
    "Disks of an array by state: active, failed, spare; a failed one must be replaced.",
    "device",
    "state",
)
DISKS_REQUIRED = gauge(
    "node_md_disks_required",
    "Disks that an array should have; with fewer active ones it has lost safety.",
    "device",
)
STATE = gauge("node_md_state", "1 for the state that an array is in, 0 for all others.", "device", "state")
BLOCKS = gauge("node_md_blocks", "Blocks of 1024 bytes that an array holds.", "device")
BLOCKS_SYNCED = gauge(
    "node_md_blocks_synced", "Blocks that a rebuild or check under way has done; all when none is.", "device"
)

_STATES = ("active", "inactive", "recovering", "resync", "check")
_PROGRESS = re.compile(r"(recovery|resync|check|reshape)\s*=\s*[\d.]+%\s*\((\d+)/\d+\)")
_WAITING = re.compile(r"(recovery|resync|check|reshape)\s*=\s*(PENDING|DELAYED)")


class Array(NamedTuple):
    """One array of /proc/mdstat."""

    name: str
    state: str
    active: int
    required: int
    failed: int
    spare: int
    blocks: int
    synced: int


def read(tree: Tree) -> Iterator[Sample]:
    """Yield the arrays; none where the kernel knows of none."""
    for array in parse(tree.maybe("mdstat")):
        for state, disks in (
            ("active", array.active),
            ("failed", array.failed),
            ("spare", array.spare),
        ):
            yield DISKS.sample(disks, device=array.name, state=state)
        yield DISKS_REQUIRED.sample(array.required, device=array.name)
        for state in _STATES:
            yield STATE.sample(state == array.state, device=array.name, state=state)
        yield BLOCKS.sample(array.blocks, device=array.name)
        yield BLOCKS_SYNCED.sample(array.synced, device=array.name)


def parse(mdstat: str) -> Iterator[Array]:
    """Yield the arrays: a line that names one, and those below it that are indented."""
    for block in re.split(r"\n(?=\S)", mdstat):
        head, *rest = block.splitlines() or [""]
        name, colon, text = head.partition(" : ")
        if not colon or name in ("Personalities", "unused devices"):
            continue
        state = text.split()[0]
        marks = [mark for _, mark in re.findall(r"\[(\d+)\]((?:\([A-Z]\))*)", text)]
        failed = sum("(F)" in mark for mark in marks)
        spare = sum("(S)" in mark for mark in marks)
        below = "\n".join(rest)
        blocks = int(found[1]) if (found := re.search(r"(\d+) blocks", below)) else 0
        if wanted := re.search(r"\[(\d+)/(\d+)\]", below):
            required, active = int(wanted[1]), int(wanted[2])
        else:  # disks side by side without safety: all that are there are wanted
            active = required = len(marks) if state == "active" else 0
        synced = blocks
        if progress := _PROGRESS.search(below):
            state = _named(progress[1])
            synced = int(progress[2])
        elif waiting := _WAITING.search(below):
            state, synced = _named(waiting[1]), 0
        yield Array(name, state, active, required, failed, spare, blocks, synced)


def _named(activity: str) -> str:
    return {"recovery": "recovering", "reshape": "resync"}.get(activity, activity)
