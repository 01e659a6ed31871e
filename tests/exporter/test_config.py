"""The configuration: file under environment, strict, with the place of every fault and no secret shown."""

from pathlib import Path

import pytest

from exporter.config import ConfigError, effective, load

HERE = Path(__file__).with_name("configs")
BAD = sorted((HERE / "bad").iterdir())


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_file_is_refused_with_its_line_and_key(path):
    """Each bad example states the message it must get in its first line."""
    expected = path.read_text().splitlines()[0].removeprefix("# problem: ")
    with pytest.raises(ConfigError) as error:
        load(path, {})
    assert error.value.problems[0].removeprefix(f"{path.parent}/") == expected
    assert "secret" not in str(error.value)


def test_there_are_bad_examples():
    """An empty folder would prove nothing."""
    assert len(BAD) >= 10


def test_all_faults_are_told_at_once(tmp_path):
    """Nobody wants to fix one typo a run."""
    path = tmp_path / "x.yml"
    path.write_text("server:\n  lisen: x\ncollectors:\n  hots:\n")
    with pytest.raises(ConfigError) as error:
        load(path, {})
    assert len(error.value.problems) == 2


def test_the_environment_goes_over_the_file():
    """A variable names the key by its path, and wins."""
    config = load(HERE / "good.yml", {"WATCHKEEPER_COLLECTORS__REDIS__TIMEOUT": "3.5", "HOME": "/"})
    assert config.collectors["redis"].timeout == 3.5
    assert config.server.address == ("127.0.0.1", 0)


def test_the_environment_alone_is_enough():
    """A container needs no file; an empty value switches a collector on."""
    config = load(None, {"WATCHKEEPER_COLLECTORS__HOST": "", "WATCHKEEPER_SERVER__LISTEN": "[::1]:1234"})
    assert list(config.collectors) == ["host"]
    assert config.server.address == ("::1", 1234)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("WATCHKEEPER_SEVER__LISTEN", "x", "unknown key 'sever'; did you mean 'server'?"),
        ("WATCHKEEPER_SERVER__LISTEM", "x", "unknown key 'server.listem'; did you mean 'listen'?"),
        (
            "WATCHKEEPER_SERVER__SCRAPE_TIMEOUT",
            "soon",
            "server.scrape_timeout: input should be a valid number",
        ),
        ("WATCHKEEPER_COLLECTORS__REDIS__URL__HOST", "x", "collectors.redis.url is a single value"),
        ("WATCHKEEPER_COLLECTORS", "x", "collectors: must have keys of its own"),
    ],
)
def test_a_misspelt_variable_is_an_error_that_names_it(variable, value, message):
    """Silence about a typo in the environment would cost an evening."""
    with pytest.raises(ConfigError) as error:
        load(HERE / "good.yml", {variable: value})
    assert f"variable {variable}: {message}" in str(error.value)


def test_a_rule_over_several_keys_names_the_place_of_its_section(tmp_path):
    """The message of a collector's own check stands beside the line of the collector."""
    path = tmp_path / "x.yml"
    path.write_text("collectors:\n  redis:\n")
    with pytest.raises(ConfigError, match=r"x\.yml:2: collectors\.redis: give either url or url_file"):
        load(path, {})


@pytest.mark.parametrize("name", ["gone.yml", "."])
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path, name):
    """No traceback for a wrong path."""
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / name, {})


def test_a_file_that_is_no_text_is_one_sentence(tmp_path):
    """Neither for a file of another kind."""
    path = tmp_path / "x.yml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(path, {})


def test_what_is_in_force_is_shown_with_its_origin_and_without_secrets():
    """Every key says where it comes from; passwords are stars."""
    config = load(HERE / "good.yml", {"WATCHKEEPER_COLLECTORS__REDIS__TIMEOUT": "3"})
    text = effective(config)
    assert "secret-in-file" not in text + repr(config)
    assert f"  listen: 127.0.0.1:0  # {HERE}/good.yml:2" in text
    assert "    timeout: 3.0  # variable WATCHKEEPER_COLLECTORS__REDIS__TIMEOUT" in text
    assert "  scrape_timeout: 10.0  # default" in text


SQL = """metrics:
  - name: {}
    help: Things.
    type: gauge
    query: select 1 as value
"""


def test_paths_in_the_file_are_seen_from_its_folder(tmp_path, monkeypatch):
    """Wherever the command is started, a file beside the settings is found; a word or a full path stays."""
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "own.yml").write_text(SQL.format("own_things"))
    (folder / "x.yml").write_text(
        "collectors:\n"
        "  sql: {dsn_file: secrets/dsn, file: own.yml}\n"
        "  postgres: {dsn_file: /run/dsn}\n"
        "  redis: {url_file: ../url}\n"
    )
    for start in (tmp_path, folder):
        monkeypatch.chdir(start)
        config = load(folder / "x.yml", {}).collectors
        assert config["sql"].file == (folder / "own.yml",)
        assert config["sql"].dsn_file == folder / "secrets/dsn"
        assert config["postgres"].dsn_file == Path("/run/dsn")
        assert config["redis"].url_file == folder / "../url"
    (folder / "x.yml").write_text("collectors:\n  sql: {dsn_file: dsn, file: business}\n")
    assert load(folder / "x.yml", {}).collectors["sql"].file == ("business",)


def test_paths_in_variables_are_seen_from_where_one_stands(tmp_path, monkeypatch):
    """A variable belongs to the command, not to the file that it goes over."""
    (tmp_path / "x.yml").write_text("collectors:\n  redis: {url_file: url}\n")
    monkeypatch.chdir("/")
    config = load(tmp_path / "x.yml", {"WATCHKEEPER_COLLECTORS__REDIS__URL_FILE": "run/url"})
    assert config.collectors["redis"].url_file == Path("run/url")


