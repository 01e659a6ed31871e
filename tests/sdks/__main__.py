"""Runs the AI tests against other generations of the SDKs, each in an environment of its own.

Called by `./scripts/test.sh --sdks`; arguments go to pytest. The newest generation is in the project's own
environment, so `./scripts/test.sh` covers it every time.
"""

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACE = ROOT / ".watchkeeper" / "sdks"
FOLDER = "tests/exporter/instrument/ai"
TESTS = [
    f"{FOLDER}/test_{name}.py"
    for name in ("matrix", "hook", "faults", "coming_and_going", "reading", "attribution", "beside")
]

COMMON = ("hypothesis>=6.130", "prometheus-client>=0.22", "pytest>=8.3")
OTEL = ("opentelemetry-instrumentation-httpx", "opentelemetry-sdk")
GENERATIONS = {
    # The last ones on httpx, which moved to httpx2 then; openllmetry and Sentry beside ours.
    "last_on_httpx": (
        "openai==2.54.0",
        "anthropic==0.125.0",
        "opentelemetry-instrumentation-openai==0.62.4",
        "opentelemetry-instrumentation-anthropic==0.62.4",
        *OTEL,
        "sentry-sdk==2.75.0",
    ),
    # What many applications still run.
    "old": ("openai==1.109.1", "anthropic==0.49.0", "httpx<1"),
    # The newest, with OpenTelemetry's and Sentry's instrumentations.
    "newest": (
        "openai==3.52.0",
        "anthropic==2.11.0",
        "httpx>=0.28",
        "opentelemetry-instrumentation-openai==0.62.4",
        "opentelemetry-instrumentation-anthropic==0.62.4",
        *OTEL,
        "sentry-sdk==2.75.0",
    ),
}


def main(arguments: list[str]) -> int:
    """Return how many generations failed."""
    failed = []
    for name, packages in GENERATIONS.items():
        python = environment(name, (*COMMON, *packages))
        print(f"\n== {name}: {' '.join(packages[:2])}", flush=True)
        # The project's own conftest needs the servers' packages, which are not here.
        command = [python, "-m", "pytest", *TESTS, f"--confcutdir={FOLDER}", "-p", "no:cacheprovider", "-q"]
        if subprocess.run([*command, *arguments], cwd=ROOT).returncode:
            failed.append(name)
    print(f"\n{len(GENERATIONS) - len(failed)} of {len(GENERATIONS)} generations passed", *failed)
    return len(failed)


def environment(name: str, packages: tuple[str, ...]) -> str:
    """Return the Python of an environment with these packages, made where it is missing."""
    folder = PLACE / name
    python = str(folder / "bin" / "python")
    complete = folder / "complete"
    wanted = "\n".join(packages)
    if not complete.exists() or complete.read_text() != wanted:
        print(f"making the environment {folder.relative_to(ROOT)}", flush=True)
        venv.create(folder, clear=True, with_pip=True)
        install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input"]
        subprocess.run([*install, *packages], check=True)
        complete.write_text(wanted)
    return python


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
