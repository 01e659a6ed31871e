"""Texts, URLs, SQL and rows of databases: what goes, what stays, and what users can add."""

import asyncio
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from exporter.instrument.pii import DEFAULT_RULES, REDACTIONS, Rule, Scrubber, counting
from exporter.store import Store

ROOT = Path(__file__).parents[4]


def test_users_add_rules_before_the_others():
    """A rule is a kind and a pattern; group 1 goes if there is one, and a check may say no."""
    ours = Scrubber().with_rules(
        Rule("employee", r"\bEMP-[0-9]{6}\b"),
        Rule("badge", r"badge ([0-9]{4})", check=lambda found: found != "0000", needs=("badge",)),
        Rule("work_email", r"\S{1,64}@corp\.example"),
    )
    text = "EMP-123456 badge 4711 badge 0000 a@corp.example b@example.com"
    assert ours.text(text) == "[employee] badge [badge] badge 0000 [work_email] [email]"
    assert Scrubber().text("EMP-123456") == "EMP-123456"


def test_users_add_names():
    """Words in a row, or with a star the end of a name; case and joints do not count."""
    ours = Scrubber().with_keys("salary", "bank reference", "*codename")
    given = {"Salary": 1, "old-salary": 2, "bankReference": "x", "BANK_REFERENCE": "y", "mycodename": "z"}
    assert set(ours.value(given).values()) == {"[redacted]"}
    assert ours.value({"salary_count": 3, "codenames": "x"}) == {"salary_count": 3, "codenames": "x"}
    assert ours.text("salary=12000 per year") == "salary=[secret] per year"


def test_one_can_start_from_nothing():
    """Without rules and names everything stays."""
    text = "a@example.com password=x"
    assert Scrubber(rules=(), keys=()).text(text) == text
    assert Scrubber(rules=(), keys=("password",)).text(text) == "a@example.com password=[secret]"
    assert Scrubber(rules=DEFAULT_RULES, keys=()).text(text) == "[email] password=x"


def test_a_rule_that_fails_lets_nothing_through():
    """The text is unknown then, and does not leave; no exception reaches the application."""

    def fail(found):
        raise RuntimeError(found)

    broken = Scrubber().with_rules(Rule("x", r"boom", check=fail))
    assert broken.text("boom a@example.com") == "[unreadable]"
    assert broken.value({"a": ["boom"], "b": "fine"}) == {"a": ["[unreadable]"], "b": "fine"}
    assert {broken.url("/boom"), broken.sql("boom"), broken.name("boom")} == {"[unreadable]"}


def test_a_kind_is_a_label():
    """It becomes a mark and a label of the metric, so it is a small word."""
    with pytest.raises(ValueError, match="small word"):
        Rule("E-Mail", "x")


def test_what_goes_is_counted_by_kind():
    """As often as it goes, marks that were there before not at all."""
    counted = {}
    scrubber = Scrubber(counted=lambda kind, n: counted.update({kind: counted.get(kind, 0) + n}))
    scrubber.value({"a": "x@example.com y@example.com", "password": "z", "b": ["[email]", "[redacted]"]})
    scrubber.url("/a?b=c&d=e")
    scrubber.sql("SELECT 1")
    assert counted == {"email": 2, "key": 1, "url": 2, "sql": 1}


def test_the_metric_is_fed():
    """`counting(store)` counts into pii_redactions_total."""
    store = Store(CollectorRegistry())
    Scrubber(counted=counting(store)).text("a@example.com b@example.com 4111111111111111")
    page = store.page().decode()
    assert f'{REDACTIONS.name}{{kind="email"}} 2' in page
    assert f'{REDACTIONS.name}{{kind="creditcard"}} 1' in page


def test_a_counter_that_fails_changes_nothing():
    """What is private goes all the same."""
    assert Scrubber(counted=lambda kind, n: 1 / 0).text("a@example.com") == "[email]"


def test_a_long_text_is_cut_with_a_mark():
    """At a blank, without the half of a number, and only once."""
    scrubber = Scrubber(longest=1000)
    text = "word " * 195 + "4111 1111 1111 1111 " + "a@example.com " * 100
    cut = scrubber.text(text)
    assert len(cut) < 1000
    assert cut.endswith("word…[cut]")
    assert scrubber.text(cut) == cut
    assert len(scrubber.text("x" * 5000)) < 1000
    grown = scrubber.text("pwd=x " * 1000)
    assert "=x" not in grown
    assert scrubber.text(grown) == grown


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("/a/b?page=2&q=Anna+Smith#top", "/a/b?page=[redacted]&q=[redacted]#top"),
        ("https://u:p@example.com/+14155552671/x?y", "https://u:[secret]@example.com/[phone]/x?y"),
        ("https://example.com/?wsdl", "https://example.com/?wsdl"),
        ("https://example.com/?12345678", "https://example.com/?[redacted]"),
        ("/cb#access_token=abc&x=", "/cb#access_token=[redacted]&x="),
        ("/#/reset?token=abc", "/#/reset?token=[redacted]"),
        ("/x?a@example.com=1;b=2", "/x?[email]=[redacted];b=[redacted]"),
        ("/phones/+14155552671", "/phones/[phone]"),
        ("", ""),
    ],
)
def test_a_url_keeps_its_names_only(address, wanted):
    """Path and names of parameters stay, scrubbed; values, passwords and fragments with values go."""
    assert Scrubber().url(address) == wanted


