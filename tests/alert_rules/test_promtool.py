"""promtool's own verdict on every rule file, on the unit tests beside this file, and on prometheus.yml."""

import subprocess

import pytest

from tests.alert_rules.rules import PROMETHEUS, ROOT, RULE_FILES, UNIT_TESTS


@pytest.fixture
def promtool(programs):
    """Runs promtool in the root of the checkout and fails with what it printed."""

    def run(*words):
        done = subprocess.run(
            [programs["promtool"].path, *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return run


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.stem)
def test_the_rule_file_is_valid_and_says_nothing_twice(promtool, path):
    """promtool accepts the file, its templates included, and its lint finds no duplicate rule."""
    promtool("check", "rules", "--lint=all", "--lint-fatal", path)


@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem.removesuffix("_test"))
def test_alerts_fire_and_stay_silent_when_they_should(promtool, path):
    """Every step of the unit tests ends as it says: these labels, these texts, and not a step earlier."""
    promtool("test", "rules", path)


def test_the_prometheus_configuration_is_valid_in_the_root_of_the_checkout(promtool):
    """prometheus.yml loads with its rule files found by their relative path."""
    promtool("check", "config", PROMETHEUS)
