"""How a worker runs what it is sent: one call after another, on several threads, or in an event loop."""

from __future__ import annotations

import inspect
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from executor.library.arguments import unpack_arguments
from executor.library.client import Client
from executor.library.failures import pack_exception
from executor.library.messages import CREATE, CREATED, GAVE_BACK, LEAVING, RECALL, RESULT, RESULTS
from executor.library.objects import ERROR, VALUE
from executor.library.plans import STREAMING
from executor.library.requests import running
from executor.library.threads import Threads
from executor.library.values import Packed, pack_value, pack_values

__audition_internal__ = True

_END = object()
_HELD_S = 0.001


class Leave(BaseException):
    """Raised by `exit_actor`, to end the actor from wherever it is."""


def serve(client: Client) -> None:
    """Serve the hub until it wants nothing more."""
    serving = Serving(client)
    threading.Thread(target=serving.listen, daemon=True, name="executor-words").start()
    try:
        serving.run()
    except EOFError:
        pass
    except Leave:
        client.uplink.say((LEAVING,))
    finally:
        serving.tell_held()


class Serving:
    """Runs the calls of one worker."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.actor: Any = None
        self.cancelled: set[int] = set()
        self._current = 0
        self._interrupting = 0
        self._async: Any = None
        self._threads = Threads(client)
        self._main = threading.main_thread()
        self._held: deque[tuple[Any, ...]] = deque()
        self._held_since = 0.0
        client.uplink.before_waiting = self.tell_held
        client.uplink.on_interrupt = self._interrupted
        client.uplink.interrupts.install()

    # Words: cancelling and recalling, on a thread of their own.

    def listen(self) -> None:
        """Heed what the hub says past its messages."""
        client = self.client
        while (word := client.uplink.next_word()) is not None:
            try:
                client.uplink.read_now()  # what is meant may not have been read yet
                if word == RECALL:
                    self.tell_held()
                    self._give_back()
                else:
                    self._cancel(word)
            except EOFError:
                return

    def _give_back(self) -> None:
        calls = self.client.calls
        numbers = []
        while True:
            try:
                call = calls.pop()
            except IndexError:
                break
            numbers.append(call[0])
        if numbers:
            self.client.uplink.say((GAVE_BACK, numbers[::-1]))

    def _cancel(self, number: int) -> None:
        waiting = next((call for call in list(self.client.calls) if call[0] == number), None)
        if waiting is not None:
            try:
                self.client.calls.remove(waiting)
            except ValueError:
                pass  # it has just begun
            else:
                self.tell_error(number, KeyboardInterrupt(), 0.0, retry=False)
                return
        self.cancelled.add(number)
        if self._async is not None:
            self._async.cancel(number)
        elif number == self._current:
            self._interrupting = number
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        else:
            self._threads.interrupt(number)
        # A call that is over was told of before this is asked. Any other has its end still to come, which forgets it.
        if not self.client.ask("runs", number):
            self.cancelled.discard(number)

    def _interrupted(self) -> None:
        if self._interrupting and self._interrupting == self._current:
            self._interrupting = 0
            raise KeyboardInterrupt

    # Running.

    def run(self) -> None:
        """One call after another, in the main thread; an actor may ask for another way."""
        client = self.client
        calls = client.calls
        while True:
            if client.account.has_news:
                client.account.flush()
            if not calls:
                if self._held:
                    self.tell_held()  # those that were behind have just been given back, or were cancelled
                client.uplink.until(lambda: bool(calls))
            try:
                call = calls.popleft()
            except IndexError:
                continue  # given back
            if call[0] == CREATE and len(call) == 6:
                if self._create(*call[1:]):
                    return
            else:
                try:
                    self.one(call)
                except KeyboardInterrupt as error:  # it came when the call had just raised something else
                    self._current = 0
                    self.tell_error(call[0], error, 0.0, retry=False)
            del call

    def _create(self, digest: str, arguments: Packed, values: Any, options: Any, restarts: int) -> bool:
        """Become an actor; whether all its calls were served meanwhile."""
        client = self.client
        number, name, concurrency, is_async, has_hook = options
        client.actor = number, name, restarts
        try:
            kind = client.function(digest)
            positional, named = unpack_arguments(arguments, values, client)
            self.actor = kind(*positional, **named)
            if restarts and has_hook:
                self.actor.on_restart(restarts)
        except SystemExit:
            raise
        except BaseException as error:  # noqa: BLE001 - the user's constructor raises what it likes
            client.uplink.say((CREATED, ERROR, pack_exception(error)))
            return False
        del positional, named
        client.account.flush()
        if is_async:
            from executor.library.loop import Loop  # asyncio takes 40 ms to import

            self._async = Loop(self, concurrency)
            client.uplink.say((CREATED, VALUE, b""))
            self._async.run()
            return True
        client.uplink.say((CREATED, VALUE, b""))
        if concurrency > 1:
            self._run_threads(concurrency)
            return True
        return False

    def _run_threads(self, count: int) -> None:
        client = self.client
        calls = client.calls
        left = threading.Event()

        def run(call: Any) -> None:
            try:
                self.one(call)
            except Leave:
                client.uplink.say((LEAVING,))
                os._exit(0)
            except BaseException:  # noqa: BLE001 - SystemExit: of the process, as it is in the main thread
                os._exit(1)

        with ThreadPoolExecutor(count, "actor") as threads:
            while not left.is_set():
                if client.account.has_news:
                    client.account.flush()
                client.uplink.until(lambda: bool(calls))
                threads.submit(run, calls.popleft())

    def one(self, call: Any) -> None:
        """Run one call, and tell what became of it."""
        number, returns, retry = call[0], call[5], call[7]
        client = self.client
        in_main = threading.current_thread() is self._main
        token = running.set(number)
        if returns == STREAMING:
            client.streams.begin(number)
        if in_main:
            self._current = number
        began = time.perf_counter()
        try:
            value = self._value_of(call) if in_main else self._threads.run(number, partial(self._value_of, call))
            seconds = time.perf_counter() - began
            packed = self.pack(value, returns)
        except (SystemExit, Leave):
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, it ended the call
            self._current = 0
            self.tell_error(number, error, time.perf_counter() - began, retry=retry)
        else:
            if client.account.has_news:
                client.account.flush()
            self._tell(call, (RESULT, number, VALUE, packed, seconds, False), began)
        finally:
            running.reset(token)
            if self.cancelled:
                self.cancelled.discard(number)
            if returns == STREAMING:
                client.streams.end(number)

    def _tell(self, call: Any, result: tuple[Any, ...], now: float) -> None:
        """Tell a result; with those of the calls behind it where these are known to be short.

        Should they not be, the hub recalls what is stuck behind them, and that brings the results too.
        """
        held = self._held
        if call[8] and self.client.calls and (not held or now - self._held_since < _HELD_S):
            if not held:
                self._held_since = now
            held.append(result)
        elif held:
            held.append(result)
            self.tell_held()
        else:
            self.client.uplink.say(result)

    def tell_held(self) -> None:
        """Tell the results that wait."""
        held, results = self._held, []
        while held:
            try:
                results.append(held.popleft())
            except IndexError:
                break  # the other thread took it
        if results:
            self.client.uplink.say((RESULTS, results))

    def _value_of(self, call: Any) -> Any:
        """Have the user's own code run the call."""
        number, method, digest, arguments, values, returns, window, _, _ = call
        if number in self.cancelled:
            raise KeyboardInterrupt
        client = self.client
        function = getattr(self.actor, method) if digest is None else self.client.function(digest)
        positional, named = unpack_arguments(arguments, values, client)
        value = function(*positional, **named)
        if returns == STREAMING:
            self._stream(number, value, window)
            value = None
        self._current = 0  # no interrupt is meant for it any more
        return value

    def _stream(self, number: int, value: Any, window: int) -> None:
        """Send up what an iterator yields, each as soon as it is there."""
        if value is None:  # it spoke by `emit` alone
            return
        if not isinstance(value, Iterator):
            raise TypeError(f"a call with num_returns='streaming' must yield its values, it returned {type(value)}")
        client = self.client
        try:
            while (item := next(value, _END)) is not _END:
                client.streams.send(number, item, window=window)
        finally:
            if hasattr(value, "close"):
                value.close()

    def pack(self, value: Any, returns: int) -> Any:
        """What is told of a returned value.

        Raises:
            TypeError: it cannot be sent, or is not as many values as the call returns.
        """
        if returns in (1, STREAMING):
            return pack_value(value, self.client)
        if returns == 0:
            return []
        if inspect.isgenerator(value):
            value = list(value)
        if not isinstance(value, list | tuple) or len(value) != returns:
            what = f"{len(value)} values" if isinstance(value, list | tuple) else f"a {type(value).__name__}"
            raise ValueError(f"a call with num_returns={returns} must return so many values, it returned {what}")
        return pack_values(value, self.client)

    def tell_error(self, number: int, error: BaseException, seconds: float, *, retry: bool | bytes) -> None:
        """Tell that a call raised."""
        again = retry is True and isinstance(error, Exception)
        if type(retry) is bytes:
            again = isinstance(error, pickle.loads(retry))  # noqa: S301 - from our own driver
        packed = pack_exception(error)
        error.with_traceback(None)  # its frames hold the arguments
        self.client.account.flush()
        self.client.uplink.say((RESULT, number, ERROR, packed, seconds, again))
