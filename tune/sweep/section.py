"""What the sections of a sweep file have in common: strict models, numbers, and mistakes that know their key."""

from __future__ import annotations

import math
from typing import Annotated, Any, NoReturn

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """A part of the file: its keys are the model's fields, and no others."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def refuse(message: str, *, at: str | tuple[str | int, ...] = "") -> NoReturn:
    """Fail a validator with `message`, about the section's key `at`, or the path of keys, when that is given.

    Raises:
        PydanticCustomError: always.
    """
    raise PydanticCustomError("sweep", "{message}", {"message": message, "at": at})


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        refuse(f"expected a number, got {shown(value)}")
    return value


def shown(value: Any) -> str:
    """`value` as its author wrote it, more or less, and what to do when a number stands in quotes."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case dict():
            return "keys and values"
        case list():
            return "a list"
        case str() if _is_number(value):
            return f"the text {value!r}: remove the quotes"
        case str():
            return f"the text {value!r}" if len(value) <= 40 else f"the text {value[:40]!r}..."
    return repr(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


Number = Annotated[int | float, BeforeValidator(_number)]
"""A finite number that stays whole when it was written so."""
