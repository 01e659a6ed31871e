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
