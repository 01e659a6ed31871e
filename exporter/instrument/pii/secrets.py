"""Tokens and keys that show what they are, and passwords in addresses and in sentences."""

import re
from collections.abc import Iterator

from exporter.instrument.pii.rules import Rule, Span

# Prefixes that the makers of tokens chose so that they can be found; the last is a JSON web token.
_KNOWN = (
    r"sk-[\w\-]{16,}+",
    r"[sr]k_(?:live|test)_[A-Za-z0-9]{10,}+",
    r"whsec_[A-Za-z0-9+/=]{16,}+",
    r"gh[pousr]_[A-Za-z0-9]{30,}+",
    r"github_pat_\w{30,}+",
    r"glpat-[\w\-]{20,}+",
    r"xox[abeoprs]-[A-Za-z0-9\-]{10,}+",
    r"ya29\.[\w\-.]{10,}+",
    r"SG\.[\w\-]{16,}+\.[\w\-]{16,}+",
    r"npm_[A-Za-z0-9]{30,}+",
    r"pypi-[\w\-]{30,}+",
    r"hf_[A-Za-z0-9]{30,}+",
    r"(?<!-)eyJ[\w\-]{5,}+\.[\w\-]{2,}+\.[\w\-]*+",
)
# Words that stand after "password:" or "password is" in a sentence; none of them is one.
_SENTENCES = """
a an and are authentication be been but by can cannot changed check checked could created deleted did does
empty enabled encrypted error expected expired expires failed false field for from had has hash have hint
if in incorrect invalid is it length long match mismatch missing must needed needs never new nil no none
not null of ok only or policy protected provided refused rejected required reset rotated set should since
strength successful successfully than that the this to too true typed undefined unknown unset updated
upgrade used using valid validated wait was weak were will with without wrong yes your
"""
WORDS = frozenset(_SENTENCES.split())
_PORT = re.compile(r"[0-9]{1,5}(?:/|$)")
_PLAIN_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]{0,15}")


def prose(found: str) -> bool:
    """Say whether it is a word of a sentence: letters, none but the first of them a capital."""
    found = found.strip(".,;:!?")
    return found.lower() in WORDS or (found.isalpha() and found[1:].islower()) or len(found) < 2


def _mixed(found: str) -> bool:
    return any(letter.isdigit() or letter.isupper() for letter in found[1:])


def _user(match: re.Match[str]) -> Iterator[Span]:
    """The password of scheme://user:password@host, or a user that is a token itself."""
    (start, end), found = match.span(1), match.group(1)
    user, colon, password = found.partition(":")
    if "/" in user or (colon and _PORT.match(password)):  # the @ stands in the path
        return
    if not colon:
        if not _PLAIN_USER.fullmatch(user):
            yield start, end
    elif not user or _PLAIN_USER.fullmatch(user):
        yield start + len(user) + 1, end
    else:
        yield start, end


# All of these may be letters.
CLOUD_KEY = Rule(
    "secret",
    r"\b(?:A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9])|AIza[\w\-]{35}|[0-9]{8,10}:AA[\w\-]{33})",
    check=_mixed,
    needs=("akia", "asia", "aiza", ":aa"),
)
TOKEN = Rule(
    "secret",
    r"\b(?:" + "|".join(_KNOWN) + ")",
    check=_mixed,
    needs=("sk-", "k_live_", "k_test_", "whsec_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_",
           "github_pat_", "glpat-", "xox", "ya29.", "sg.", "npm_", "pypi-", "hf_", "eyj"),
    signs="-_.",
)  # fmt: skip
BEARER = Rule("secret", r"(?i:\bbearer) {1,3}([\w\-.~+/]{8,}+=*+)", check=_mixed, needs=("bearer ",))
SLACK_HOOK = Rule("secret", r"hooks\.slack\.com/services/([\w/]{20,}+)", needs=("hooks.slack.com",))
PRIVATE_KEY = Rule(
    "secret",
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:\\n|\s)*+((?:(?!(?:\\n|\s){0,4}-----END)[\s\S])++)",
    needs=("private key",),
    signs="-",
)
COMMAND = Rule(
    "secret",
    r"(?i:(?<!-)--[a-z\-]{0,24}(?:password|passwd|secret|token|api-key)(?:[ ]{1,3}|=)"
    r"|(?:-u|--user)(?:[ ]{1,3}|=)[\w.@\-]{1,64}:)"
    r"""["']?([^\s"'\-][^\s"']*+)""",
    needs=("--", "-u "),
)
USER = Rule("secret", r"""://([^\s"'<>?#]{0,256}[^\s"'<>?#/])@""", within=_user, needs=("://",), signs="@")
SAID = Rule(
    "secret",
    r"""(?i:\b(?:password|passwort|passcode|passphrase|pwd|otp|pin|cvv)[ ]{1,3}"""
    r"""(?:is|ist|was|war|=)[ :]{1,3}["']?)"""
    r"""([^\s"',;]{1,128}?)(?=[.!?]{0,3}(?:[\s"',;]|$))""",
    check=lambda found: not prose(found) and found[0] != "[",
    needs=("pass", "pwd", "otp", "pin", "cvv"),
)