# What Kubernetes sets for the Services `watchkeeper` and `watchkeeper-mail`, the second with a named port.
KUBERNETES = {
    "WATCHKEEPER_SERVICE_HOST": "10.0.0.11",
    "WATCHKEEPER_SERVICE_PORT": "9808",
    "WATCHKEEPER_SERVICE_PORT_HTTP_METRICS": "9808",
    "WATCHKEEPER_PORT": "tcp://10.0.0.11:9808",
    "WATCHKEEPER_PORT_9808_TCP": "tcp://10.0.0.11:9808",
    "WATCHKEEPER_PORT_9808_TCP_PROTO": "tcp",
    "WATCHKEEPER_PORT_9808_TCP_PORT": "9808",
    "WATCHKEEPER_PORT_9808_TCP_ADDR": "10.0.0.11",
    "WATCHKEEPER_MAIL_SERVICE_HOST": "10.0.0.12",
    "WATCHKEEPER_MAIL_SERVICE_PORT": "25",
    "WATCHKEEPER_MAIL_PORT": "udp://10.0.0.12:25",
    "WATCHKEEPER_MAIL_PORT_25_UDP_ADDR": "10.0.0.12",
}


def test_the_variables_of_a_kubernetes_service_are_nobodys_settings():
    """A Service named after the exporter does not keep it from starting."""
    config = load(None, KUBERNETES | {"WATCHKEEPER_COLLECTORS__HOST": ""})
    assert list(config.collectors) == ["host"]


@pytest.mark.parametrize(
    "variable",
    [
        "WATCHKEEPER_SERVICE",
        "WATCHKEEPER_SERVICE_HOSTS",
        "WATCHKEEPER_PORTS",
        "WATCHKEEPER_PORT_9808",
        "WATCHKEEPER_PORT_9808_TCP_NAME",
        "WATCHKEEPER_COLLECTORS_SMTP_PORT",
        "WATCHKEEPER_SERVER__PORT",
    ],
)
def test_what_only_looks_like_a_service_is_still_an_error(variable):
    """The exception is as narrow as the names that Kubernetes makes: one underscore too few is a typo."""
    with pytest.raises(ConfigError, match=f"variable {variable}: unknown key"):
        load(None, KUBERNETES | {variable: "x"})


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("pg_locks_count", "declared in exporter.collectors.postgres.locks"),
        ("pg_up", "declared in exporter.collectors.postgres"),
        ("watchkeeper_collector_success", "kept for Prometheus and Watchkeeper itself"),
        ("watchkeeper_things", "kept for Prometheus and Watchkeeper itself"),
        ("process_open_fds", "kept for Prometheus and Watchkeeper itself"),
        ("up", "kept for Prometheus and Watchkeeper itself"),
    ],
)
def test_a_name_that_is_taken_is_refused_with_its_line(tmp_path, name, why):
    """Two sources under one name would give a wrong value without a word, so the start is refused."""
    (tmp_path / "own.yml").write_text(SQL.format(name))
    (tmp_path / "x.yml").write_text("collectors:\n  sql: {dsn: 'postgresql://db/x', file: own.yml}\n")
    with pytest.raises(ConfigError) as error:
        load(tmp_path / "x.yml", {})
    assert error.value.problems == (f"{tmp_path}/own.yml:2: choose another name: {name!r} is {why}",)


def test_a_copy_of_the_shipped_figures_may_keep_their_names(tmp_path):
    """Whoever fits business.yml to other tables keeps the boards that read it."""
    (tmp_path / "own.yml").write_text(SQL.format("business_users"))
    (tmp_path / "x.yml").write_text("collectors:\n  sql: {dsn: 'postgresql://db/x', file: own.yml}\n")
    assert "sql" in load(tmp_path / "x.yml", {}).collectors


def test_a_target_is_a_set_of_collectors_with_a_name(tmp_path):
    """Each target has sections like those under `collectors:`, with paths beside the file they stand in."""
    path = tmp_path / "x.yml"
    path.write_text(
        "targets:\n  replica-1:\n    redis:\n      url_file: url\n    host:\n"
        "  spare:\n    redis: {url: 'redis://:hunter2@x'}\n"
    )
    config = load(path, {"WATCHKEEPER_TARGETS__SPARE__HOST": ""})
    assert {name: list(on) for name, on in config.targets.items()} == {
        "replica-1": ["host", "redis"],
        "spare": ["host", "redis"],
    }
    assert config.targets["replica-1"]["redis"].url_file == tmp_path / "url"
    assert "hunter2" not in effective(config)
    assert f"url: '**********'  # {path}:7" in effective(config)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a:\n    postgers:", "x.yml:3: unknown key 'targets.a.postgers'; did you mean 'postgres'?"),
        ("Rep lica:\n    host:", "x.yml:2: targets.Rep lica: name a target by small letters"),
        ("a: {}", "x.yml:2: targets.a: no collector is on"),
        (
            "a:\n    host: {timout: 1}",
            "x.yml:3: unknown key 'targets.a.host.timout'; did you mean 'timeout'?",
        ),
    ],
)
def test_a_bad_target_is_told_by_its_place(tmp_path, text, problem):
    """The same messages as for the collectors of the main page."""
    path = tmp_path / "x.yml"
    path.write_text(f"targets:\n  {text}\n")
    with pytest.raises(ConfigError) as error:
        load(path, {})
    assert error.value.problems[0].removeprefix(f"{tmp_path}/").startswith(problem)
