"""Runs in a real notebook kernel: interrupted, restarted, killed; the next cell goes on."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager

import tune
from tests.tune.driver import REPOSITORY, holding
from tests.tune.trainables import DEADLINE_S, iterations, wait_for

RUN = """
import tune
from tests.tune import trainables
results = tune.run(
    trainables.patient,
    config={{"marks": {marks!r}, "at": 3, "waiting": {waiting}}},
    num_samples=2,
    storage_path={marks!r},
    name={name!r},
    verbose={verbose},
)
[(one.trial_id, one.state) for one in results]
"""


class Notebook:
    """A kernel in a process of its own; `said` is all that its cells printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said = ""
        self._kernel = KernelManager(kernel_name="python3", transport="ipc", ip=str(folder / "kernel"))
        self._kernel.start_kernel(env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, cwd=str(folder))
        self._client = self._connect()

    def _connect(self) -> BlockingKernelClient:
        client = self._kernel.client()
        client.start_channels()
        client.wait_for_ready(timeout=DEADLINE_S * 2)
        return client

    def begin(self, cell: str) -> str:
        """Have a cell run; what to ask for its end with."""
        return str(self._client.execute(cell))

    def end(self, cell: str) -> tuple[str, str]:
        """How a cell ended, ``ok`` or the name of what it raised, and the value that it shows."""
        value = ""
        while True:
            message: dict[str, Any] = self._client.get_iopub_msg(timeout=DEADLINE_S)
            if message["parent_header"].get("msg_id") != cell:
                continue
            content = message["content"]
            match message["msg_type"]:
                case "stream":
                    self.said += content["text"]
                case "execute_result":
                    value = content["data"]["text/plain"]
                case "status" if content["execution_state"] == "idle":
                    break
        while True:
            reply: dict[str, Any] = self._client.get_shell_msg(timeout=DEADLINE_S)
            if reply["parent_header"].get("msg_id") == cell:
                return reply["content"].get("ename", "ok"), value

    def run(self, cell: str) -> tuple[str, str]:
        """Run a cell to its end."""
        return self.end(self.begin(cell))

    def press_interrupt(self) -> None:
        """What the button with the square does."""
        self._kernel.interrupt_kernel()

    def restart(self) -> list[psutil.Process]:
        """What the button with the arrow does, and killing the kernel as well; whose processes there were."""
        there = psutil.Process(self._kernel.provisioner.pid).children(recursive=True)
        self._client.stop_channels()
        self._kernel.restart_kernel(now=True)
        self._client = self._connect()
        return there

    def close(self) -> None:
        self._client.stop_channels()
        self._kernel.shutdown_kernel(now=True)


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[Notebook]:
    notebook = Notebook(tmp_path)
    try:
        yield notebook
    finally:
        notebook.close()


def cell(notebook: Notebook, name: str = "e", waiting: tuple[str, ...] = ("t0", "t1"), verbose: int = 0) -> str:
    return RUN.format(marks=str(notebook.folder), name=name, waiting=list(waiting), verbose=verbose)


@pytest.mark.fault("F13", "F33")
def test_the_interrupt_button_ends_the_run_and_the_cell_has_its_results(notebook: Notebook) -> None:
    running = notebook.begin(cell(notebook, verbose=1))
    for trial_id in ("t0", "t1"):
        wait_for(notebook.folder / f"{trial_id}-waits")
    notebook.press_interrupt()
    assert notebook.end(running) == ("ok", "[('t0', 'PENDING'), ('t1', 'PENDING')]")
    assert "audition resume" in notebook.said

    (notebook.folder / "event").touch()
    resumed = f"[one.state for one in tune.resume({str(notebook.folder / 'e')!r}, verbose=0)]"
    assert notebook.run(resumed) == ("ok", "['TERMINATED', 'TERMINATED']")
    assert notebook.run(cell(notebook, "f", ())) == ("ok", "[('t0', 'TERMINATED'), ('t1', 'TERMINATED')]")
    assert [iterations(one) for one in tune.ResultGrid(notebook.folder / "e")] == [[1, 2, 3, 4, 5, 6]] * 2

    # Outside of a run the button does what it always did.
    running = notebook.begin("open('sleeps', 'w').close()\nimport time\ntime.sleep(1000)")
    wait_for(notebook.folder / "sleeps")
    notebook.press_interrupt()
    assert notebook.end(running)[0] == "KeyboardInterrupt"


@pytest.mark.fault("F12")
def test_a_kernel_that_is_killed_or_restarted_leaves_no_process_and_the_next_one_goes_on(notebook: Notebook) -> None:
    notebook.begin(cell(notebook))
    for trial_id in ("t0", "t1"):
        wait_for(notebook.folder / f"{trial_id}-waits")
    there = notebook.restart()
    assert len(there) >= 2
    _, alive = psutil.wait_procs(there, timeout=DEADLINE_S)
    assert alive == []

    (notebook.folder / "event").touch()
    resumed = f"import tune\n[one.state for one in tune.resume({str(notebook.folder / 'e')!r}, verbose=0)]"
    assert notebook.run(resumed) == ("ok", "['TERMINATED', 'TERMINATED']")
    assert [iterations(one) for one in tune.ResultGrid(notebook.folder / "e")] == [[1, 2, 3, 4, 5, 6]] * 2


@pytest.mark.fault("F13")
def test_the_button_pressed_again_and_again_ends_the_cell_whatever_it_waits_for(notebook: Notebook) -> None:
    running = notebook.begin(cell(notebook))
    wait_for(notebook.folder / "t0-waits")
    with holding(notebook.folder / "e"):
        for _ in range(8):
            notebook.press_interrupt()
            time.sleep(0.05)  # as fast as a person can; two that come at once are one
    assert notebook.end(running)[0] == "KeyboardInterrupt"
    (notebook.folder / "event").touch()
    resumed = f"[one.state for one in tune.resume({str(notebook.folder / 'e')!r}, verbose=0)]"
    assert notebook.run(resumed) == ("ok", "['TERMINATED', 'TERMINATED']")
