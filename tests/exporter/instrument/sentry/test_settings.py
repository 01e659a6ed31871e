"""Every variable, from the environment and by argument, and what is refused."""

import subprocess

import pytest

from exporter.instrument.sentry import SentryOptions, is_wanted, resolve
from exporter.instrument.sentry._pages import frontend
from exporter.instrument.sentry._setup import policy

DSN = "https://public@o1.ingest.example.com/42"
BASE = {"SENTRY_DSN": DSN}


def settings(tmp_path=None, **environment):
    return resolve(SentryOptions(), {**BASE, **environment}, tmp_path)


@pytest.mark.parametrize(
    ("variable", "value", "field", "wanted"),
    [
        ("SENTRY_ENVIRONMENT", "staging", "environment", "staging"),
        ("ENVIRONMENT", "staging", "environment", "staging"),
        ("ENV", "staging", "environment", "staging"),
        ("SENTRY_RELEASE", "1.2", "release", "1.2"),
        ("RELEASE_VERSION", "1.2", "release", "1.2"),
        ("VERSION", "1.2", "release", "1.2"),
        ("SENTRY_SAMPLE_RATE", "0.8", "sample_rate", 0.8),
        ("SENTRY_TRACES_SAMPLE_RATE", "0.05", "traces_sample_rate", 0.05),
        ("SENTRY_PROFILES_SAMPLE_RATE", "0.02", "profiles_sample_rate", 0.02),
        ("SENTRY_SEND_DEFAULT_PII", "true", "send_default_pii", True),
        ("SENTRY_INCLUDE_LOCAL_VARIABLES", "yes", "include_local_variables", True),
        ("SENTRY_MAX_BREADCRUMBS", "20", "max_breadcrumbs", 20),
        ("SENTRY_DEBUG", "1", "debug", True),
        ("SENTRY_TRACE_LIFECYCLE", "stream", "trace_lifecycle", "stream"),
        ("SENTRY_ENABLE_LOGS", "on", "enable_logs", True),
        ("NEXT_PUBLIC_SENTRY_DSN", DSN, "frontend_dsn", DSN),
        ("NEXT_PUBLIC_SENTRY_ENVIRONMENT", "web", "frontend_environment", "web"),
        ("SENTRY_SETTINGS_PATH", "/s", "settings_path", "/s"),
        ("SENTRY_TEST_TOKEN", "t", "test_token", "t"),
    ],
)
def test_each_variable_counts_and_an_empty_one_does_not(tmp_path, variable, value, field, wanted):
    """Blank values are what templates of .env files leave behind."""
    assert getattr(settings(tmp_path, **{variable: value}), field) == wanted
    assert getattr(settings(tmp_path, **{variable: " "}), field) == getattr(settings(tmp_path), field)


def test_the_defaults_are_careful(tmp_path):
    """All errors, no traces, nothing personal, development."""
    found = settings(tmp_path)
    assert (found.environment, found.release, found.sample_rate) == ("development", "", 1.0)
    assert (found.traces_sample_rate, found.profiles_sample_rate) == (None, None)
    assert not (found.send_default_pii or found.include_local_variables or found.debug or found.enable_logs)


