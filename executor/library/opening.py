"""What `init` is given, checked before anything is opened."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from executor.connect import is_cluster
from executor.library.machine import Offer
from executor.library.plans import check_texts, resources_of
from executor.library.surroundings import surrounding_of
from executor.resources import Resources


def check_opening(options: Mapping[str, Any]) -> None:
    """Raise for what nothing can be opened with.

    Raises:
        ValueError: an amount is no number of at least zero, labels are no texts, objects have no room.
        FileNotFoundError: a folder or module of the runtime_env is not there.
    """
    resources_of({**options, "num_gpus": None}, 0)
    Resources.of(gpu=options.get("num_gpus") or 0)  # of a machine also one and a half
    check_texts("labels", options.get("labels") or {})
    _check_store(options.get("object_store_memory"))
    _check_folder(options.get("spill_directory"))
    surrounding_of(options.get("runtime_env"), Resources())


_OF_THIS_MACHINE = ("num_cpus", "num_gpus", "memory", "resources", "labels", "spill_directory")


def check_address(address: Any, options: Mapping[str, Any]) -> None:
    """Raise for an address that there is none of, or that other options do not go with.

    Raises:
        ValueError: says which.
    """
    if address in (None, "local", "auto"):
        return
    if isinstance(address, str) and not is_cluster(address):
        raise ValueError(f"address={address!r}: there is 'local', and 'grpc://HOST:PORT' for a cluster")
    if given := [name for name in _OF_THIS_MACHINE if options.get(name) is not None]:
        raise ValueError(
            f"{', '.join(given)}: of this machine, and no part of a cluster; its nodes say what they offer as they join"
        )


def offer_of(options: Mapping[str, Any]) -> Offer:
    """What of this machine is to be used, as far as that is said."""
    return Offer(
        cpus=options["num_cpus"],
        gpus=options["num_gpus"],
        memory=options["memory"],
        resources=options["resources"] or {},
        labels=options["labels"] or {},
        store_bytes=options["object_store_memory"],
        spill_folder=options["spill_directory"],
    )


def _check_store(size: Any) -> None:
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size <= 0):
        raise ValueError(
            f"object_store_memory must be a whole number of bytes above 0, got {size!r}: leave it out for 30% of the "
            f"memory"
        )


def _check_folder(folder: Any) -> None:
    if folder is None:
        return
    if not isinstance(folder, str | os.PathLike):
        raise ValueError(f"spill_directory must be a folder, got {folder!r}")
    if not Path(folder).is_dir():
        what = "a file" if Path(folder).exists() else "not there"
        raise ValueError(f"spill_directory must be a folder that exists, {str(folder)!r} is {what}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"spill_directory must be a folder that can be written to, {str(folder)!r} cannot")
