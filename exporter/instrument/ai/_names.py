"""Label values that come from the application: an allow-list, or the first so many, then `other`."""

from collections.abc import Iterable

from exporter.store import OTHER

_LONGEST = 200  # characters


class Names:
    """Keeps one label bounded."""

    def __init__(self, most: int, *always: str) -> None:
        self._most = most
        self._always = frozenset(always)
        self._known: set[str] = set()
        self._closed = False

    def allow(self, names: Iterable[str]) -> None:
        """Take these alone from now on, with those allowed before. Raises ValueError for what is no name."""
        wanted = set(names)
        for name in wanted or [""]:
            if not isinstance(name, str) or not 0 < len(name) <= _LONGEST:
                raise ValueError(f"a name of 1 to {_LONGEST} characters is needed, not {name!r:.50}")
        self._known = self._known | wanted if self._closed else wanted
        self._closed = True

    def of(self, name: str) -> str:
        """Return the name, or `other` for one too many."""
        if name in self._known or name in self._always:
            return name
        if self._closed or len(self._known) >= self._most or len(name) > _LONGEST:
            return OTHER
        self._known.add(name)
        return name
