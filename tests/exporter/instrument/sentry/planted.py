"""What is planted, in every place an application has; none of it may be found on the wire."""

import json
import urllib.parse

PLACES = (
    "body",
    "query",
    "header",
    "path",
    "message",
    "cause",
    "local",
    "sql",
    "breadcrumb",
    "user",
    "tag",
    "context",
    "extra",
    "log",
    "outgoing",
    "agent",
    "cookie",
    "span",
    "baggage",
    "checkin",
    "metric",
    "prompt",
    "attachment",
    "argument",
    "session",
)
CARD = "4242 4242 4242 4242"
SSN = "219-09-9999"
PHONE = "+1 415 555 0132"
_PASSWORD = "hunter2"
_DOMAIN = "leak-planted.example"


def email(place: str) -> str:
    assert place in PLACES, place
    return f"{place}@{_DOMAIN}"


def password(place: str) -> str:
    """A secret without a form of its own: only its place gives it away."""
    assert place in PLACES, place
    return f"{_PASSWORD}{place}"


def all_of(place: str) -> str:
    """A sentence with everything that has a form."""
    return f"mail {email(place)} card {CARD} ssn {SSN} phone {PHONE} password={password(place)}"


def found(wire: bytes) -> set[str]:
    """What is left of it in the bytes on the wire, however they are quoted, by place."""
    text = wire.decode()
    for each in (text, urllib.parse.unquote_plus(text), _unescaped(text)):
        text += "\n" + each
    leaks = {place for place in PLACES if email(place) in text or password(place) in text}
    digits = "".join(character for character in text if character not in " -().+")
    leaks |= {
        name
        for name, value in (("card", CARD[:9]), ("ssn", SSN), ("phone", PHONE))
        if _digits(value) in digits
    }
    if _DOMAIN in text or _PASSWORD in text:
        leaks.add("something")
    return leaks


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def _unescaped(text: str) -> str:
    return text.replace("\\\\", "\\").replace('\\"', '"').encode().decode("unicode_escape", "replace")


def json_body() -> bytes:
    form = {
        "email": email("body"),
        "password": password("body"),
        "card": {"number": CARD.replace(" ", ""), "holder": email("body")},
        "note": all_of("body"),
        "nested": json.dumps({"secret": password("body"), "ssn": SSN}),
    }
    return json.dumps(form).encode()
