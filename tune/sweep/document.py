"""A YAML text as plain values that remember where each of them was written.

Read by the rules of YAML 1.2, which are what people expect: ``1e-4`` is a number, ``3:30`` and dates are text. ``yes``,
``no``, ``on`` and ``off`` mean truth to some readers of YAML and words to others, so they are refused unless quoted.
Nothing is ever constructed but scalars, lists and dictionaries.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from tune.sweep.mistakes import Mistake, Place

Path = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_WORDS_OF_TRUTH = re.compile("yes|no|on|off", re.IGNORECASE)
_MERGE = "anchors and merge keys are not taken: write the values out"


class _Loader(yaml.SafeLoader):
    """Resolves plain scalars by YAML 1.2's core schema, and takes no aliases, which could make a text explode."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (as the base class declares it)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, _MERGE, self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)


for _kind, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)", list("-+.0123456789")),
    ("float", r"\.(nan|NaN|NAN)", ["."]),
):
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(f"(?:{_pattern})$"), _first)


@dataclass(slots=True)
class Document:
    """The values of a text, where each key and each value stands, and what is wrong with it as YAML."""

    source: str
    value: Any = None
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Where `path` is written, its key or its value; parts that are written nowhere are passed over."""
        found: Path = ()
        for part in path:
            if (*found, part) in self.values:
                found = (*found, part)
        places = self.keys if key else self.values
        return places.get(found) or self.values.get(found) or Place(self.source)

    def put(self, path: Path, value: Any, place: Place) -> None:
        """Set the value at `path`, whose parents exist, as written at `place`."""
        for places in (self.keys, self.values):
            for old in [one for one in places if one[: len(path)] == path]:
                del places[old]
        holder = self.value
        for part in path[:-1]:
            holder = holder[part]
        holder[path[-1]] = value
        self.keys[path] = place
        self._note(path, value, place)

    def _note(self, path: Path, value: Any, place: Place) -> None:
        self.values[path] = place
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for part, one in inner:
            self._note((*path, part), one, place)


def parse(text: str, source: str) -> Document:
    """`text` as a document that is called `source` in messages; what is not YAML becomes mistakes of it."""
    document = Document(source)
    lines = text.splitlines()
    try:
        node = yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        document.mistakes.append(_syntax_mistake(error, source, lines))
        return document
    except yaml.reader.ReaderError as error:
        at = Place(source, text.count("\n", 0, error.position) + 1, 1)
        document.mistakes.append(Mistake(f"character #x{ord(text[error.position]):04x} is not allowed in YAML", at))
        return document
    except RecursionError:
        document.mistakes.append(Mistake("it is nested too deeply", Place(source)))
        return document
    if node is not None:
        document.value = _Reader(document, lines).read(node, (), None)
    return document


class _Reader:
    """Turns composed nodes into values, and notes their places in the document."""

    def __init__(self, document: Document, lines: list[str]) -> None:
        self._document = document
        self._lines = lines

    def read(self, node: yaml.Node, path: Path, key: Place | None) -> Any:
        place = self._place(node)
        # A block that spans lines is best shown by the key it hangs on.
        self._document.values[path] = key if key and not isinstance(node, yaml.ScalarNode) else place
        match node:
            case yaml.ScalarNode():
                return self._scalar(node, place)
            case yaml.SequenceNode():
                self._check_tag(node, "seq", place)
                return [self.read(one, (*path, at), None) for at, one in enumerate(node.value)]
            case yaml.MappingNode():
                self._check_tag(node, "map", place)
                return self._mapping(node, path)
        raise AssertionError(node)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            at = self._place(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                self._complain("a key must be a word", at)
                continue
            key = str(key_node.value)
            if key == "<<":
                self._complain(_MERGE, at)
                continue
            if key in mapping:
                first = self._document.keys[(*path, key)]
                self._complain(f"`{key}` is here twice: it was given in line {first.line} already", at)
                continue
            self._document.keys[(*path, key)] = at
            mapping[key] = self.read(value_node, (*path, key), at)
        return mapping

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> Any:
        text = str(node.value)
        if node.style is None and _WORDS_OF_TRUTH.fullmatch(text):
            meant = "true" if text.lower() in ("yes", "on") else "false"
            self._complain(f'`{text}` may mean a word or a truth value: write "{text}" in quotes, or {meant}', place)
            return text
        match node.tag.removeprefix(_TAG):
            case "str":
                return text
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int" | "float" as kind:
                return self._number(kind, text, place)
        self._check_tag(node, "str", place)
        return text

    def _number(self, kind: str, text: str, place: Place) -> int | float | str:
        try:
            if kind == "float":
                return float(text.replace(".", "") if text[-1:].isalpha() else text)  # .inf, .nan
            return int(text, 0 if text[:2] in ("0o", "0x") else 10)
        except ValueError:
            self._complain(f"{text[:20]!r} cannot be read as a number", place)
            return text

    def _check_tag(self, node: yaml.Node, kind: str, place: Place) -> None:
        if node.tag != _TAG + kind:
            self._complain(f"tags such as {node.tag!r} are not taken: write plain values", place)

    def _complain(self, message: str, place: Place) -> None:
        self._document.mistakes.append(Mistake(message, place))

    def _place(self, node: yaml.Node) -> Place:
        start, end = node.start_mark, node.end_mark
        text = self._lines[start.line] if start.line < len(self._lines) else ""
        width = end.column - start.column if end.line == start.line else len(text) - start.column
        return Place(self._document.source, start.line + 1, start.column + 1, max(1, width), text.replace("\t", " "))


def _syntax_mistake(error: yaml.MarkedYAMLError, source: str, lines: list[str]) -> Mistake:
    mark = error.problem_mark or error.context_mark
    message = str(error.problem or error.context or "this is not YAML")
    if "'\\t'" in message:
        message = "a tab cannot indent YAML: use spaces"
    elif error.context and error.problem:
        message = f"{error.problem} {error.context}"
    if mark is None:
        return Mistake(message, Place(source))
    text = lines[mark.line] if mark.line < len(lines) else ""
    return Mistake(message, Place(source, mark.line + 1, mark.column + 1, 1, text.replace("\t", " ")))
