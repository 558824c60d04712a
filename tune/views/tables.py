"""Results as rows of flat dictionaries, and those as pandas dataframes. Imports pandas when asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tune.views.reading import date_text
from tune.views.wording import flatten

if TYPE_CHECKING:
    from pandas import DataFrame


def row(
    metrics: Mapping[str, Any],
    config: Mapping[str, Any],
    *,
    trial_id: str,
    logdir: str | None = None,
    state: str | None = None,
) -> dict[str, Any]:
    """One flat row: metrics, the date, the configuration under ``config/``, and where the trial stands."""
    flat = flatten(metrics)
    flat["trial_id"] = trial_id
    if "timestamp" in metrics:
        flat.setdefault("date", date_text(metrics["timestamp"]))
    flat.update(flatten(config, "config/"))
    if logdir is not None:
        flat["logdir"] = logdir
    if state is not None:
        flat["state"] = state
    return flat


def frame(rows: Iterable[Mapping[str, Any]], index: str | None = None) -> DataFrame:
    """Rows as a dataframe: a column for every name that any row has, in the order of their first appearance."""
    import pandas

    listed = list(rows)
    names: dict[str, None] = {}
    for one in listed:
        names.update(dict.fromkeys(one))
    columns = {name: [one.get(name) for one in listed] for name in names}
    made = pandas.DataFrame({name: pandas.Series(values, dtype=_type(values)) for name, values in columns.items()})
    return made.set_index(index) if index is not None and index in made else made


def _type(values: list[Any]) -> Any:
    """What pandas would get wrong by itself: lists and dictionaries stay objects, an empty column too."""
    return None if any(isinstance(value, bool | int | float | str) for value in values) else object
