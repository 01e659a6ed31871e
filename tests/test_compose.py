"""docker-compose.yml and its two images: pinned, guarded, without passwords, and one with the other files."""

import json
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from exporter import __version__
from exporter.config import load
from scripts import compose
from scripts.stack import demo

ROOT = Path(__file__).parents[1]
FILE = ROOT / "docker-compose.yml"
SERVICES = yaml.safe_load(FILE.read_text())["services"]
LONG_RUNNING = {name: one for name, one in SERVICES.items() if one["restart"] != "no"}
IMAGES = {"exporter": ROOT / "exporter/Dockerfile", "demo": ROOT / "examples/Dockerfile"}
each = pytest.mark.parametrize("name", SERVICES)


def mounts(name):
    """Source, target and mode of each volume of a service."""
    return [(*volume.split(":"), "rw")[:3] for volume in SERVICES[name].get("volumes", ())]


def test_everything_is_there():
    """`docker compose up` brings up the demo and all of its monitoring, Grafana included."""
    monitoring = {"exporter", "prometheus", "alertmanager", "grafana", "receiver"}
    assert set(SERVICES) == {"setup", "postgres", "redis", "ai", "app", "load"} | monitoring


@pytest.mark.parametrize("command", [["docker", "compose"], ["docker-compose"]], ids="-".join)
def test_compose_accepts_the_file(command):
    """The real command reads it without a complaint, where there is one."""
    if (
        shutil.which(command[0]) is None
        or subprocess.run([*command, "version"], capture_output=True).returncode
    ):
        pytest.skip(f"no {' '.join(command)} here")
    done = subprocess.run([*command, "-f", str(FILE), "config", "--quiet"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@each
def test_images_are_pinned(name):
    """A full version in every name; our own images carry our version."""
    image, _, tag = SERVICES[name]["image"].partition(":")
    assert re.fullmatch(r"v?\d+\.\d+(\.\d+)?(-\w+)?", tag)
    if image.startswith("watchkeeper-"):
        assert tag == __version__


@pytest.mark.parametrize("image", IMAGES)
def test_bases_are_pinned_and_packages_have_hashes(image):
    """What we build starts from a full version and installs nothing unchecked, as a user without rights."""
    text = IMAGES[image].read_text()
    assert re.findall(r"^FROM (.+)$", text, re.MULTILINE) == ["python:3.13.7-slim-bookworm"]
    assert re.findall(r"pip install (.+)$", text, re.MULTILINE) == [
        f"--no-compile --require-hashes -r {image}.lock"
    ]
    assert re.search(r"^USER 1000\d:1000\d$", text, re.MULTILINE)


def packages(image):
    """What the lock file of an image has."""
    return blocks(ROOT / f"deploy/{image}.lock")


def blocks(lock):
    """Each package of a lock file with its version and hashes."""
    found = re.split(r"\n(?=\S)", lock.read_text().strip())
    return {re.match(r"[\w-]+", block)[0]: block for block in found}


@pytest.mark.parametrize("image", IMAGES)
def test_the_images_lock_files_are_parts_of_the_one(image):
    """Change requirements.lock and make these anew; CONTRIBUTING.md has the command."""
    whole, part = blocks(ROOT / "requirements.lock"), packages(image)
    assert part == {name: whole[name] for name in part}


def test_an_image_has_every_package_that_it_needs_and_no_other():
    """The exporter's image: its extra and what that requires; the demo's: its group on top."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["exporter"]]
    elsewhere = {"async-timeout", "tzdata"}  # the lock files serve every Python and system that we support
    assert set(packages("exporter")) - elsewhere == closure(wanted) - elsewhere
    wanted += project["dependency-groups"]["demo"]
    assert closure(wanted) <= set(packages("demo"))


def closure(requirements):
    """The names of these packages and of those that they require here, with the extras asked for."""
    found, waiting = set(), [Requirement(one) for one in requirements]
    while waiting:
        one = waiting.pop()
        name = name_of(one.name)
        if (name, *one.extras) not in found:
            found.add((name, *one.extras))
            for needed in map(Requirement, requires(name) or ()):
                extras = one.extras or {""}
                if needed.marker is None or any(needed.marker.evaluate({"extra": each}) for each in extras):
                    waiting.append(needed)
    return {name for name, *_ in found}


def name_of(requirement):
    return re.match(r"[\w-]+", requirement)[0].lower().replace("_", "-")


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_every_server_has_a_health_check_and_is_started_again(name):
    """`docker compose ps` tells the truth, and a crash is not the end."""
    assert SERVICES[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert SERVICES[name]["restart"] == "unless-stopped"


@each
def test_nobody_starts_before_what_it_needs_is_healthy(name):
    """Each waits for a finished setup or for healthy servers, not for mere starts."""
    conditions = {need: one["condition"] for need, one in SERVICES[name].get("depends_on", {}).items()}
    assert conditions or name == "setup"
    for need, condition in conditions.items():
        assert condition == ("service_completed_successfully" if need == "setup" else "service_healthy")


@each
def test_ports_are_open_on_this_machine_only(name):
    """Nothing listens on the network of an operator who tries the demo."""
    for port in SERVICES[name].get("ports", ()):
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)


@each
def test_services_have_no_rights(name):
    """No root, no capabilities, no writable root filesystem; setup may only give its files away."""
    one = SERVICES[name]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert not one.keys() & {"privileged", "pid", "ipc", "devices"}
    if name == "setup":
        assert (one["user"], one["cap_add"], one["network_mode"]) == ("0:0", ["CHOWN"], "none")
    else:
        assert "cap_add" not in one
        assert int(one["user"].partition(":")[0]) > 0


@each
def test_who_can_reach_the_passwords_is_a_user_of_its_own(name):
    """Who mounts them runs as the owner that setup gives its files to, and cannot change them."""
    for source, target, mode in mounts(name):
        if source == "prepared" and name != "setup":
            assert (target, mode) == ("/run/watchkeeper", "ro")
            assert SERVICES[name]["user"].partition(":")[0] == str(compose.OWNERS[name])


@each
def test_what_is_mounted_from_here_is_read_only_and_exists(name):
    """No container changes the checkout, and none finds an empty folder where a file should be."""
    for source, _, mode in mounts(name):
        if source.startswith((".", "/")):
            assert mode == "ro"
            assert (ROOT / source).exists()


def test_no_password_stands_in_the_file():
    """Passwords come from files; a variable that could hold one names a file."""
    assert not re.search(r"://[^/\s]*:[^/\s]*@", FILE.read_text())
    for one in SERVICES.values():
        for variable, value in one.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|KEY|TOKEN|_URL|DSN", variable) and variable != "OPENAI_BASE_URL":
                assert variable.endswith("_FILE")
                assert value.startswith("/run/watchkeeper/")


def test_the_application_runs_as_in_the_set_up():
    """The same command with the same workers; only where it listens differs."""
    _, *given = SERVICES["app"]["command"]
    _, _, _, *usual = demo.application(8000)
    words = " ".join(map(str, usual)).replace(" --", "\n--").splitlines()
    assert [one for one in given if one != "--host=0.0.0.0"] == [one.replace(" ", "=") for one in words]


def test_the_workers_can_share_their_numbers():
    """/dev/shm is the container's own and writable; nothing is mounted over it or taken from elsewhere."""
    app = SERVICES["app"]
    assert "ipc" not in app
    assert not any("/dev" in mount for mount in [*app["tmpfs"], *app["volumes"]])


def test_prometheus_keeps_exemplars_as_in_the_set_up():
    """Without the feature it reads them and throws them away."""
    assert "--enable-feature=exemplar-storage" in SERVICES["prometheus"]["command"]


def test_prometheus_scrapes_the_services_of_this_file():
    """Each target is a service, at the port that it publishes; and so is Alertmanager."""
    config = yaml.safe_load((ROOT / "prometheus.yml").read_text())
    sections = [*config["scrape_configs"], *config["alerting"]["alertmanagers"]]
    targets = [target for one in sections for static in one["static_configs"] for target in static["targets"]]
    for target in targets:
        name, _, port = target.partition(":")
        name = "prometheus" if name == "localhost" else name
        assert f"127.0.0.1:{port}:{port}" in SERVICES[name]["ports"]


def test_grafana_finds_its_provisioning():
    """The folders of the provisioning files are where the file mounts them; the home board exists."""
    provider = yaml.safe_load((ROOT / "dashboards/provisioning/dashboards/watchkeeper.yml").read_text())
    boards = provider["providers"][0]["options"]["path"]
    assert ("./dashboards/generated", boards, "ro") in mounts("grafana")
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / "dashboards/generated" / Path(home).relative_to(boards)).exists()
    datasource = yaml.safe_load((ROOT / "dashboards/provisioning/datasources/prometheus.yml").read_text())
    assert datasource["datasources"][0]["url"] == "http://prometheus:9090"


def test_the_exporter_accepts_its_settings():
    """deploy/compose/watchkeeper.yml has the four collectors, and no key that is unknown."""
    config = load(ROOT / "deploy/compose/watchkeeper.yml", {})
    assert set(config.collectors) == {"host", "postgres", "redis", "sql"}


def test_every_file_that_is_named_is_prepared_for_its_reader(tmp_path):
    """Commands, variables, SQL and settings ask for files that setup writes, owned by the one who asks."""
    given = []
    texts = compose.prepare(tmp_path, ROOT / "alertmanager.yml", lambda owner, file: given.append(owner))
    owners = dict(zip(texts, given, strict=True))
    named = re.compile(r"/run/watchkeeper/([\w.]+)")
    asked = {name: set(named.findall(json.dumps(one))) for name, one in SERVICES.items() if name != "setup"}
    asked["postgres"] |= set(named.findall((ROOT / "deploy/compose/roles.sql").read_text()))
    asked["exporter"] |= set(named.findall((ROOT / "deploy/compose/watchkeeper.yml").read_text()))
    assert set().union(*asked.values()) == set(texts)
    for name, files in asked.items():
        assert {owners[file] for file in files} <= {compose.OWNERS.get(name)}
