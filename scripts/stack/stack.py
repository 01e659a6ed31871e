"""The stack: what is started, in which order, and how each part learns of the others."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from scripts.stack import grafana, render, servers, targets
from scripts.stack.errors import SetupError
from scripts.stack.packages import CHECKOUT, provide
from scripts.stack.ports import Ports
from scripts.stack.process import HOST, Process, http_ok, post

DEMO_INTERVAL = "5s"  # instead of 15 s, so that a first look finds curves


@dataclass(frozen=True)
class Options:
    """What a run is asked for. Without `config` it is the demo."""

    config: Path | None = None  # the user's watchkeeper.yml
    app_targets: tuple[str, ...] = ()
    service: str = "app"
    alertmanager: Path | None = None  # the user's own, taken as it is
    free_ports: bool = False
    ports: Mapping[str, int] = field(default_factory=dict)  # demanded ones
    interval: str | None = None
    rules_scale: float = 1  # tests divide the rules' times by this
    thresholds: Mapping[render.Override, float] = field(default_factory=dict)  # for scaled rules
    load: tuple[str, ...] = ()  # further arguments of examples.load
    app_env: Mapping[str, str] = field(default_factory=dict)
    grafana: bool = True


class Stack:
    """Starts all, waits until every target is up, and leaves nothing at the end."""

    def __init__(
        self,
        options: Options,
        say: Callable[[str], None] = print,
        started: Callable[["Stack"], None] = lambda stack: None,
    ) -> None:
        self.options, self._say, self._started = options, say, started
        self._ports = Ports(free=options.free_ports, demanded=options.ports, say=say)
        self.processes: list[Process] = []  # in the order of their start
        self.folder = Path()
        self.notes: list[str] = []  # what the user should know at the end

    def server(self, name: str) -> Process:
        """The process of this name. Raises KeyError where there is none."""
        return {process.name: process for process in self.processes}[name]

    def start(self) -> None:
        """Start all and wait for all. What was started is stopped when something fails."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything, the last started first, and remove the folder."""
        for process in reversed(self.processes):
            process.stop()
        if self.folder != Path():
            self._end_strays()
            shutil.rmtree(self.folder, ignore_errors=True)
        self.processes = []

    def _end_strays(self) -> None:
        """End what an interrupt caught half started, initdb for one: its command line names our folder."""
        strays = []
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if any(str(self.folder) in word for word in child.cmdline()):
                    child.kill()
                    strays.append(child)
        psutil.wait_procs(strays, timeout=5)

    def _start(self) -> None:
        demo = self.options.config is None
        self._check_config()
        names = ["prometheus", "alertmanager", *(["postgres", "initdb", "redis-server"] if demo else [])]
        self._programs = provide(names, say=self._say)
        self.folder = servers.new_run_folder()
        (self.folder / "logs").mkdir()
        if demo:
            self._start_demo()
        else:
            self._start_exporter(self.options.config, {})
        self._start_alertmanager()
        self._start_prometheus()
        self._build_dashboards()
        if self.options.grafana:
            self._start_grafana()
        self._wait_for_targets()

    def _check_config(self) -> None:
        """Let the exporter judge the user's file before anything is started."""
        if self.options.config is None:
            return
        done = subprocess.run(
            [sys.executable, "-m", "exporter", "config", "--config", str(self.options.config)],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise SetupError(done.stderr.strip() or f"{self.options.config} cannot be used.")

    def _start_demo(self) -> None:
        redis = servers.Redis(self._programs["redis-server"], self.folder / "redis")
        ai = self._python("ai", "examples.ai_server")
        postgres = servers.Postgres(self._programs, self.folder / "postgres", application="demo")
        receiver = self._python("receiver", "examples.receiver")
        self._launch(redis, ai, receiver, postgres)
        self._wait(postgres, redis, ai)
        app = self._python(
            "app",
            "examples.app",
            {
                "DATABASE_URL": postgres.application_dsn,
                "REDIS_URL": redis.url,
                "OPENAI_BASE_URL": f"{ai.url}/v1",
                "OPENAI_API_KEY": "demo",
                "DEMO_FAULTS": "1",
                **self.options.app_env,
            },
        )
        self._launch(app)
        dsn = postgres.monitor_dsn_of("demo")
        self._start_exporter(
            CHECKOUT / "examples" / "watchkeeper.yml",
            {
                "WATCHKEEPER_COLLECTORS__POSTGRES__DSN": dsn,
                "WATCHKEEPER_COLLECTORS__SQL__DSN": dsn,
                "WATCHKEEPER_COLLECTORS__REDIS__URL": redis.url,
            },
        )
        self._wait(receiver, app)
        load = self._program(
            "load",
            lambda port: [sys.executable, "-m", "examples.load", "--url", app.url, *self.options.load],
            scheme="",
        )
        self._launch(load)
        self.notes.append(f"Try an alert: curl -X POST '{app.url}/faults/errors?ratio=0.3&for=600'")
        self.notes.append(f"Alerts arrive at {receiver.url}")

    def _start_exporter(self, config: Path | None, env: Mapping[str, str]) -> None:
        assert config is not None
        # The demo's exporter reads nothing that was meant for another one.
        ours = [name for name in os.environ if name.startswith("WATCHKEEPER_")] if env else []
        forgotten = [word for name in ours if name not in env for word in ("-u", name)]
        exporter = self._program(
            "exporter",
            lambda port: [
                *("env", *forgotten, f"WATCHKEEPER_SERVER__LISTEN={HOST}:{port}"),
                *(sys.executable, "-m", "exporter", "serve", "--config", config),
            ],
            env=env,
            ready=http_ok("/-/healthy"),
            **self._ports.of("exporter"),
        )
        self._launch(exporter)

    def _start_alertmanager(self) -> None:
        path = self.options.alertmanager
        if path is None:
            if "receiver" not in {process.name for process in self.processes}:
                receiver = self._python("receiver", "examples.receiver")
                self._launch(receiver)
            self.server("receiver").wait_ready()
            receiver_url = self.server("receiver").url
            source = CHECKOUT / "alertmanager.yml"
            content = render.alertmanager(source, receiver_url, scale=self.options.rules_scale)
            path = render.write(self.folder / "alertmanager.yml", content)
        program = self._programs["alertmanager"]
        ports = self._ports.of("alertmanager")
        self._launch(servers.alertmanager(program, path.resolve(), self.folder / "alertmanager", **ports))
        self._wait(self.server("exporter"), self.server("alertmanager"))

    def _start_prometheus(self) -> None:
        options = self.options
        rules = CHECKOUT / "alert_rules"
        if options.rules_scale != 1:
            rules = self.folder / "alert_rules"
            self._render_rules(options.thresholds)
        demo = options.config is None
        apps = [f"{HOST}:{self.server('app').port}"] if demo else list(options.app_targets)
        alertmanager = f"{HOST}:{self.server('alertmanager').port}"
        self._targets = {
            "app": apps,
            "watchkeeper": [f"{HOST}:{self.server('exporter').port}"],
            "alertmanager": [alertmanager],
        }

        def config(port: int) -> Path:
            self._targets["prometheus"] = [f"{HOST}:{port}"]
            content = render.prometheus(
                CHECKOUT / "prometheus.yml",
                self._targets,
                alertmanager,
                rules,
                interval=options.interval or (DEMO_INTERVAL if demo else None),
                service=None if demo else options.service,
            )
            return render.write(self.folder / "prometheus.yml", content)

        ports = self._ports.of("prometheus")
        program = self._programs["prometheus"]
        self._launch(servers.prometheus(program, config, self.folder / "prometheus", **ports))
        self._wait(self.server("prometheus"))

    def _render_rules(self, thresholds: Mapping[render.Override, float]) -> None:
        scale = self.options.rules_scale
        render.rules(CHECKOUT / "alert_rules", self.folder / "alert_rules", scale=scale, overrides=thresholds)

    def set_thresholds(self, thresholds: Mapping[render.Override, float]) -> None:
        """Give the running Prometheus these thresholds above those of the options; for scaled rules only."""
        self._render_rules({**self.options.thresholds, **thresholds})
        post(f"{self.server('prometheus').url}/-/reload")

    def _build_dashboards(self) -> None:
        boards = self.folder / "dashboards"
        command = [sys.executable, "-m", "dashboards", "--output", str(boards)]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
        if done.returncode != 0:
            raise SetupError(f"The dashboards could not be built:\n{done.stderr[-2000:]}")
        self._say(f"{len(list(boards.glob('*.json')))} dashboards built")

    def _start_grafana(self) -> None:
        program = grafana.find()
        if program is None:
            self.notes.append(grafana.ADVICE)
            return
        password, process = grafana.launcher(
            program,
            self.folder,
            prometheus=self.server("prometheus").url,
            alertmanager=self.server("alertmanager").url,
            **self._ports.of("grafana"),
        )
        self._launch(process)
        self._wait(process)
        self.notes.append(f"Grafana: {process.url} with the user admin and the password {password}")

    def _wait_for_targets(self) -> None:
        wanted = {(job, address) for job, addresses in self._targets.items() for address in addresses}
        late = targets.wait(self.server("prometheus").url, wanted)
        if not late:
            self._say(f"all {len(wanted)} targets are up")
            return
        lines = [f"  {job} at {address}: {error}" for (job, address), error in sorted(late.items())]
        message = "\n".join(["These targets are not up:", *lines])
        if self.options.config is None:
            raise SetupError(message)
        # The user's own application may be down: that is what monitoring is for.
        self.notes.append(message)

    def _python(self, name: str, module: str, env: Mapping[str, str] | None = None) -> Process:
        return self._program(
            name,
            lambda port: [sys.executable, "-m", module, "--port", str(port)],
            env=env,
            ready=http_ok("/health"),
            **self._ports.of(name),
        )

    def _program(
        self,
        name: str,
        command: Callable[[int], list[str | Path]],
        env: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Process:
        log = self.folder / "logs" / f"{name}.log"
        return Process(
            name, command, log=log, cwd=CHECKOUT, env={"PYTHONUNBUFFERED": "1", **(env or {})}, **more
        )

    def _launch(self, *processes: Process) -> None:
        for process in processes:
            self.processes.append(process)  # before the start, so that a Ctrl-C during it finds the process
            process.launch()
            self._started(self)

    def _wait(self, *processes: Process) -> None:
        for process in processes:
            process.wait_ready()
            self._started(self)
            self._say(f"{process.name} is ready: {process.address}")
