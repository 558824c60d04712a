"""Settings from the command line that change a sweep file: ``scheduler.max_t=9``, the value read as YAML."""

from __future__ import annotations

from typing import Any

from tune.sweep.document import Document, Path, parse
from tune.sweep.mistakes import Mistake, Place

SHORT_FORMS = {"searcher": "type", "scheduler": "type", "metric": "name"}
"""Sections that may be written as one word, and the key that the word is for."""


SAME = {"num_samples": "run_cap", "searcher": "method", "scheduler": "early_terminate"}
"""W&B's words for what we call otherwise."""


def override(document: Document, setting: str) -> None:
    """Apply ``key.key=value`` to `document`; what cannot be applied becomes a mistake of it."""
    place = Place(f"--set {setting}")
    name, equals, text = setting.partition("=")
    path = tuple(part.strip() for part in name.split("."))
    if not equals or not all(path):
        document.mistakes.append(Mistake("expected key=value, such as scheduler.max_t=9", place))
        return
    given = parse(text, place.source)
    document.mistakes += [Mistake(one.message, place) for one in given.mistakes]
    if not given.mistakes:
        put(document, path, given.value, place)


def put(document: Document, path: Path, value: Any, place: Place) -> None:
    """Set one value of `document`, with the sections that lead to it; another word for the same gives way."""
    document.value.pop(SAME.get(str(path[0]), ""), None)
    for end in range(1, len(path)):
        if not _open_section(document, path[:end]):
            lead = ".".join(map(str, path[:end]))
            document.mistakes.append(Mistake(f"`{lead}` holds no keys, so `{path[end]}` cannot be set in it", place))
            return
    document.put(path, value, place)


def _open_section(document: Document, path: Path) -> bool:
    """Make sure that there is a dictionary at `path`."""
    holder = document.value
    for part in path[:-1]:
        holder = holder[part]
    found = holder.get(path[-1])
    if isinstance(found, str) and len(path) == 1 and path[0] in SHORT_FORMS:
        document.put(path, {SHORT_FORMS[str(path[0])]: found}, document.place(path))
    elif found is None:
        document.put(path, {}, document.place(path))
    return isinstance(holder[path[-1]], dict)