def test_a_query_string_keeps_its_names_only():
    """As it stands without the question mark."""
    assert Scrubber().query("a=1&b=&c=x%40y.example") == "a=[redacted]&b=&c=[redacted]"


@pytest.mark.parametrize(
    ("statement", "wanted"),
    [
        ("SELECT * FROM t1 WHERE a = 'x' AND b = 12.5", "SELECT * FROM t1 WHERE a = ? AND b = ?"),
        ("SELECT 'it''s', E'a\\'b', $$c$$, $q$d$q$, 0xFF, -3, 1e5, .5", "SELECT ?, ?, ?, ?, ?, -?, ?, ?"),
        (
            'SELECT "u"."a" FROM "u" WHERE "u"."b" = $1 LIMIT 3',
            'SELECT "u"."a" FROM "u" WHERE "u"."b" = $1 LIMIT ?',
        ),
        (
            'SELECT a FROM u WHERE b = "Anna" AND "u"."b" = "v"."c"',
            'SELECT a FROM u WHERE b = ? AND "u"."b" = "v"."c"',
        ),
        ("SELECT 1 -- for Anna", "SELECT ? --"),
        ("SELECT /* user=Anna */ a", "SELECT /* */ a"),
        ("INSERT INTO t VALUES ('cut here, An", "INSERT INTO t VALUES (?"),
        ("SELECT a WHERE b = %s AND c = :name AND d = ?", "SELECT a WHERE b = %s AND c = :name AND d = ?"),
        ("SELECT x::int, a.b2 FROM c3", "SELECT x::int, a.b2 FROM c3"),
        ("N'Anna' || U&'Anna' || X'41'", "? || ? || ?"),
        ("a = 'C:\\' AND name = 'Anna'", "a = ?"),
    ],
)
def test_sql_keeps_no_literal(statement, wanted):
    """Strings of all dialects, numbers and comments go; names, parameters and casts stay."""
    assert Scrubber().sql(statement) == wanted


@pytest.mark.parametrize("kind", ["Unique", "ForeignKey", "NotNull", "Check"])
def test_a_row_in_an_error_message_of_postgres_goes(kind, postgres):
    """As the server itself words it, through asyncpg's exception."""

    async def provoke():
        connection = await asyncpg.connect(postgres.dsn)
        try:
            await connection.execute(
                "CREATE TEMP TABLE p (id int PRIMARY KEY,"
                " name text UNIQUE NOT NULL CHECK (name <> 'Planted Bad'));"
                "CREATE TEMP TABLE c (p int REFERENCES p);"
                "INSERT INTO p VALUES (1, 'Planted Name')"
            )
            await connection.execute(
                {
                    "Unique": "INSERT INTO p VALUES (2, 'Planted Name')",
                    "ForeignKey": "INSERT INTO c VALUES (77123)",
                    "NotNull": "INSERT INTO p VALUES (77123, NULL)",
                    "Check": "INSERT INTO p VALUES (77123, 'Planted Bad')",
                }[kind]
            )
        except asyncpg.PostgresError as error:
            return f"{error}\nDETAIL:  {error.detail}"
        finally:
            await connection.close()

    told = asyncio.run(provoke())
    assert "Planted" in told or "77123" in told
    scrubbed = Scrubber().text(told)
    assert "Planted" not in scrubbed
    assert "77123" not in scrubbed
    assert "[redacted]" in scrubbed


OFF = """
import sys
from exporter import instrument
instrument()
assert not [name for name in sys.modules if name.startswith("exporter.instrument.pii")]
before = set(sys.modules)
import exporter.instrument.pii
for name in set(sys.modules) - before:
    top = name.partition(".")[0]
    assert top == "exporter" or top in sys.stdlib_module_names, name
"""


def test_nothing_is_imported_when_it_is_not_used():
    """An application without logs and errors pays nothing; with them, the standard library alone."""
    subprocess.run([sys.executable, "-c", OFF], cwd=ROOT, check=True)
