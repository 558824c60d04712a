"""What can go wrong in the executor.

ExecutorError
├── InfeasibleRequestError   no node can ever hold the request
├── ProgramNotPicklableError the program cannot be sent to a worker process
├── ExecutorClosedError      used after `close()`
├── DeadlockError            waiting in virtual time for what can never happen
└── UnsupportedPlatformError this operating system cannot run workers
"""

from __future__ import annotations


class ExecutorError(Exception):
    """Base of every error the executor raises in the caller's process."""


class InfeasibleRequestError(ExecutorError):
    """No node could hold the request even when idle: says what was asked and what each node has."""


class ProgramNotPicklableError(ExecutorError, TypeError):
    """The program refers to something that cannot leave this process: names the variable and its type."""


class ExecutorClosedError(ExecutorError):
    """The executor was closed; open a new one."""


class DeadlockError(ExecutorError):
    """A simulation waits without a limit, and nothing that it waits for is to come: says who waits for what."""


class UnsupportedPlatformError(ExecutorError):
    """Workers cannot run on this operating system: says what to use instead."""
