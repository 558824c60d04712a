"""Options with mistakes in them: all of these are told at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

Made = TypeVar("Made")

_MISTAKES = (ValueError, FileNotFoundError)


def made_of(make: Callable[[Mapping[str, Any]], Made], options: Mapping[str, Any]) -> Made:
    """What `make` makes of the options.

    Raises:
        ValueError: says what is wrong with each option that cannot be taken.
        FileNotFoundError: nothing is wrong but that a file is not there.
    """
    try:
        return make(options)
    except _MISTAKES as error:
        told = _told_of_each(make, options)
        if len(told) < 2:
            raise
        raise ValueError("; ".join(told)) from error


def _told_of_each(make: Callable[[Mapping[str, Any]], Any], options: Mapping[str, Any]) -> list[str]:
    """What is wrong with each option, which is tried by itself."""
    told = []
    for name, value in options.items():
        try:
            make({name: value})
        except _MISTAKES as error:
            told.append(str(error))
    return told
