"""URLs and query strings: the names of parameters stay, their values go."""

import re
from collections.abc import Callable

MARK = "[redacted]"
_PIECES = re.compile(r"([&;])")
_FLAG = re.compile(r"[A-Za-z_]{0,12}")  # ?wsdl


def url(address: str, text: Callable[[str], str]) -> tuple[str, int]:
    """Return the address with scrubbed path and without values, and how many values went."""
    address, sharp, fragment = address.partition("#")
    path, mark, after = address.partition("?")
    count = 0
    scrubbed = text(path)
    if mark:
        after, count = query(after, text)
        scrubbed += mark + after
    if sharp:
        if "?" in fragment:  # a route of the front end, with a query of its own
            fragment, more = url(fragment, text)
        elif "=" in fragment:
            fragment, more = query(fragment, text)
        else:
            fragment, more = text(fragment), 0
        scrubbed += sharp + fragment
        count += more
    return scrubbed, count


def query(pairs: str, text: Callable[[str], str]) -> tuple[str, int]:
    """Return a=…&b=… without the values, and how many went."""
    found = _PIECES.split(pairs)
    count = 0
    for number in range(0, len(found), 2):
        name, sign, value = found[number].partition("=")
        if sign:
            found[number] = f"{text(name)}={MARK if value else ''}"
            count += value not in {"", MARK}
        elif not _FLAG.fullmatch(name) and name != MARK:
            found[number] = MARK
            count += 1
    return "".join(found), count
