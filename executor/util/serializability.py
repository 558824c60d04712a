"""Whether something can be sent to another process, and what of it cannot."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from executor.errors import ProgramNotPicklableError
from executor.pickling import dump


def inspect_serializability(
    base_obj: Any,
    name: str | None = None,
    depth: int = 3,  # noqa: ARG001 - Ray's: here the culprit is looked for as deep as it lies
    print_file: TextIO | None = None,
) -> tuple[bool, set[str]]:
    """Whether `base_obj` can be sent, and the sentences that name what of it cannot; they are printed too.

    Args:
        base_obj: what is to be sent.
        name: what it is called in the first line.
        depth: how deep Ray looks.
        print_file: where to print; ``sys.stdout`` by default.
    """
    file = print_file or sys.stdout
    print(f"Checking whether {name or repr(base_obj)} can be sent to another process", file=file)
    try:
        dump(base_obj)
    except ProgramNotPicklableError as error:
        print(error, file=file)
        return False, {str(error)}
    return True, set()
