"""The web configuration's format: strict, with the place of every fault, and no secret shown."""

import re
from pathlib import Path

import pytest

from exporter.collectors import redis
from exporter.config import ConfigError
from exporter.web_config import HttpServer, RateLimit, TlsServer, WebConfig, load
from exporter.web_guard import Guard
from tests.exporter.doors import Authority, hashed

HERE = Path(__file__).with_name("web_configs")
DOCS = Path(__file__).parents[2] / "docs/security.md"
BAD = sorted((HERE / "bad").iterdir())


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


def written(folder, text):
    path = folder / "web.yml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_file_is_refused_with_its_line_and_key(path):
    """Each bad example states the message it must get in its first line."""
    expected = path.read_text().splitlines()[0].removeprefix("# problem: ")
    with pytest.raises(ConfigError) as error:
        load(path)
    assert error.value.problems[0].removeprefix(f"{path.parent}/") == expected
    assert "secret" not in str(error.value)


def test_there_are_bad_examples():
    """An empty folder would prove nothing."""
    assert len(BAD) >= 20


def test_every_key_of_the_format_is_known(tmp_path):
    """A file that uses all of exporter-toolkit's keys is read as it stands, comments and blanks included."""
    config, _ = load(HERE / "all.yml")
    tls = config.tls_server_config
    assert tls.cert_file == HERE / "server.crt"
    assert tls.client_auth_type == "RequireAndVerifyClientCert"
    assert tls.curve_preferences == ["X25519"]
    assert config.http_server_config.headers["X-XSS-Protection"] == "0"
    assert (config.rate_limit.interval, config.rate_limit.burst) == (pytest.approx(1.5), 20)
    assert list(config.basic_auth_users) == ["prometheus", "grafana"]
    assert config.bearer_token_file == HERE / "token"


def test_an_empty_file_asks_for_nothing(tmp_path):
    """Sections whose lines are all commented out are not there."""
    config, _ = load(written(tmp_path, "basic_auth_users:\nhttp_server_config:\n"))
    assert not config.basic_auth_users
    assert not config.tls_server_config.enabled


def test_a_hash_is_not_shown(tmp_path):
    """Whoever prints the configuration prints no secret."""
    config, _ = load(
        written(
            tmp_path, f"basic_auth_users: {{a: '{hashed()}'}}\ntls_server_config: {{cert: x, key: SECRET}}\n"
        )
    )
    assert "$2b$" not in repr(config)
    assert "SECRET" not in repr(config)


def test_the_file_itself_is_named_when_it_is_not_there(tmp_path):
    """The message has the path and the reason."""
    with pytest.raises(ConfigError, match=r"web\.yml: cannot be read: No such file"):
        Guard(tmp_path / "web.yml")


FILES = {
    "no_certificate": (
        "cert_file: nowhere.crt\n  key_file: {key}",
        "web.yml:2: tls_server_config.cert_file: {folder}/nowhere.crt: cannot be read: No such file or "
        "directory",
    ),
    "no_key": (
        "cert_file: {cert}\n  key_file: nowhere.key",
        "web.yml:3: tls_server_config.key_file: {folder}/nowhere.key: cannot be read: No such file or "
        "directory",
    ),
    "another_key": (
        "cert_file: {cert}\n  key_file: {other}",
        "web.yml:3: tls_server_config.key_file: does not belong to the certificate",
    ),
    "no_pem": (
        "cert_file: {cert}\n  key_file: web.yml",
        "web.yml:3: tls_server_config.key_file: certificate and key must be PEM text, our certificate first "
        "and its chain below",
    ),
    "no_ca": (
        "cert_file: {cert}\n  key_file: {key}\n  client_auth_type: RequireAndVerifyClientCert\n"
        "  client_ca_file: web.yml",
        "web.yml:5: tls_server_config.client_ca_file: must be one or more certificates as PEM text",
    ),
    "passphrase": (
        "cert_file: {cert}\n  key_file: {locked}",
        "web.yml:3: tls_server_config.key_file: has a passphrase; write one without by: openssl pkey -in …",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_do_not_serve_are_told_at_the_start(case, authority, tmp_path):
    """A certificate or key that TLS could not use later is named with its line; nothing asks the terminal."""
    cert, key = authority.sign("server")
    _, other = authority.sign("other")
    locked = authority.folder / "locked.key"
    authority._openssl("pkey", "-in", key, "-aes256", "-passout", "pass:x", "-out", locked)
    text, message = FILES[case]
    text = text.format(cert=cert, key=key, other=other, locked=locked)
    path = written(tmp_path, f"tls_server_config:\n  {text}\n")
    with pytest.raises(ConfigError) as error:
        Guard(path)
    assert str(error.value) == f"{tmp_path}/{message.format(folder=tmp_path)}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no token; make one with: openssl rand -hex 32"),
        (
            "short",
            "token 1 must be at least 22 letters, digits or -._~+/ ; make one with: openssl rand -hex 32",
        ),
        ("ü" * 30, "is not ASCII text"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_weak_token_is_refused(text, message, tmp_path):
    """One that can be guessed, or none, is no protection; it is not repeated in the message."""
    if text is not None:
        (tmp_path / "token").write_text(text)
    with pytest.raises(ConfigError) as error:
        Guard(written(tmp_path, "bearer_token_file: token\n"))
    assert str(error.value) == f"{tmp_path}/web.yml:1: bearer_token_file: {tmp_path}/token {message}"


def test_secrets_that_everybody_can_read_are_told(tmp_path, caplog):
    """A key with mode 644 is said in the log, with the command that mends it."""
    (tmp_path / "token").write_text("t" * 40)
    (tmp_path / "token").chmod(0o644)
    Guard(written(tmp_path, "bearer_token_file: token\n"))
    assert f"{tmp_path}/token can be read by every user of this machine: chmod o-r" in caplog.text


def test_every_key_is_in_the_docs():
    """Somebody who comes from another exporter finds each key, and what is different here."""
    text = DOCS.read_text()
    for model in (TlsServer, HttpServer, RateLimit, WebConfig):
        for key in model.model_fields:
            assert re.search(rf"\b{key}\b", text) or key in ("interval", "burst"), key


def test_the_documented_rights_are_those_of_the_collector():
    """Whoever copies the line gives neither too much nor too little."""
    text = DOCS.read_text().replace("\\|", "|")
    assert f">PASSWORD {redis.RIGHTS}`" in text
    assert f"`{redis.SENTINEL_RIGHTS}`" in text
