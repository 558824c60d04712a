"""A search space as a table: for terminals, and for notebooks as HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from html import escape
from typing import Any

from searchers.choices import Choice, SampleFrom
from searchers.definition import adopt_all, read_definition, validate
from searchers.domain import Domain, Float, Integer, Normal, ReverseLog
from searchers.ladder import FiniteRange, Ordinal
from searchers.parameters import Parameter, count, parameters
from searchers.space import grid_axes, walk
from searchers.stepped import Stepped

_WIDEST = 60


@dataclass(frozen=True, slots=True)
class Row:
    """One parameter, in words. `values` is how many it has, empty for a continuum."""

    parameter: str
    kind: str
    range: str
    scale: str
    values: str
    condition: str


@dataclass(frozen=True, slots=True, repr=False)
class Description:
    """What `describe` returns: `rows` for the parameters, and what goes for all of them.

    `fixed` are the constants by their paths. `count` is how many configurations there are, None when they cannot be
    counted; `constraints` may leave fewer.
    """

    rows: tuple[Row, ...]
    fixed: Mapping[str, Any]
    constraints: tuple[str, ...]
    count: int | None
    is_function: bool = False

    def __str__(self) -> str:
        return "\n".join([*_table(self.rows), *self.notes])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        heads = "".join(f"<th style='text-align:left'>{name}</th>" for name in Row.__slots__)
        lines = [
            "".join(f"<td style='text-align:left'>{escape(text)}</td>" for text in astuple(row)) for row in self.rows
        ]
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        notes = "".join(f"<div>{escape(note)}</div>" for note in self.notes)
        return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>{notes}"

    @property
    def notes(self) -> list[str]:
        """What stands below the table."""
        fixed = ", ".join(f"{path} = {_short(value)}" for path, value in self.fixed.items())
        most = "at most " if self.constraints else ""
        return [
            *([f"fixed: {fixed}"] if fixed else []),
            *(f"constraint: {constraint}" for constraint in self.constraints),
            *(["a function asks for its parameters, trial by trial"] if self.is_function else []),
            *([f"{most}{self.count:,} configurations"] if self.count is not None and not self.is_function else []),
        ]


def describe(space: Any) -> Description:
    """`space` as a table: print it, or let a notebook show it.

    Raises:
        ValueError: lists all that is wrong with the space.
        TypeError: it is none.
    """
    space = adopt_all(space)
    if mistakes := validate(space):
        raise ValueError("; ".join(mistakes))
    definition = read_definition(space)
    axes = grid_axes(definition.tree)
    found = list(parameters(definition.tree))
    return Description(
        rows=tuple(_row(parameter, found, parameter.name in axes) for parameter in found),
        fixed={"/".join(parts): leaf for parts, leaf in walk(definition.tree) if _is_constant(leaf)},
        constraints=tuple(map(str, definition.constraints)),
        count=count(definition.tree) if found else None,
        is_function=definition.define is not None,
    )


def _is_constant(leaf: Any) -> bool:
    return not isinstance(leaf, Domain) and not (isinstance(leaf, dict) and "grid_search" in leaf)


def _row(parameter: Parameter, others: list[Parameter], is_axis: bool) -> Row:
    kind, values, scale = _words(parameter.domain)
    size = parameter.domain.size
    if isinstance(parameter.domain, Choice):
        size = len(parameter.domain.options)
    condition = ""
    if parameter.condition is not None:
        name, option = parameter.condition.name, parameter.condition.option
        choice = next(other.domain for other in others if other.name == name)
        assert isinstance(choice, Choice)
        condition = f"{name} is {_short(choice.options[option])}"
    return Row(
        parameter.name, "grid" if is_axis else kind, values, scale, "" if size is None else f"{size:,}", condition
    )


def _words(domain: Domain) -> tuple[str, str, str]:
    """Kind, range and scale."""
    match domain:
        case Float(low, high, log, q):
            return "real", _ends(low, high, q), "log" if log else "linear"
        case ReverseLog(low, high):
            return "real", _ends(low, high), "reverse log"
        case Integer(q=q, log=log):
            ends = _ends(domain.first * q, domain.last * q, None if q == 1 else q)
            return "whole", ends, "log" if log else "linear"
        case Normal(mean, sd, q, log):
            step = "" if q is None else f", steps of {q:g}"
            return "real", f"mean {mean:g}, sd {sd:g}{step}", "log-normal" if log else "normal"
        case Stepped(low, high, step):
            is_whole = all(isinstance(bound, int) for bound in (low, high, step))
            return "whole" if is_whole else "real", _ends(low, domain.at(domain.size - 1), step), "linear"
        case FiniteRange(low, high, log=log, cast_int=cast_int):
            return (
                "whole" if cast_int else "real",
                _cut(", ".join(map(_short, domain.values))),
                "log" if log else "linear",
            )
        case Ordinal(categories):
            return "ordinal", _cut(" < ".join(map(_short, categories))), "in order"
        case Choice(options):
            return "choice", _cut(", ".join(map(_short, options))), ""
        case SampleFrom(function):
            return "function", str(getattr(function, "__name__", function)), ""
        case _:
            return "distribution", _cut(repr(domain)), ""


def _ends(low: float, high: float, step: float | None = None) -> str:
    return f"{low:g} to {high:g}" + ("" if step is None else f", steps of {step:g}")


def _short(value: Any) -> str:
    """A value in few words; what is drawn in it is left open."""
    if isinstance(value, Domain):
        return "..."
    if isinstance(value, dict):
        return _cut("{" + ", ".join(f"{key}: {_short(inner)}" for key, inner in value.items()) + "}", _WIDEST // 2)
    return _cut(f"{value:g}" if isinstance(value, float) else repr(value), _WIDEST // 2)


def _cut(text: str, width: int = _WIDEST) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _table(rows: tuple[Row, ...]) -> Iterator[str]:
    """Lines with columns of equal width; one that is empty throughout is left out."""
    if not rows:
        return
    cells = [[name, *column] for name, column in zip(Row.__slots__, zip(*map(astuple, rows), strict=True), strict=True)]
    kept = [column for column in cells if any(column[1:])]
    widths = [max(map(len, column)) for column in kept]
    for at in range(len(rows) + 1):
        line = (column[at].ljust(width) for column, width in zip(kept, widths, strict=True))
        yield "  ".join(line).rstrip()
        if at == 0:
            yield "  ".join("-" * width for width in widths)
