"""Names whose values are private whatever they look like: password, Authorization, cardNumber."""

import re
from collections.abc import Iterable

# "two words": these words stand in the name, one after the other, wherever: user_password_2.
# "*word": the name ends so, also within a word: X-Csrf-Token, csrfmiddlewaretoken, not token_bucket.
# Case does not count, nor does how words are joined.
SECRET_KEYS = (
    "password", "*password", "passwd", "*passwd", "passwort", "*passwort", "kennwort", "senha", "wachtwoord",
    "contraseña", "пароль", "密码", "密碼", "パスワード", "비밀번호",
    "pwd", "*pwd", "passphrase", "*passphrase",
    "pass word", "*pass phrase", "passcode", "passwords", "db pass", "user pass", "smtp pass", "*dbpass",
    "secret", "*secret", "secrets", "credential", "credentials", "client secret", "secret key", "*secretkey",
    "private key", "*privatekey", "api key", "*apikey", "*api keys", "access key", "*accesskey",
    "encryption key", "signing key", "amz signature", "account key", "shared key", "service key",
    "master key",
    "*token", "*access tokens", "*refresh tokens", "token value", "token hash", "jwt", "*bearer",
    "*authorization", "*auth", "*authentication", "authorization header", "auth header",
    "shared access signature",
    "*cookie", "*cookies", "cookie value", "set cookie", "cookie header",
    "*session", "*session id", "*sessionid", "*sessid", "*session key", "session data",
    "csrf", "xsrf", "*csrf", "dsn", "connection string", "*connectionstring",
    "otp", "totp", "mfa code", "pin", "cvv", "cvc", "cvv2", "cvc2", "security code", "recovery code",
)  # fmt: skip
PERSONAL_KEYS = (
    "ssn", "*social security number", "social security", "aadhaar", "aadhar", "*aadhaarnumber",
    "pan number", "*pannumber", "card number", "*cardnumber", "cc number", "*ccnumber", "card no", "ccnum",
    "iban", "account number", "*accountnumber", "routing number", "sort code",
    "passport", "passport number", "*passportnumber", "driving licence", "drivers license",
    "date of birth", "dob", "birthdate", "birthday", "*dateofbirth",
    "phone", "*phone number", "*phonenumber", "mobile", "mobile number", "msisdn", "telephone", "*telephone",
)  # fmt: skip
DEFAULT_KEYS = SECRET_KEYS + PERSONAL_KEYS

# A name that ends or begins so tells of the thing and does not hold it: token_count, has_password.
_ENDS = """
age at attempts attempted available algorithm budget category changed class consent cost count counts
created days domain enabled error errors exists expired expires expiration expiry field fields format in
kind label last4 left length len level limit lifetime max maxlength message min minutes missing ms name
names path policy present rate ratio remaining required rotated rules score seconds set size status
strength supported timeout time total ttl type types updated usage used valid validator verified version
warning
"""
_HARMLESS_END = frozenset(_ENDS.split())
_BEGINS = """
allow allows can count disable enable forgot has have is max min n needs no num number require requires
supports total use uses with without
"""
_HARMLESS_BEGINNING = frozenset(_BEGINS.split())
_WORD = re.compile(r"[A-Z]{1,100}(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_A-Za-z]+")
# A phone that was a name is no name for a phone.
_MARK = re.compile(r"\[(?:email|phone|creditcard|ssn|aadhaar|pan|iban|secret|redacted)\]")
_DIGITS = "0123456789"
_MOST = 4096  # names come from outside as well: as many are kept in mind
_LONGEST = 100


class Keys:
    """Says of a name whether its value is private, and keeps the answer for the next time."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        words = [_words(name) for name in self.names if not name.startswith("*")]
        # Digits belong to the word before them, cvv2 is one; but password2 is password as well.
        self._inside = tuple(f" {' '.join(found)} " for found in words)
        self._whole = frozenset("".join(found) for found in words)
        self._endings = tuple("".join(_words(name)) for name in self.names if name.startswith("*"))
        self._known: dict[str, bool] = {}

    def __call__(self, name: str) -> bool:
        known = self._known.get(name)
        if known is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            known = self._find(name[-_LONGEST:])
            if len(name) <= _LONGEST:
                self._known[name] = known
        return known

    def _find(self, name: str) -> bool:
        words = _words(_MARK.sub("", name))
        if not words:
            return False
        if len(words) > 1 and (words[-1] in _HARMLESS_END or words[0] in _HARMLESS_BEGINNING):
            return False
        return self._matches(words) or self._matches([word.rstrip(_DIGITS) or word for word in words])

    def _matches(self, words: list[str]) -> bool:
        squashed, spaced = "".join(words), f" {' '.join(words)} "
        return (
            squashed in self._whole
            or squashed.endswith(self._endings)
            or any(inside in spaced for inside in self._inside)
        )


def _words(name: str) -> list[str]:
    """Split cardNumber2, CARD-NUMBER and card_number alike."""
    words: list[str] = []
    for match in _WORD.finditer(name):
        word = match.group().lower()
        if word.isdigit() and words and match.start() and name[match.start() - 1].isalpha():
            words[-1] += word
        else:
            words.append(word)
    return words
