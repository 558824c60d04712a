"""A search space as a box of numbers, for searchers that model it: configurations to vectors in [0, 1] and back.

Every parameter has a column, those of a choice's options too: a column is NaN where its parameter does not exist. A
choice without order is the index of its option, in the middle of a cell of [0, 1], or one column for each option. Any
vector of the box decodes to a configuration of the space.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from searchers import scale
from searchers.choices import Choice
from searchers.domain import Domain, Ordered
from searchers.foreign import adopt
from searchers.parameters import Condition, Parameter, parameters, values
from searchers.resolution import NOTHING, draw, resolve_with

Vector: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Column:
    """Where a parameter stands in the vector, from `start`, `width` numbers long, and what it is.

    `kind` is ``real`` (a continuum), ``ordered`` (`size` values in order, each with a cell of its own) or ``unordered``
    (a choice of `size` options). `condition` names the choice and the option that it exists with, None for always.
    """

    name: str
    domain: Domain
    kind: Literal["real", "ordered", "unordered"]
    size: int | None
    condition: Condition | None
    start: int
    width: int


class Encoding:
    """The columns of `space`, and the maps between its configurations and vectors in ``[0, 1] ** dimension``.

    ``decode(encode(config)) == config`` for every configuration that was drawn or decoded; for other real numbers see
    `searchers.domain.Ordered`. Encoding what was decoded gives a vector that decodes to the same again. `sample_from`
    functions have no column: `encode` passes over what they gave, `decode` calls them anew.

    Args:
        space: The search space. A grid axis counts as a choice.
        one_hot: Whether an unordered choice has one column for each option, 1 for the chosen one and 0 for the others,
            and decodes to the option with the largest number.
    """

    def __init__(self, space: Mapping[str, Any], *, one_hot: bool = False) -> None:
        self.space: Mapping[str, Any] = adopt(space)
        self.one_hot = one_hot
        columns: list[Column] = []
        start = 0
        for parameter in parameters(self.space):
            if isinstance(parameter.domain, Ordered | Choice):
                columns.append(_column(parameter, start, one_hot))
                start += columns[-1].width
        self.columns = tuple(columns)
        self.dimension = start
        self._by_name = {column.name: column for column in self.columns}

    def encode(self, config: Mapping[str, Any]) -> Vector:
        """`config` as a vector, NaN where a conditional parameter does not exist.

        Raises:
            ValueError: `config` lacks a parameter, or has a value that its domain does not contain.
        """
        vector = np.full(self.dimension, np.nan)
        for parameter, value in values(self.space, config):
            column = self._by_name.get(parameter.name)
            if column is None:
                continue
            if isinstance(column.domain, Ordered):
                vector[column.start] = column.domain.to_unit(value)
            elif self.one_hot:
                vector[column.start : column.start + column.width] = 0.0
                vector[column.start + value] = 1.0
            else:
                assert column.size is not None
                vector[column.start] = scale.middle(column.size, value)
        return vector

    def decode(self, vector: Vector, rng: Random | None = None) -> dict[str, Any]:
        """The configuration at `vector`. The columns of parameters that do not exist there are not looked at.

        `rng` is for what has no column: domains that a `sample_from` function returns; by default one of seed 0.

        Raises:
            ValueError: `vector` has another length, or NaN for a parameter that exists.
        """
        if len(vector) != self.dimension:
            raise ValueError(f"a vector of this space has {self.dimension} numbers, not {len(vector)}")
        rng = Random(0) if rng is None else rng
        return resolve_with(self.space, partial(self._value, vector, rng), rng, NOTHING)

    def _value(self, vector: Vector, rng: Random, path: str, domain: Domain) -> Any:
        column = self._by_name.get(path)
        if column is None:
            return draw(rng, path, domain)
        place = float(vector[column.start])
        if math.isnan(place):
            raise ValueError(f"{path} has a value here, but the vector has NaN for it")
        if isinstance(domain, Ordered):
            return domain.from_unit(place)
        if self.one_hot:
            return int(np.argmax(vector[column.start : column.start + column.width]))
        assert column.size is not None
        return scale.cell(column.size, place)


def _column(parameter: Parameter, start: int, one_hot: bool) -> Column:
    domain = parameter.domain
    if isinstance(domain, Choice):
        size = len(domain.options)
        return Column(
            parameter.name, domain, "unordered", size, parameter.condition, start, width=size if one_hot else 1
        )
    kind: Literal["real", "ordered"] = "real" if domain.size is None else "ordered"
    return Column(parameter.name, domain, kind, domain.size, parameter.condition, start, width=1)
