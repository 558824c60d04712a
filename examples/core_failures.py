"""What goes wrong in other processes: exceptions come as they were raised, deaths with a cause; the rest goes on."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path

import executor as ray
from executor.errors import ActorDiedError, GetTimeoutError, TaskCancelledError


@ray.remote
def divide(left: int, right: int) -> float:
    return left / right


@ray.remote(max_retries=3, retry_exceptions=[ConnectionError])
def unreliable(attempts: Path) -> int:
    """Fails twice, and is run again for that exception alone."""
    with attempts.open("a") as file:
        file.write("x")
    if len(attempts.read_text()) < 3:
        raise ConnectionError("nobody there yet")
    return len(attempts.read_text())


@ray.remote
def endless() -> None:
    while True:
        time.sleep(0.01)


@ray.remote
class Account:
    def __init__(self, saved: Path) -> None:
        self.saved = saved
        self.balance = int(saved.read_text()) if saved.exists() else 0

    def deposit(self, amount: int) -> int:
        self.balance += amount
        self.saved.write_text(str(self.balance))
        return self.balance

    def crash(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    ray.init(num_cpus=2)
    folder = Path(tempfile.mkdtemp())

    try:
        ray.get(divide.remote(1, 0))
    except ZeroDivisionError as error:
        print("raised over there, caught here:", error)

    print("attempts:", ray.get(unreliable.remote(folder / "attempts")))

    forever = endless.remote()
    try:
        ray.get(forever, timeout=0.1)
    except GetTimeoutError:
        ray.cancel(forever)
    try:
        ray.get(forever)
    except TaskCancelledError as error:
        print("cancelled:", error)

    mortal = Account.remote(folder / "mortal")
    try:
        ray.get(mortal.crash.remote())
    except ActorDiedError as error:
        print("it died of", "SIGKILL" if "SIGKILL" in str(error) else error)

    # One that may be restarted begins anew, with what it has saved; the call that killed it fails all the same.
    restarted = Account.options(max_restarts=1).remote(folder / "restarted")
    ray.get([restarted.deposit.remote(10), restarted.deposit.remote(20)])
    try:
        ray.get(restarted.crash.remote())
    except ActorDiedError:
        print("restarted, with what was saved:", ray.get(restarted.deposit.remote(5)))
    ray.shutdown()


if __name__ == "__main__":
    main()
