"""How each mishap of a world comes about."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from executor.messages import DeathCause, MemoryUse
from tests.worlds.ledger import OWN_SIGNAL
from tests.worlds.world import Mishap

if TYPE_CHECKING:
    from tests.worlds.play import Play

AWAY_TURNS = 4
"""How long a lost node is away."""

_DEATHS = {
    Mishap.KILL: DeathCause(signal="SIGKILL"),
    Mishap.CRASH: DeathCause(signal=OWN_SIGNAL),
    Mishap.NO_MEMORY: DeathCause(signal="SIGKILL", memory=MemoryUse(2, 1, 0)),
}


def happen(play: Play, mishap: Mishap, at: float) -> None:
    """Let `mishap` happen now; `at`, from 0 to 1, says with whom or how far."""
    _HOW[mishap](play, mishap, at)


def _await_fate(play: Play, mishap: Mishap, at: float) -> None:
    if call_id := _pick(list(play.ground.running), at):
        play.fates[call_id] = mishap


def _strike(play: Play, mishap: Mishap, at: float) -> None:
    if call_id := _pick(list(play.ground.running), at):
        play.ground.strike(call_id, _DEATHS[mishap])


def _lose_node(play: Play, mishap: Mishap, at: float) -> None:
    there = [name for name in play.capacity if name not in play.ground.gone]
    if len(there) > 1 and (node := _pick(there, at)):
        play.ground.lose(node)
        play.coming_back.append((play.turns + AWAY_TURNS, node))


def _damage(play: Play, mishap: Mishap, at: float) -> None:
    if path := _pick(sorted(play.disk.whole), at):
        play.disk.damage(path)


def _interrupt(play: Play, mishap: Mishap, at: float) -> None:
    for _ in range(2 if mishap is Mishap.CTRL_C_TWICE else 1):
        play.loop.interrupt()


def _die_in_a_commit(play: Play, mishap: Mishap, at: float) -> None:
    play.journal.die_at(1 + int(at * 6), after=mishap is Mishap.KILLED_AFTER)


def _spoil(policy: str, most: float) -> Callable[[Play, Mishap, float], None]:
    """A policy raises, at most so often in a row; what comes of that is not held against our own."""

    def spoil(play: Play, mishap: Mishap, at: float) -> None:
        play.spoiled = True
        play.moods[policy].raises = most if most > 4 else 1 + int(at * most)

    return spoil


def _pick(some: list[str], at: float) -> str | None:
    return some[int(at * len(some))] if some else None


_HOW: dict[Mishap, Callable[[Play, Mishap, float], None]] = {
    Mishap.RAISE: _await_fate,
    Mishap.EXIT: _await_fate,
    Mishap.HANG: _await_fate,
    Mishap.LINGER: _await_fate,
    Mishap.DISK_FULL: _await_fate,
    Mishap.SLOW_SAVE: _await_fate,
    Mishap.SAVE_RAISES: _await_fate,
    Mishap.CRASH: _strike,
    Mishap.KILL: _strike,
    Mishap.NO_MEMORY: _strike,
    Mishap.NODE_LOST: _lose_node,
    Mishap.DAMAGE: _damage,
    Mishap.LATE: lambda play, mishap, at: play.ground.say_again(at),
    Mishap.CTRL_C: _interrupt,
    Mishap.CTRL_C_TWICE: _interrupt,
    Mishap.DRIVER_KILLED: lambda play, mishap, at: play.kill_driver(),
    Mishap.KILLED_BEFORE: _die_in_a_commit,
    Mishap.KILLED_AFTER: _die_in_a_commit,
    Mishap.POWER_CUT: lambda play, mishap, at: play.cut_power(1 + int(at * 8)),
    Mishap.SEARCHER_RAISES: _spoil("searcher", 2),
    Mishap.SCHEDULER_RAISES: _spoil("scheduler", 4),
    Mishap.SCHEDULER_BREAKS: _spoil("scheduler", float("inf")),
    Mishap.CALLBACK_RAISES: _spoil("callback", float("inf")),
}
