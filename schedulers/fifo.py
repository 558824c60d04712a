"""First in, first out: every trial runs to its own end."""

from __future__ import annotations

from schedulers.base import TrialScheduler


class FIFOScheduler(TrialScheduler):
    """Starts trials in the order they came, and never interferes."""
