"""The stack: what is started, in which order, and how each part learns of the others."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from scripts.stack import checks, demo, grafana, render, servers, targets
from scripts.stack.errors import SetupError
from scripts.stack.options import DEMO_INTERVAL, Options
from scripts.stack.packages import CHECKOUT, provide
from scripts.stack.ports import Ports
from scripts.stack.process import HOST, http_ok, post
from scripts.stack.run import Run

NOWHERE = f"{HOST}:0"  # stands for a port that is not known yet, in files that are checked only


class Stack(Run):
    """Starts all, waits until every target is up, and leaves nothing at the end."""

    def __init__(
        self,
        options: Options,
        say: Callable[[str], None] = print,
        started: Callable[[Run], None] = lambda run: None,
    ) -> None:
        super().__init__(Ports(free=options.free_ports, demanded=options.ports, say=say), say, started)
        self.options = options
        self._thresholds = dict(options.thresholds)
        self._targets: dict[str, list[str]] = {}

    def start(self) -> None:
        """Start all and wait for all. What was started is stopped when something fails."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        if self.options.config:
            checks.exporter(self.options.config)
        if self.options.alertmanager:
            checks.readable(self.options.alertmanager)
        names = ("prometheus", "alertmanager", *(demo.SERVERS if self.options.demo else ()))
        self._programs = provide(names, say=self.say)
        self.make_folder()
        self._check_files()
        if self.options.demo:
            self._start_exporter(demo.CONFIG, demo.start(self, self._programs, self.options))
            # Ready before Prometheus asks: it makes the tables, and some are read only once a minute.
            demo.visit(self, self.options)
        else:
            self._start_exporter(self.options.config, {})
        self._start_alertmanager()
        self._start_prometheus()
        self._build_dashboards()
        if self.options.grafana:
            self._start_grafana()
        self._wait_for_targets()

    def _check_files(self) -> None:
        """Let the servers' own tools judge what the servers will read; only ports will differ then."""
        checks.alertmanager(self.options.alertmanager or self._write_alertmanager(f"http://{NOWHERE}"))
        self._targets = {
            "app": list(self.options.app_targets) or [NOWHERE],
            "watchkeeper": [NOWHERE],
            "alertmanager": [NOWHERE],
            "prometheus": [NOWHERE],
        }
        self._write_rules(prometheus=f"http://{NOWHERE}")
        checks.prometheus(self._write_prometheus())

    def _start_exporter(self, config: Path | None, env: Mapping[str, str]) -> None:
        assert config is not None
        # The demo's exporter reads nothing that was meant for another one.
        ours = [name for name in os.environ if name.startswith("WATCHKEEPER_")] if env else []
        forgotten = [word for name in ours if name not in env for word in ("-u", name)]
        exporter = self.program(
            "exporter",
            lambda port: [
                *("env", *forgotten, f"WATCHKEEPER_SERVER__LISTEN={HOST}:{port}"),
                *(sys.executable, "-m", "exporter", "serve", "--config", config),
            ],
            env=env,
            ready=http_ok("/-/healthy"),
            **self.ports.of("exporter"),
        )
        self.launch(exporter)

    def _start_alertmanager(self) -> None:
        path = self.options.alertmanager
        if path is None:
            if not self.has("receiver"):
                self.launch(self.example("receiver", "examples.receiver"))
            self.server("receiver").wait_ready()
            path = self._write_alertmanager(self.server("receiver").url)
        program, folder = self._programs["alertmanager"], self.folder / "alertmanager"
        self.launch(servers.alertmanager(program, path.resolve(), folder, **self.ports.of("alertmanager")))
        self.wait(self.server("exporter"), self.server("alertmanager"))

    def _write_alertmanager(self, receiver: str) -> Path:
        content = render.alertmanager(CHECKOUT / "alertmanager.yml", receiver, scale=self.options.rules_scale)
        return render.write(self.folder / "alertmanager.yml", content)

    def _start_prometheus(self) -> None:
        self._targets = {
            "app": [self._address("app")] if self.options.demo else list(self.options.app_targets),
            "watchkeeper": [self._address("exporter")],
            "alertmanager": [self._address("alertmanager")],
        }

        def config(port: int) -> Path:
            self._targets["prometheus"] = [f"{HOST}:{port}"]
            self._write_rules(prometheus=f"http://{HOST}:{port}")
            return self._write_prometheus()

        program, folder = self._programs["prometheus"], self.folder / "prometheus"
        self.launch(servers.prometheus(program, config, folder, **self.ports.of("prometheus")))
        self.wait(self.server("prometheus"))

    def _address(self, name: str) -> str:
        return f"{HOST}:{self.server(name).port}"

    def _write_prometheus(self) -> Path:
        options = self.options
        content = render.prometheus(
            CHECKOUT / "prometheus.yml",
            self._targets,
            self._targets["alertmanager"][0],
            self.folder / "alert_rules",
            interval=options.interval or (DEMO_INTERVAL if options.demo else None),
            service=None if options.demo else options.service,
        )
        return render.write(self.folder / "prometheus.yml", content)

    def _write_rules(self, *, prometheus: str) -> None:
        render.rules(
            CHECKOUT / "alert_rules",
            self.folder / "alert_rules",
            scale=self.options.rules_scale,
            overrides=self._thresholds,
            links=render.Links(
                runbooks=(CHECKOUT / "docs" / "runbooks").as_uri(),
                grafana=self.server("grafana").url if self.has("grafana") else None,
                prometheus=prometheus,
            ),
        )

    def _reload_rules(self) -> None:
        prometheus = self.server("prometheus").url
        self._write_rules(prometheus=prometheus)
        post(f"{prometheus}/-/reload")

    def set_thresholds(self, thresholds: Mapping[render.Override, float]) -> None:
        """Give the running Prometheus these thresholds above those of the options."""
        self._thresholds = {**self.options.thresholds, **thresholds}
        self._reload_rules()

    def _build_dashboards(self) -> None:
        boards = self.folder / "dashboards"
        command = [sys.executable, "-m", "dashboards", "--output", str(boards)]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
        if done.returncode != 0:
            raise SetupError(f"The dashboards could not be built:\n{done.stderr[-2000:]}")
        self.say(f"{len(list(boards.glob('*.json')))} dashboards built")

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
            **self.ports.of("grafana"),
        )
        self.launch(process)
        self.wait(process)
        self._reload_rules()  # now that the address is known to which their links lead
        self.notes.append(f"Grafana: {process.url} with the user admin and the password {password}")

    def _wait_for_targets(self) -> None:
        wanted = {(job, address) for job, addresses in self._targets.items() for address in addresses}
        late = targets.wait(self.server("prometheus").url, wanted, self.check_alive)
        if not late:
            self.say(f"all {len(wanted)} targets are up")
            return
        lines = [f"  {job} at {address}: {error}" for (job, address), error in sorted(late.items())]
        message = "\n".join(["These targets are not up:", *lines])
        if self.options.demo:
            raise SetupError(message)
        # The user's own application may be down: that is what monitoring is for.
        self.notes.append(message)
