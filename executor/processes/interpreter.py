"""The command line of a new Python interpreter that runs one of the fork server's main functions."""

from __future__ import annotations

import os
import sys

_BOOTSTRAP = (
    "import sys; sys.path.insert(0, {root!r}); from executor.processes.forkserver import {main}; {main}({arguments})"
)


def command_line(main: str, *arguments: int) -> list[str]:
    """What to execute for an interpreter like this one, with the same options, that calls `main`."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    code = _BOOTSTRAP.format(root=root, main=main, arguments=", ".join(map(str, arguments)))
    return [sys.executable, *_options(), "-c", code]


def _options() -> list[str]:
    flags = {"-O": sys.flags.optimize == 1, "-OO": sys.flags.optimize == 2, "-B": sys.flags.dont_write_bytecode}
    flags |= {"-I": sys.flags.isolated, "-E": sys.flags.ignore_environment, "-s": sys.flags.no_user_site}
    chosen = [flag for flag, is_set in flags.items() if is_set]
    chosen += [f"-W{option}" for option in sys.warnoptions]
    extended = sys._xoptions.items()  # noqa: SLF001 - documented, for all its name
    return chosen + [f"-X{name}" if value is True else f"-X{name}={value}" for name, value in extended]
