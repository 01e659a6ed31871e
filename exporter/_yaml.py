"""Reading a YAML file a person wrote: plain values, the line of each, and every fault with its line."""

from pathlib import Path
from typing import Any

import yaml

Place = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_KINDS = {f"{_TAG}{kind}" for kind in ("binary", "bool", "float", "int", "null", "timestamp")}


class YamlError(ValueError):
    """What is wrong with a file; the message begins with its path and, where there is one, the line."""


def read(path: Path) -> tuple[Any, dict[Place, int]]:
    """Return the content (None: an empty file), and the line of every key and item by its place.

    The empty place is the whole. No value comes into a message: it could be a secret.
    """
    lines: dict[Place, int] = {}
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        return (None if root is None else _Reading(path, lines).plain(root, ())), lines
    except OSError as error:
        raise YamlError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise YamlError(f"{path}: is not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = error.problem or "it cannot be read"
        if "undefined alias" in problem:  # the name behind the star may be a password without quotes
            problem = "found undefined alias; text that begins with * needs quotes"
        raise YamlError(f"{path}:{line}: is not valid YAML: {problem}") from None
    except yaml.YAMLError:
        raise YamlError(f"{path}: is not valid YAML: it has a character that YAML forbids") from None
    except RecursionError:
        raise YamlError(f"{path}: is not valid YAML: it is nested too deeply") from None


class _Reading:
    """One file on its way from nodes to plain values."""

    def __init__(self, path: Path, lines: dict[Place, int]) -> None:
        self._path = path
        self._lines = lines
        self._loader = yaml.SafeLoader("")
        self._open: set[int] = set()

    def plain(self, node: yaml.Node, place: Place) -> Any:
        """Turn a node into plain values, and note the line of each."""
        self._lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if id(node) in self._open:
            raise self._fault(node, "contains itself, by an alias")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, place)
            return [self.plain(item, (*place, number)) for number, item in enumerate(node.value)]
        finally:
            self._open.remove(id(node))

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._fault(key_node, "a key must be a plain word")
            key = str(key_node.value)
            if key in mapping:
                name = ".".join(str(part) for part in (*place, key))
                raise self._fault(key_node, f"the key {name!r} stands here a second time")
            # Of the key, not of the value: a block of text begins below its key.
            self._lines[*place, key] = key_node.start_mark.line + 1
            mapping[key] = self.plain(value_node, (*place, key))
        return mapping

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        try:
            return self._loader.construct_object(node)
        except Exception:  # 2024-13-45 and !!int abc: PyYAML lets through whatever its converters raise
            text = "has a tag that means nothing here; text that begins with ! needs quotes"
            if node.tag in _KINDS:
                text = f"is no valid {node.tag.removeprefix(_TAG)}; text that looks like one needs quotes"
            raise self._fault(node, text) from None

    def _fault(self, node: yaml.Node, text: str) -> YamlError:
        return YamlError(f"{self._path}:{node.start_mark.line + 1}: {text}")
