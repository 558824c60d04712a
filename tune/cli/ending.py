"""How a command ends: errors as their text, without our traceback, and the exit code that says what kind it was."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Iterator

import typer

from tune.cli.colour import paint

OK, FAILED, WRONG_INPUT, ENDED_BY = 0, 1, 2, 128
"""The last with the number of the signal, as a shell has it: 130 after Ctrl-C."""


@contextlib.contextmanager
def ending(debug: bool) -> Iterator[None]:
    """Turn what a command raises into its message and exit code; with `debug`, print the traceback first."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        raise typer.Exit(ENDED_BY + signal.SIGINT) from None
    except BrokenPipeError:
        # Who reads has seen enough. What is left in the buffer must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        code = _code(error)
        if code is None:
            raise
        if debug:
            typer.echo(traceback.format_exc(), err=True)
        typer.echo(f"{paint('error:', colour='red', bold=True, stream=sys.stderr)} {_text(error)}", err=True)
        raise typer.Exit(code) from None


def leave(code: int) -> None:
    """End the command with `code`.

    Raises:
        typer.Exit: unless all went well.
    """
    if code:
        raise typer.Exit(code)


def _code(error: Exception) -> int | None:
    """The exit code of an error that is the user's to mend; None for a defect of ours."""
    from executor.errors import ExecutorError
    from tune import errors

    match error:
        case (
            errors.InvalidArgumentError()
            | errors.NotAnExperimentError()
            | errors.NotRebuildableError()
            | errors.ExperimentBusyError()
            | errors.MetricNotReportedError()
        ):
            return WRONG_INPUT
        case errors.TuneError():
            return FAILED
        case ExecutorError() | OSError():
            return WRONG_INPUT
    return None


def _text(error: Exception) -> str:
    """What to print of an error: it may hold users' strings, which must not steer the terminal."""
    from tune.views.wording import lines_of

    return "\n".join(lines_of(str(error))) or type(error).__name__
