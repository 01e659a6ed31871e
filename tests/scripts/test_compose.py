"""What is prepared before the servers of docker-compose.yml start."""

import json
import stat
from pathlib import Path

import pytest
import yaml

from scripts import compose
from scripts.stack.errors import SetupError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def prepared(tmp_path):
    """The folder that setup fills, and the texts in it."""
    return tmp_path, compose.prepare(tmp_path, ROOT / "alertmanager.yml", lambda *_: None)


def test_every_reader_is_another_user():
    """Two services with one user could read each other's passwords."""
    assert len(set(compose.OWNERS.values())) == len(compose.OWNERS)


def test_passwords_are_private_long_and_made_once(prepared):
    """A second start keeps them, so that a database made at the first still opens."""
    folder, texts = prepared
    passwords = json.loads((folder / "passwords.json").read_text())
    assert len(set(passwords.values())) == len(compose.PASSWORDS)
    assert all(len(password) >= 32 for password in passwords.values())
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o400}
    assert compose.prepare(folder, ROOT / "alertmanager.yml", lambda *_: None) == texts


def test_a_password_that_is_missing_is_added(tmp_path):
    """A later version may need one more; the others stay."""
    first = compose.kept(tmp_path / "passwords.json")
    short = {name: password for name, password in first.items() if name != "grafana"}
    (tmp_path / "passwords.json").unlink()
    (tmp_path / "passwords.json").write_text(json.dumps(short))
    again = compose.kept(tmp_path / "passwords.json")
    assert {name: again[name] for name in short} == short
    assert again["grafana"] != first["grafana"]


def test_alerts_go_to_the_demos_receiver(prepared):
    """The routes are those of alertmanager.yml; nothing is sent off the machine."""
    _, texts = prepared
    shipped, rendered = (
        yaml.safe_load((ROOT / "alertmanager.yml").read_text()),
        yaml.safe_load(texts["alertmanager.yml"]),
    )
    assert [one["name"] for one in rendered["receivers"]] == [one["name"] for one in shipped["receivers"]]
    urls = [hook["url"] for one in rendered["receivers"] for hook in one["webhook_configs"]]
    assert all(url.startswith("http://receiver:8002/notify/") for url in urls)
    assert rendered["inhibit_rules"] == shipped["inhibit_rules"]


def test_a_broken_alertmanager_file_is_named(tmp_path, capsys):
    """Setup ends with a message and code 2, and so nothing starts."""
    (tmp_path / "alertmanager.yml").write_text("route: [")
    assert compose.main([str(tmp_path), str(tmp_path / "alertmanager.yml")]) == 2
    assert "alertmanager.yml is not valid YAML" in capsys.readouterr().err
    with pytest.raises(SetupError):
        compose.prepare(tmp_path, tmp_path / "none.yml")
