"""Nested values: what stands under a name, JSON inside texts, and objects that do not behave."""

import copy
import datetime
import decimal
import enum
import json
import uuid
from collections import ChainMap, OrderedDict, deque, namedtuple
from dataclasses import dataclass
from types import MappingProxyType

import pytest

from exporter.instrument.pii import Scrubber


class Colour(enum.Enum):
    RED = "red@example.com"
    BLUE = 4


Login = namedtuple("Login", "user password")


@dataclass
class Account:
    email: str
    password: str


class Rude:
    """Raises at every turn."""

    def __str__(self):
        raise SystemError("no")

    __repr__ = __hash__ = __eq__ = __len__ = __iter__ = __str__


class RudeDict(dict):
    def items(self):
        raise KeyError("planted@example.com")


class Loud(str):
    def strip(self, *chars):
        raise ValueError("planted@example.com")

    lower = __str__ = strip


def test_a_copy_is_made():
    """What was handed in is as it was."""
    given = {"a": [{"b": ("x@example.com", {"password": "y"})}], "c": {"z@example.com"}}
    before = copy.deepcopy(given)
    assert Scrubber().value(given) == {
        "a": [{"b": ("[email]", {"password": "[redacted]"})}],
        "c": {"[email]"},
    }
    assert given == before


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (None, None),
        (True, True),
        (12, 12),
        (4111111111111111, "[creditcard]"),
        (4111111111111112, 4111111111111112),
        (10**5000, 10**5000),
        (1.5, 1.5),
        (b"x@example.com \xff", b"[email] \xff"),
        (bytearray(b"x@example.com"), b"[email]"),
        (memoryview(b"x@example.com"), b"[email]"),
        (Colour.RED, "[email]"),
        (Colour.BLUE, 4),
        (Login("x@example.com", "hunter2"), Login("[email]", "[redacted]")),
        (Account("x@example.com", "hunter2"), "Account(email='[email]', password='[secret]')"),
        (ValueError("x@example.com"), "[email]"),
        (frozenset({"x@example.com"}), frozenset({"[email]"})),
        (deque(["x@example.com"]), ["[email]"]),
        (OrderedDict(token="x"), {"token": "[redacted]"}),
        (MappingProxyType({"token": "x"}), {"token": "[redacted]"}),
        (ChainMap({"token": "x"}), {"token": "[redacted]"}),
        (datetime.date(2026, 11, 3), datetime.date(2026, 11, 3)),
        (uuid.UUID(int=4), uuid.UUID(int=4)),
        (decimal.Decimal("1.50"), "1.50"),
        ("\ud800x@example.com", "\ud800[email]"),
    ],
    ids=lambda value: f"{type(value).__name__} {str(value)[:8]!a}" if not isinstance(value, int) else "int",
)
def test_values_of_all_kinds(given, wanted):
    """Containers stay what they are where they can; other objects become their text."""
    got = Scrubber().value(given)
    assert got == wanted
    assert type(got) is type(wanted)


@pytest.mark.parametrize(
    "value", [Rude(), [Rude()], {"a": Rude()}, {Rude: 1}, RudeDict(a=1), Loud("a"), iter([1])]
)
def test_objects_that_raise_do_no_harm(value):
    """And nothing of their exceptions comes out."""
    assert "planted" not in repr(Scrubber().value(value))


def test_names_hide_what_is_under_them():
    """Texts, numbers, lists and dicts; not what says only whether there is one."""
    given = {
        "password": "x",
        "token": 12,
        "secret": {"a": "b"},
        "cookies": ["c"],
        "pin": None,
        "otp": "",
        "csrf": True,
    }
    hidden = dict.fromkeys(("password", "token", "secret", "cookies"), "[redacted]")
    assert Scrubber().value(given) == {**hidden, "pin": None, "otp": "", "csrf": True}


