"""python -m scripts.logs: makes deploy/logs/ from its policy, sets servers up, and checks both."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.logs.files import made
from scripts.logs.live import KINDS, LiveError, apply, differences
from scripts.logs.policy import FOLDER, Policy, PolicyError, read


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 when all is well, 1 for what differs, 2 for what cannot be done."""
    chosen = _parser().parse_args(argv)
    try:
        policy = read(chosen.folder / "policy.yml")
        if chosen.verb == "apply":
            for done in apply(policy, chosen.kind, chosen.url.rstrip("/")):
                print(done)
            return 0
        if chosen.verb == "verify":
            return _tell(list(differences(policy, chosen.kind, chosen.url.rstrip("/"))))
        if chosen.check:
            return _tell(stale(policy, chosen.folder))
        write(policy, chosen.folder)
        return 0
    except (PolicyError, LiveError, OSError) as error:
        print(f"logs: {error}", file=sys.stderr)
        return 2


def write(policy: Policy, folder: Path) -> None:
    """Write every file anew."""
    for name, text in made(policy).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def stale(policy: Policy, folder: Path) -> list[str]:
    """Return what is not as the policy would make it."""
    found = []
    for name, text in made(policy).items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            found.append(f"{path} is out of date: python -m scripts.logs")
    return found


def _tell(found: list[str]) -> int:
    for line in found:
        print(line)
    return 1 if found else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.logs", description=__doc__.partition(": ")[2])
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where policy.yml is (%(default)s)")
    parser.add_argument("--check", action="store_true", help="write nothing, say what is out of date")
    verbs = parser.add_subparsers(dest="verb", metavar="{apply,verify}")
    for verb, kinds, help_ in (
        ("apply", list(KINDS), "give a running server its templates and policies"),
        ("verify", [*KINDS, "loki"], "compare what a running server keeps with the policy"),
    ):
        one = verbs.add_parser(verb, help=help_)
        one.add_argument("kind", choices=kinds)
        one.add_argument("url", help="such as http://localhost:9200; LOGS_USER or LOGS_API_KEY say who asks")
    return parser


if __name__ == "__main__":
    sys.exit(main())
