"""What a scheduler varies while trials train, as a sweep file writes it.

| written | meaning |
| --- | --- |
| ``{distribution: loguniform, min: 1e-4, max: 0.1}`` | as under `parameters`: drawn and perturbed within that domain |
| ``{values: [sgd, adam]}`` | one of these, kept unless it is drawn anew |
| ``[8, 16, 32]`` | among mutations: one of these, moved to a neighbour; among bounds: the two ends |
| ``{inner: {...}}``, ``{parameters: {...}}`` | nested |

A mapping with one of a parameter's own keys, such as `min`, is a parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, RootModel, Tag

from tune.sweep.parameters import Parameter
from tune.sweep.section import refuse, shown


def _written_as(given: Any) -> str:
    """Which of the forms it is. The words are in brackets as no parameter's name is."""
    if isinstance(given, list):
        return "(list)"
    is_nested = isinstance(given, Mapping) and not set(given) & set(Parameter.model_fields)
    return "(nested)" if is_nested else "(parameter)"


def _varying(parameter: Parameter) -> Parameter:
    """Refuse what stays as it is."""
    given = parameter.model_fields_set
    if "value" in given:
        refuse(f"{shown(parameter.value)} does not vary: give `min` and `max`, `values` or a list, or leave it out")
    if "grid" in given:
        refuse("a grid is for different trials: write the list itself, or `values`", at="grid")
    for name, inner in (parameter.parameters or {}).items():
        if "value" in inner.model_fields_set:
            refuse(f"{name}: {shown(inner.value)} does not vary", at=("parameters", name))
    return parameter


Varied = Annotated[
    Annotated[list[Any], Tag("(list)")]
    | Annotated["Varying", Tag("(nested)")]
    | Annotated[Parameter, AfterValidator(_varying), Tag("(parameter)")],
    Discriminator(_written_as),
]


class Varying(RootModel[dict[str, Varied]]):
    """Names, and what varies under them."""

    def node(self) -> dict[str, Any]:
        """As a scheduler takes it: domains, lists, dictionaries of these."""
        return {name: given if isinstance(given, list) else given.node() for name, given in self.root.items()}
