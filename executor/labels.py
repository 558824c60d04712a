"""What nodes are called, ``zone=a``, as kinds of resources that nobody uses up: placement need know of nothing else.

A request for a label asks for a trifle of its kind, and the nodes that are called so have more than can be asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from executor.resources import Resources

_MARK = "label:"
_PLENTY = 1e9
_TRIFLE = 1e-4


def offered(labels: Mapping[str, str]) -> Resources:
    """The labels of a node, as a part of its capacity."""
    return Resources.of(dict.fromkeys(map(_kind, labels.items()), _PLENTY))


def asked(labels: Iterable[tuple[str, str]]) -> Resources:
    """Labels that a node must have, as a part of a request."""
    return Resources.of(dict.fromkeys(map(_kind, labels), _TRIFLE))


def called(capacity: Resources) -> dict[str, str]:
    """What the node with this capacity is called."""
    return dict(kind.removeprefix(_MARK).split("=", 1) for kind in capacity if kind.startswith(_MARK))


def without(amounts: Resources) -> Resources:
    """What is left for people to read."""
    return Resources.of_units({kind: count for kind, count in amounts.units().items() if not kind.startswith(_MARK)})


def _kind(label: tuple[str, str]) -> str:
    return f"{_MARK}{label[0]}={label[1]}"