def test_headers_come_in_pairs():
    """As lists or tuples, of texts or bytes, as ASGI hands them on."""
    given = [(b"host", b"x"), (b"Cookie", b"a=b"), (b"x-api-key", b"k")]
    assert Scrubber().value(given) == [
        (b"host", b"x"),
        (b"Cookie", "[redacted]"),
        (b"x-api-key", "[redacted]"),
    ]
    assert Scrubber().value([["a", "password"], ["password", "x"]]) == [
        ["a", "password"],
        ["password", "[redacted]"],
    ]
    assert Scrubber().value(["password", "reset"]) == ["password", "reset"]


def test_a_name_may_stand_beside_its_value():
    """{"name": "password", "value": …}, as some protocols have it."""
    assert Scrubber().value({"name": "Password", "value": "x"})["value"] == "[redacted]"
    assert Scrubber().value({"name": "colour", "value": "x"})["value"] == "x"


def test_json_in_a_text_is_read():
    """Also inside JSON, and however its letters are escaped; what is clean stays to the letter."""
    inner = json.dumps({"password": "x", "mail": "a@example.com"})
    assert json.loads(Scrubber().value(inner)) == {"password": "[redacted]", "mail": "[email]"}
    twice = Scrubber().value(json.dumps({"body": inner, "n": 1}))
    assert json.loads(json.loads(twice)["body"]) == {"password": "[redacted]", "mail": "[email]"}
    assert Scrubber().value(r'{"a": "b\u0040example.com"}') == '{"a": "[email]"}'
    assert Scrubber().value('"{\\"password\\": \\"x\\"}"') == r'"{\"password\": \"[redacted]\"}"'
    clean = ' {"b":  1.10, "a": [1,2 ]}\n'
    assert Scrubber().value(clean) == clean


def test_a_name_that_is_there_twice_hides_nothing():
    """Readers take the last of two; the first one must not stay in the text."""
    assert "hunter2" not in Scrubber().value('{"password": "hunter2", "password": null}')
    assert "a@example.com" not in Scrubber().value('{"x": "a@example.com", "x": 1}')


def test_json_that_is_broken_is_scrubbed_as_text():
    """Bodies are often cut short."""
    assert Scrubber().value('{"password": "hunter2", "user": {"na') == '{"password": "[secret]", "user": {"na'


def test_names_themselves_may_be_private():
    """Two of them do not become one."""
    assert Scrubber().value({"a@example.com": 1, "b@example.com": 2, 3: 4, None: 5}) == {
        "[email]": 1,
        "[email] 2": 2,
        3: 4,
        None: 5,
    }


def test_texts_are_read_as_what_their_names_say():
    """URLs, query strings and SQL, as Sentry and OpenTelemetry call them."""
    given = {
        "url": "/a?b=Anna",
        "http.url": "https://x.example/?q=Anna",
        "query_string": "q=Anna",
        "db.statement": "SELECT 'Anna'",
        "db.query.text": "SELECT 'Anna'",
        "Referer": "/a?b=Anna",
    }
    assert "Anna" not in json.dumps(Scrubber().value(given))


def test_what_is_endless_ends():
    """Cycles, depth and number have bounds, and each leaves a mark."""
    circle = {"a": []}
    circle["a"].append(circle)
    assert Scrubber().value(circle) == {"a": ["[cycle]"]}
    deep = "x"
    for _ in range(1000):
        deep = [deep]
    assert "[deep]" in repr(Scrubber().value(deep))
    laughs = ["ha"]
    for _ in range(30):
        laughs = [laughs] * 10
    assert len(repr(Scrubber().value(laughs))) < 1_000_000
    assert Scrubber().value(list(range(50_000)))[-1] == "[cut]"
    assert Scrubber().value(["a"] * 50_000)[-1] == "[cut]"
    assert len(Scrubber().value({str(n): n for n in range(50_000)})) < 20_000


def test_json_that_is_nested_too_deep_is_scrubbed_as_text():
    """It neither raises nor stays."""
    hostile = "[" * 50_000 + '"a@example.com"' + "]" * 50_000
    assert "a@example.com" not in Scrubber(longest=200_000).value(hostile)
    boxed = "password=hunter2"
    for _ in range(14):
        boxed = json.dumps([boxed])
    assert "hunter2" not in Scrubber().value(boxed)
