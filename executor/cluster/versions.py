"""What has to be alike on both ends of a connection, so that what one sends the other can run."""

from __future__ import annotations

import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from executor.cluster.protos import cluster as pb

PROTOCOL = 3


@cache
def versions_here() -> pb.Versions:
    """Those of this process."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return pb.Versions(
        protocol=PROTOCOL, python=python, audition=_version("audition"), cloudpickle=_version("cloudpickle")
    )


def mismatch(ours: pb.Versions, theirs: pb.Versions) -> str:
    """Why the two cannot work together, naming both; empty when they can.

    Functions travel as bytecode, so Python's minor version counts; cloudpickle reads what its own major version wrote.
    """
    told = []
    if ours.protocol != theirs.protocol:
        told.append(f"protocol {ours.protocol} here, {theirs.protocol} there")
    if ours.python != theirs.python:
        told.append(f"Python {ours.python} here, {theirs.python} there")
    if _minor(ours.audition) != _minor(theirs.audition):
        told.append(f"audition {ours.audition} here, {theirs.audition} there")
    if _major(ours.cloudpickle) != _major(theirs.cloudpickle):
        told.append(f"cloudpickle {ours.cloudpickle} here, {theirs.cloudpickle} there")
    return "; ".join(told)


def _major(text: str) -> str:
    return text.partition(".")[0]


def _minor(text: str) -> str:
    return ".".join(text.split(".")[:2])


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
