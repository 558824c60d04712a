"""Experiments on a network file system: the database is written on a local disk, everything else where it belongs."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import tune
from executor.platform.portable import kind_of_mount
from tests.tune.trainables import counting, iterations, steps_in
from tune.cli.experiments import find
from tune.storage.home import Home, is_on_network

SPACE = {"config": {"x": tune.uniform(0, 1)}, "metric": "score", "mode": "max", "seed": 3}


def why_nothing_can_be_mounted() -> str:
    """What is lacking for it here; empty when nothing is."""
    if os.geteuid() != 0:
        return "only root may here"
    if shutil.which("bindfs") is None:
        return "bindfs is not installed (Debian: bindfs, which `make test` installs as root)"
    return "" if Path("/dev/fuse").exists() else "there is no /dev/fuse: load the module, or give it to the container"


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory on a file system of a kind that is a network's, as far as the system tells."""
    if why := why_nothing_can_be_mounted():
        pytest.skip(f"mounts a file system by FUSE, with bindfs: {why}")
    monkeypatch.setenv("AUDITION_LIVE", str(tmp_path / "live"))
    disk, network = tmp_path / "disk", tmp_path / "network"
    disk.mkdir()
    network.mkdir()
    subprocess.run(["bindfs", "-o", "subtype=sshfs", disk, network], check=True)
    try:
        yield network
    finally:
        subprocess.run(["umount", "-l", network], check=True)


def test_the_innermost_mount_counts_and_of_two_in_one_place_the_later() -> None:
    mounts = [("/", "ext4"), ("/home", "nfs4"), ("/home/me", "xfs"), ("/mnt", "ext4"), ("/mnt", "cifs")]
    kinds = {path: kind_of_mount(path, mounts) for path in ("/home/me/a", "/home/you", "/homes", "/mnt/a", "/")}
    assert kinds == {"/home/me/a": "xfs", "/home/you": "nfs4", "/homes": "ext4", "/mnt/a": "cifs", "/": "ext4"}


def test_a_network_file_system_is_known_also_by_what_is_not_there_yet(network: Path, tmp_path: Path) -> None:
    assert is_on_network(network / "not" / "yet")
    assert not is_on_network(tmp_path / "not" / "yet")
    assert Home.at(tmp_path / "e") == Home(str(tmp_path / "e"), tmp_path / "e", tmp_path / "e")


def test_an_experiment_there_is_read_by_anybody_and_goes_on_here_or_elsewhere(run, network: Path) -> None:
    run(counting, storage_path=network, num_samples=2, **SPACE)
    home = Home.at(network / "e")
    assert {path.name for path in home.directory.iterdir()} == {".lock", "experiment.db", "checkpoints"}
    with sqlite3.connect(home.directory / "experiment.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()

    found = tune.ResultGrid(network / "e")
    assert [iterations(one) for one in found] == [[1, 2, 3, 4, 5, 6]] * 2
    assert [steps_in(one.checkpoint) for one in found] == [6, 6]

    (network / "e" / "experiment.db").rename(network / "e" / "unpublished")
    assert find(str(network / "e"), None) == home.live
    (network / "e" / "unpublished").rename(network / "e" / "experiment.db")

    assert len(tune.resume(network / "e", num_samples=1, verbose=0)) == 3
    shutil.rmtree(home.live)
    more = tune.resume(network / "e", num_samples=1, verbose=0)
    assert [iterations(one) for one in more] == [[1, 2, 3, 4, 5, 6]] * 4
