"""Which objects there are, what became of them, and how many still need each. Pure but for what it is given to call."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from executor.depot.store import Place
from executor.library.values import Packed, numbers_in, place_of

VALUE, ERROR = 0, 1

Outcome = tuple[int, Packed]
"""`VALUE` and the value, or `ERROR` and the exception, packed."""


class Entry:
    """One object: how many need it, and its outcome once there is one."""

    __slots__ = ("count", "on_forgotten", "outcome", "waiting")

    def __init__(self) -> None:
        self.count = 1
        self.outcome: Outcome | None = None
        self.waiting: list[Callable[[], None]] | None = None
        self.on_forgotten: Callable[[], None] | None = None


class Objects:
    """All objects by their numbers. One that nobody needs any more is forgotten, and its place is given back."""

    def __init__(self, give_back: Callable[[Place], None]) -> None:
        self.entries: dict[int, Entry] = {}
        self._give_back = give_back
        self._due: deque[Callable[[], None]] = deque()
        self._calling_back = False

    def add(self, number: int) -> Entry:
        """A new object, needed once, without an outcome so far."""
        entry = self.entries[number] = Entry()
        return entry

    def put(self, number: int, outcome: Outcome) -> None:
        """A new object that is there already."""
        self.add(number)
        self.settle(number, outcome)

    def outcome(self, number: int) -> Outcome | None:
        """What became of an object, None while that is open."""
        entry = self.entries.get(number)
        return None if entry is None else entry.outcome

    def settle(self, number: int, outcome: Outcome) -> None:
        """An object's outcome is known; nothing happens when it was known before."""
        entry = self.entries.get(number)
        if entry is None or entry.outcome is not None:
            self.free(outcome[1])
            return
        entry.outcome = outcome
        if type(outcome[1]) is tuple:
            for inner in numbers_in(outcome[1]):
                self.keep(inner)
        if entry.waiting is not None:
            self._due.extend(entry.waiting)
            entry.waiting = None
            self._call_back()

    def _call_back(self) -> None:
        # One after another: what fails for want of a value that failed settles the next one, a thousand times over.
        if not self._calling_back:
            self._calling_back = True
            try:
                while self._due:
                    self._due.popleft()()
            finally:
                self._calling_back = False

    def when_settled(self, number: int, callback: Callable[[], None]) -> None:
        """Call back once the object's outcome is known, which may be now."""
        entry = self.entries.get(number)
        if entry is None or entry.outcome is not None:
            callback()
        elif entry.waiting is None:
            entry.waiting = [callback]
        else:
            entry.waiting.append(callback)

    def not_any_more(self, numbers: Iterable[int], callback: Callable[[], None]) -> None:
        """Do not call back for these objects any more."""
        for number in numbers:
            entry = self.entries.get(number)
            if entry is not None and entry.waiting is not None and callback in entry.waiting:
                entry.waiting.remove(callback)

    def when_all_settled(self, numbers: Iterable[int], callback: Callable[[], None]) -> None:
        """Call back once the outcomes of all of them are known, which may be now."""
        open_ = {number for number in numbers if (e := self.entries.get(number)) is not None and e.outcome is None}
        left = len(open_)

        def one_less() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                callback()

        for number in open_:
            self.when_settled(number, one_less)
        if not open_:
            callback()

    def watch(self, numbers: Iterable[int], callback: Callable[[], None]) -> None:
        """Call back for each of the objects once its outcome is known, which may be now."""
        for number in set(numbers):
            self.when_settled(number, callback)

    def keep(self, number: int) -> None:
        """Somebody more needs it."""
        entry = self.entries.get(number)
        if entry is not None:
            entry.count += 1

    def drop(self, number: int) -> None:
        """Somebody does not need it any more."""
        entry = self.entries.get(number)
        if entry is None:
            return
        entry.count -= 1
        if entry.count:
            return
        left = self._forget(number, entry)
        while left:  # values may refer to each other in a long chain
            number = left.pop()
            entry = self.entries.get(number)
            if entry is not None:
                entry.count -= 1
                if not entry.count:
                    left += self._forget(number, entry)

    def _forget(self, number: int, entry: Entry) -> list[int]:
        """Nobody needs it any more; those that its value needed."""
        del self.entries[number]
        inner: list[int] = []
        if entry.outcome is not None and type(entry.outcome[1]) is tuple:
            self.free(entry.outcome[1])
            inner += numbers_in(entry.outcome[1])
        if entry.on_forgotten is not None:
            entry.on_forgotten()
        return inner

    def free(self, packed: Packed) -> None:
        """Give back the place of a value, if it has one."""
        place = place_of(packed)
        if place is not None:
            self._give_back(place)
