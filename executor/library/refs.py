"""References to objects, and to the values that a call streams: what `remote` and `put` return."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

if TYPE_CHECKING:
    from asyncio import Future as AsyncFuture
    from concurrent.futures import Future

    from executor.library.runtime import Runtime

T = TypeVar("T")


class _Travelling(threading.local):
    """The numbers of the references that are pickled on this thread just now."""

    numbers: list[int] | None = None


travelling = _Travelling()


class ObjectRef(Generic[T]):
    """Stands for a value that is there already, or that a call will return. Pass it on, `get` it, or ``await`` it.

    The value is kept as long as a reference to it exists, in any process, in a call that has not ended, or inside
    another value that is kept. References with the same number are equal.
    """

    __slots__ = ("__weakref__", "_number", "_runtime")

    def __init__(self, number: int, runtime: Runtime) -> None:
        self._number = number
        self._runtime = runtime

    def hex(self) -> str:
        """The reference's number as 16 hexadecimal digits."""
        return f"{self._number:016x}"

    def future(self) -> Future[T]:
        """A `concurrent.futures.Future` of the value, or of what the call raises.

        Raises:
            ExecutorClosedError: the executor that the reference belongs to was shut down.
        """
        return self._runtime.future(self)

    def __await__(self) -> Generator[Any, None, T]:
        import asyncio  # 40 ms, and whoever awaits has it already

        waiting: AsyncFuture[T] = asyncio.wrap_future(self._runtime.future(self))
        return waiting.__await__()

    def __del__(self) -> None:
        self._runtime.drop(self._number)

    def __reduce__(self) -> tuple[Any, ...]:
        if travelling.numbers is None:
            self._runtime.pin(self._number)  # somebody pickles it for a purpose of his own: then it is kept for good
        else:
            travelling.numbers.append(self._number)
        return _arrived, (self._number,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectRef) and other._number == self._number

    def __hash__(self) -> int:
        return hash(self._number)

    def __repr__(self) -> str:
        return f"ObjectRef({self.hex()})"


def number_of(ref: ObjectRef[Any]) -> int:
    """The number by which a reference is known."""
    return ref._number  # noqa: SLF001 - the one way to it, so that users see none


def runtime_of(ref: ObjectRef[Any]) -> Runtime:
    """The process's runtime that a reference belongs to."""
    return ref._runtime  # noqa: SLF001 - the same


def _arrived(number: int) -> ObjectRef[Any]:
    from executor.library.runtime import current  # a reference may be unpickled before anything else is loaded

    return current().arrived(number)


class ObjectRefGenerator:
    """References to the values that a call yields, in order, each as soon as it is there: an iterator, also ``async``.

    `send` answers what the call gave to `emit` and waits for, and goes on to the next value.
    """

    def __init__(self, ref: ObjectRef[Any], runtime: Runtime) -> None:
        self._ref = ref
        self._runtime = runtime
        self._taken = 0

    def __iter__(self) -> Iterator[ObjectRef[Any]]:
        return self

    def __next__(self) -> ObjectRef[Any]:
        return self.send(None)

    def send(self, answer: Any) -> ObjectRef[Any]:
        """Answer the value that was taken last, if the call waits for that, and wait for the next one.

        Raises:
            StopIteration: the call has ended. One that raised gives, before this, a reference that raises.
        """
        ref = self._runtime.next_item(number_of(self._ref), self._taken, answer)
        if ref is None:
            raise StopIteration
        self._taken += 1
        return ref

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ObjectRef[Any]:
        import asyncio

        ref = await asyncio.to_thread(next, self, None)
        if ref is None:
            raise StopAsyncIteration
        return ref

    def completed(self) -> ObjectRef[Any]:
        """A reference that is there when the call has ended, and raises what the call raised."""
        return self._ref

    def __reduce__(self) -> tuple[Any, ...]:
        return _generator, (self._ref, self._taken)

    def __repr__(self) -> str:
        return f"ObjectRefGenerator({self._ref.hex()}, {self._taken} taken)"


def _generator(ref: ObjectRef[Any], taken: int) -> ObjectRefGenerator:
    generator = ObjectRefGenerator(ref, runtime_of(ref))
    generator._taken = taken  # noqa: SLF001
    return generator
