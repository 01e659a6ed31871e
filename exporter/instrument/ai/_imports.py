"""Acting on a module when it has been imported, now or later, without importing it ourselves."""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

Act = Callable[[ModuleType], None]


class Waiting(importlib.abc.MetaPathFinder):
    """Stands first in `sys.meta_path` and finds nothing by itself: it lets the others find, and listens."""

    def __init__(self, acts: dict[str, Act]) -> None:
        self._acts = acts

    def start(self) -> None:
        """Act on what is there already, and wait for the rest."""
        for name, act in self._acts.items():
            module = sys.modules.get(name)
            if module is not None:
                act(module)
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def stop(self) -> None:
        """Wait no longer."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return what the other finders find, made to tell us when it has run."""
        act = self._acts.get(fullname)
        if act is None:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                _listen(spec.loader, fullname, act)
                return spec
        return None


def _listen(loader: Any, name: str, act: Act) -> None:
    # On this one loader object, which goes back to what it was: its type is what resources are found by.
    run = getattr(loader, "exec_module", None)
    if run is None:
        return

    def run_and_tell(module: ModuleType) -> None:
        if module.__name__ != name:  # a loader may serve several modules, as that of a zip file does
            run(module)
            return
        loader.__dict__.pop("exec_module", None)
        run(module)
        act(module)

    try:
        loader.exec_module = run_and_tell
    except AttributeError:  # a loader without room; this module stays unobserved
        return
