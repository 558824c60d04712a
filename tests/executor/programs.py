"""Programs that the contract suite runs. They are found by import in worker processes, as a user's own modules are."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy

from executor.interface import Program, Step
from executor.messages import Rank

Steps = Generator[Step, Any, Any]


class Echo(Program):
    """Emits each item of its argument and returns the answers."""

    def steps(self, argument: Any) -> Steps:
        answers = []
        for item in argument:
            answer = yield Step(item)
            answers.append(answer)
        return answers


class Tell(Program):
    """Tells each item of its argument without waiting, asks one question, tells them again, and returns the answer."""

    def steps(self, argument: Any) -> Steps:
        for item in argument:
            assert (yield Step(item, waits=False)) is None
        answer = yield Step("question")
        for item in argument:
            yield Step(item, waits=False)
        return answer


class TellForever(Program):
    """Tells its argument without waiting until it is answered all the same, and returns the answer."""

    def steps(self, argument: Any) -> Steps:
        answer = None
        while answer is None:
            answer = yield Step(argument, seconds=1.0, waits=False)
        return answer


class Answer(Program):
    """Returns its argument, having emitted nothing."""

    def steps(self, argument: Any) -> Steps:
        return argument
        yield


class Describe(Program):
    """Emits how its argument looks from inside, and then the argument itself."""

    def steps(self, argument: Any) -> Steps:
        yield Step((type(argument).__name__, repr(argument)[:200]))
        yield Step(argument)


class Follow(Program):
    """Emits what it was last answered, until it is answered "stop"."""

    def __init__(self, first: Any) -> None:
        self.first = first

    def steps(self, argument: Any) -> Steps:
        answer = self.first
        while answer != "stop":
            answer = yield Step(answer)
        return "stopped"


class Draw(Program):
    """Emits two random numbers of Python's and two of numpy's, one each on either side of an answer."""

    def steps(self, argument: Any) -> Steps:
        yield Step((random.random(), float(numpy.random.random())))
        yield Step((random.random(), float(numpy.random.random())))


class Exit(Program):
    """Leaves by `sys.exit`, with its argument as the code, after one emission."""

    def steps(self, argument: Any) -> Steps:
        yield Step("still here")
        sys.exit(argument)


class OutOfLuckError(Exception):
    """An exception of the user's own, which takes more arguments than pickle knows of."""

    def __init__(self, what: str, count: int) -> None:
        super().__init__(f"{what} ran out after {count}")


class Stubborn(BaseException):
    """What frameworks raise to get past ``except Exception``."""


class UnprintableError(Exception):
    """An exception whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Fail(Program):
    """Raises what its argument names, after one emission."""

    def steps(self, argument: str) -> Steps:
        yield Step("still here")
        match argument:
            case "own":
                raise OutOfLuckError("luck", 3)
            case "chained":
                fail_with_a_cause()
            case "base":
                raise Stubborn("told to stop")
            case "unprintable":
                raise UnprintableError
            case _:
                raise ValueError(argument)


def fail_with_a_cause() -> None:
    try:
        {"height": 1}["width"]
    except KeyError as error:
        raise ValueError("the configuration has no width") from error


class FailAtOnce(Program):
    """Is no generator: it raises when its steps are asked for."""

    def steps(self, argument: Any) -> Steps:
        raise LookupError("nothing to do")


class Lock(Program):
    """Holds what cannot leave a process."""

    def __init__(self) -> None:
        self.guard = threading.Lock()

    def steps(self, argument: Any) -> Steps:
        yield Step(None)


class SendLock(Program):
    """Emits or returns, as its argument says, what cannot leave a process."""

    def steps(self, argument: str) -> Steps:
        if argument == "emit":
            yield Step(threading.Lock())
        return threading.Lock()


def refuse_to_load() -> Any:
    raise RuntimeError("this machine lacks what the program needs")


class Unloadable(Answer):
    """Can be pickled, and raises when it is unpickled."""

    def __reduce__(self) -> Any:
        return refuse_to_load, ()


class Scripted(Program):
    """Runs in a gang the part that its argument has for each rank: a list of words.

    ``emit`` emits this worker's place and keeps the answer, ``raise`` raises, ``exit 3`` leaves so, ``wait PATH`` waits
    for a file, ``for ever`` goes on without end. What comes last is returned: the answers.
    """

    def steps(self, argument: Any) -> Steps:
        raise AssertionError("an executor runs steps_of")

    def steps_of(self, rank: Rank, argument: Sequence[Sequence[str]]) -> Steps:
        answers = []
        for line in argument[rank.number]:
            word, _, rest = line.partition(" ")
            match word:
                case "emit":
                    answer = yield Step((rank.number, rank.size))
                    answers.append(answer)
                case "raise":
                    raise ValueError(f"rank {rank.number} of {rank.size} has raised")
                case "exit":
                    sys.exit(int(rest))
                case "wait":
                    while not Path(rest).exists():
                        yield Step(None, seconds=0.01)
                case "for":
                    while True:
                        yield Step(None, seconds=0.01)
        return answers


class CheckDraw(Program):
    """Raises unless the random numbers are those of its argument."""

    def steps(self, argument: Any) -> Steps:
        assert (random.random(), float(numpy.random.random())) == argument
        return None
        yield


class Double(Program):
    """Doubles arrays in place: its argument, and each that it is answered, until it is answered None."""

    def steps(self, argument: Any) -> Steps:
        array = argument
        while array is not None:
            array *= 2
            array = yield Step(array)


class Blow(Program):
    """Emits and returns as many bytes as its argument says, and tells how many it was answered."""

    def steps(self, argument: int) -> Steps:
        answer = yield Step(numpy.arange(argument, dtype=numpy.uint8))
        yield Step((len(answer), int(answer[-1])))
        return b"x" * argument