def test_an_argument_comes_before_the_environment(tmp_path):
    """Also where it is 0 or False."""
    options = SentryOptions(sample_rate=0.0, send_default_pii=False, environment="here")
    environment = {**BASE, "SENTRY_SAMPLE_RATE": "1", "SENTRY_SEND_DEFAULT_PII": "1", "ENV": "there"}
    found = resolve(options, environment, tmp_path)
    assert (found.sample_rate, found.send_default_pii, found.environment) == (0.0, False, "here")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("SENTRY_DSN", "https://secret-key@", "SENTRY_DSN is no DSN"),
        ("SENTRY_DSN", "secret-key", "SENTRY_DSN is no DSN"),
        ("SENTRY_SAMPLE_RATE", "80", "SENTRY_SAMPLE_RATE: 80.0 is no share from 0 to 1"),
        ("SENTRY_SAMPLE_RATE", "nan", "SENTRY_SAMPLE_RATE: nan is no share"),
        ("SENTRY_TRACES_SAMPLE_RATE", "5%", "SENTRY_TRACES_SAMPLE_RATE: '5%' is not a share"),
        ("SENTRY_SEND_DEFAULT_PII", "maybe", "SENTRY_SEND_DEFAULT_PII: 'maybe' is not true or false"),
        ("SENTRY_MAX_BREADCRUMBS", "-1", "SENTRY_MAX_BREADCRUMBS: -1 is below 0"),
        ("SENTRY_ENVIRONMENT", "my place", "'my place' is no name for an environment"),
        ("SENTRY_RELEASE", "a/b", "SENTRY_RELEASE: 'a/b' is no name for a release"),
        ("SENTRY_TRACE_LIFECYCLE", "flow", "there are static and stream"),
    ],
)
def test_a_bad_value_is_refused_by_its_name(tmp_path, variable, value, message):
    """The message has the value, unless it may be a secret."""
    with pytest.raises(ValueError, match=message.replace("(", r"\(")) as caught:
        settings(tmp_path, **{variable: value})
    assert "secret-key" not in str(caught.value)


@pytest.mark.parametrize("option", [{"sdk": {"before_send": None}}, {"filters": frozenset({"everything"})}])
def test_what_would_undo_the_scrubbing_is_refused(option):
    """As are filters that do not exist."""
    with pytest.raises(ValueError, match="sentry: "):
        resolve(SentryOptions(**option), BASE)


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"SENTRY_DSN": ""}, False),
        (BASE, True),
        ({**BASE, "SENTRY_ENABLED": "true"}, True),
        ({**BASE, "SENTRY_ENABLED": "false"}, False),
    ],
)
def test_it_is_on_where_there_is_a_dsn_and_nobody_objects(environment, wanted):
    """SENTRY_ENABLED=false switches all off."""
    assert is_wanted(SentryOptions(), environment) is wanted


def test_the_release_is_the_git_revision(tmp_path):
    """Of a branch, of packed references, of a detached head, of a worktree, from a folder below."""

    def git(*words, folder=tmp_path / "shop"):
        command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", *words]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()

    shop = tmp_path / "shop"
    (shop / "src" / "deep").mkdir(parents=True)
    git("init", "-b", "main")
    git("commit", "--allow-empty", "-m", "one")
    revision = git("rev-parse", "HEAD")
    assert settings(shop / "src" / "deep").release == revision
    git("pack-refs", "--all")
    assert settings(shop).release == revision
    git("worktree", "add", "-b", "side", "../side")
    git("commit", "--allow-empty", "-m", "two", folder=tmp_path / "side")
    assert settings(tmp_path / "side").release == git("rev-parse", "side")
    git("checkout", "--detach", revision)
    assert settings(shop).release == revision
    assert settings(shop).origins["release"] == "git"


@pytest.mark.parametrize("head", ["ref: refs/heads/none", "rubbish", "", "ref: ../../../etc/passwd"])
def test_a_broken_repository_gives_no_release(tmp_path, head):
    """Nothing but a commit's digits is taken for one."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text(head)
    assert settings(tmp_path).release == ""


def test_the_secret_of_an_old_dsn_stays_inside(tmp_path):
    """Not in the front end's settings, not in the policy, not in a representation."""
    dsn = "https://public:hunter2@sentry.example.com:9000/base/7"
    found = resolve(SentryOptions(dsn=dsn, test_token="hunter2"), {}, tmp_path)
    assert frontend(found)["dsn"] == "https://public@sentry.example.com:9000/base/7"
    assert "project 7 at sentry.example.com" in policy(found)
    assert "hunter2" not in policy(found) + repr(found) + str(frontend(found))
