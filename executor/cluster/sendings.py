"""What a head decides to have done: messages to send, and what is to be written down."""

from __future__ import annotations

from dataclasses import dataclass

from executor.cluster.protos import cluster as pb


@dataclass(frozen=True, slots=True)
class ToAgent:
    """Send this to a node's agent."""

    name: str
    message: pb.ToAgent


@dataclass(frozen=True, slots=True)
class ToDriver:
    """Send this to a driver."""

    driver: str
    message: pb.ToDriver


@dataclass(frozen=True, slots=True)
class Noted:
    """Write down that this has happened."""

    text: str


Sending = ToAgent | ToDriver | Noted
