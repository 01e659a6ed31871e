"""CPU time that watching adds to an AI call, and whether what is counted is right, beside the peers."""

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from benchmarks import _ai_tools
from benchmarks._ai_child import KINDS
from benchmarks._measure import Quartiles, Ratio, Report, Table, added, times

NOTE = (
    "added: difference to bare of the same round, median and quartiles over the rounds. The openai SDK with\n"
    "replies from memory, so no network is in it; each tool in a process of its own, batches in turn. All\n"
    "count metrics only: the peers with a tracer that samples nothing, and without prompts and answers."
)
_JUDGED = ("calls", "tokens", "cost")


class Child:
    """A process with one tool."""

    def __init__(self, process: Any) -> None:
        self._process = process

    def ready(self) -> None:
        """Wait until it has imported everything and warmed up."""
        self._answer()

    def ask(self, what: str) -> Any:
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        while line := self._process.stdout.readline():
            try:
                return json.loads(line)
            except ValueError:  # a tool's own words on its start
                continue
        raise RuntimeError("a tool's process has ended; its message is above")


@contextmanager
def child(name: str, calls: int) -> Iterator[Child]:
    """Start the process of a tool, and end it."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks._ai_child", name, str(calls)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Child(process)
        finally:
            process.stdin.close()
            process.wait()


def measure(tiny: bool) -> Report:
    """Rounds of all kinds in turn over all tools, then the cases of each."""
    rounds, calls = (2, 5) if tiny else (120, 25)
    names = _ai_tools.available()
    with ExitStack() as stack:
        children = {name: stack.enter_context(child(name, calls)) for name in names}
        for each in children.values():
            each.ready()
        tables, ratios = [], []
        for kind in KINDS:
            taken: dict[str, list[float]] = {name: [] for name in names}
            for number in range(rounds):
                at = number % len(names)
                for name in names[at:] + names[:at]:
                    taken[name].append(children[name].ask(kind) / 1000)
            more = {name: added(taken, "bare", name) for name in names[1:]}
            tables.append(_table(kind, Quartiles.of(taken["bare"]).median, more))
            peers = {name: it.median for name, it in more.items() if name != "ours"}
            if peers:
                best = min(peers, key=lambda name: peers[name])
                ratio = times(peers[best], more["ours"].median)
                ratios.append(
                    Ratio(f"added CPU, {kind}: {best}, the best of the peers / ours", ratio, least=5)
                )
        tables[-1] = tables[-1]._replace(note=NOTE)
        seen = {name: children[name].ask("cases") for name in names[1:]}
    tables += _accuracy(seen)
    wrong = sum(not verdict(case, judged) for case in seen["ours"].values() for judged in _JUDGED)
    ratios.append(Ratio("cases in which ours is wrong in calls, tokens or cost", wrong, most=0))
    return Report(tables, ratios, _ai_tools.PEERS)


def _table(kind: str, bare: float, more: dict[str, Quartiles]) -> Table:
    rows: list[tuple[Any, ...]] = [
        (name, bare + it.median, it.median, f"{it.low:.1f} to {it.high:.1f}", (bare + it.median) / bare)
        for name, it in more.items()
    ]
    return Table(
        f"{kind}: bare {bare:.0f} µs", ("tool", "µs a call", "added µs", "quartiles", "times bare"), rows
    )


def verdict(case: dict[str, float], judged: str) -> bool:
    """Whether a tool was right in one case: exactly, for money up to the rounding of floats."""
    if judged == "tokens":
        return (case["input"], case["output"]) == (case["true_input"], case["true_output"])
    return math.isclose(case[judged], case[f"true_{judged}"], rel_tol=1e-6, abs_tol=1e-12)


def _accuracy(seen: dict[str, dict[str, dict[str, float]]]) -> Iterator[Table]:
    knows_money = {name: any(case["cost"] for case in cases.values()) for name, cases in seen.items()}
    rows: list[tuple[Any, ...]] = []
    for name, cases in seen.items():
        all_cases = list(cases.values())
        cached = [case for case in all_cases if case["true_apart"]]
        again = [case for case in all_cases if case["true_requests"] > 1]
        rows.append(
            (
                name,
                _share(all_cases, "calls"),
                _share(again, "requests"),
                _share(all_cases, "tokens"),
                _share(cached, "apart"),
                _share(all_cases, "cost") if knows_money[name] else "-",
            )
        )
    columns = ("calls", "retries", "tokens", "cache and reasoning apart", "cost")
    yield Table("Right in so many cases", ("tool", *columns), rows)
    names = list(seen)
    details: list[tuple[Any, ...]] = []
    for label in seen[names[0]]:
        cells = [_cell(seen[name][label], money=knows_money[name]) for name in names]
        details.append((label, *cells))
    note = "What is wrong, as told / as sent; input + output tokens. An empty cell is right."
    yield Table("Case by case", ("case", *names), details, note)


def _share(cases: list[dict[str, float]], judged: str) -> str:
    return f"{sum(verdict(case, judged) for case in cases)} of {len(cases)}"


def _cell(case: dict[str, float], *, money: bool) -> str:
    wrong = []
    if not verdict(case, "calls"):
        wrong.append(f"{case['calls']:g} calls")
    if not verdict(case, "tokens"):
        told = f"{case['input']:g} + {case['output']:g}"
        wrong.append(f"{told} / {case['true_input']:g} + {case['true_output']:g} tokens")
    if money and not verdict(case, "cost"):
        wrong.append(f"${case['cost']:.6f} / ${case['true_cost']:.6f}")
    return ", ".join(wrong)


if __name__ == "__main__":
    from benchmarks._measure import main

    main("ai_overhead", measure)
