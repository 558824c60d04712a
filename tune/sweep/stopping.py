"""What `stop` says in a sweep file: thresholds, a stopper by its name, ``all`` of several, or a list: any of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidatorFunctionWrapHandler

from tune.machine.stopping import AllStopper, StopCriterion, Stopper, ThresholdStopper
from tune.sweep.policies import STOPPER
from tune.sweep.section import refuse, shown

ALL = "all"

At = tuple[str | int, ...]


def checked(given: Any, thresholds: ValidatorFunctionWrapHandler) -> Any:
    """What stands under `stop`, when nothing is wrong with it; `thresholds` checks a plain dictionary.

    Raises:
        PydanticCustomError: the first thing that is wrong.
    """
    if isinstance(given, list) or (isinstance(given, Mapping) and ("type" in given or ALL in given)):
        _check(given, ())
        return given
    return thresholds(given)


def criteria(stop: Any) -> StopCriterion | list[Stopper] | None:
    """What is checked, as `tune.run` takes it."""
    if isinstance(stop, list):
        return [_made(each) for each in stop]
    return (_made(stop) if "type" in stop or ALL in stop else dict(stop)) if stop else None


def _made(section: Mapping[str, Any]) -> Stopper:
    if ALL in section:
        return AllStopper(*(_made(each) for each in section[ALL]))
    made: Stopper = STOPPER.make(section) if "type" in section else ThresholdStopper(section)
    return made


def _check(given: Any, at: At) -> None:
    if isinstance(given, list):
        for index, each in enumerate(given):
            _check(each, (*at, index))
    elif not isinstance(given, Mapping):
        refuse(f"expected keys and values, got {shown(given)}", at=at)
    elif ALL in given:
        _check_all(given, at)
    elif "type" in given:
        if not isinstance(given["type"], str):
            refuse(f"expected the name of a stopper, got {shown(given['type'])}", at=(*at, "type"))
        for key, message in STOPPER.mistakes(given):
            refuse(message, at=(*at, *([key] if key else [])))
    else:
        for key, value in given.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                refuse(f"expected a number, got {shown(value)}", at=(*at, key))


def _check_all(given: Mapping[str, Any], at: At) -> None:
    if len(given) > 1 or not isinstance(given[ALL], list):
        refuse(f"`{ALL}` stands alone, with a list of what must hold together", at=(*at, ALL))
    _check(given[ALL], (*at, ALL))
