"""What can go wrong in the executor.

ExecutorError
├── InfeasibleRequestError    no node can ever hold the request
├── ProgramNotPicklableError  the program cannot be sent to a worker process
├── ExecutorClosedError       used after `close()` or `shutdown()`
├── DeadlockError             waiting in virtual time for what can never happen
├── UnsupportedPlatformError  this operating system cannot run workers
├── WorkerCrashedError        the process of a call ended before the call did
│   └── ActorDiedError        the actor is gone, or its process is and this call with it
│       └── OutOfMemoryError  because it used more memory than it may, or than there was
├── TaskCancelledError        the call was cancelled
├── GetTimeoutError           the value was not there in time
├── ObjectLostError           an object was on a node that is gone, or cannot be reached
├── ObjectStoreFullError      no room for an object, neither in memory nor on disk
├── PendingCallsLimitExceeded more calls wait for the actor than it allows
├── RuntimeEnvSetupError      a worker's environment could not be set up
└── ClusterError              a cluster cannot be reached, or will not have us
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


class WorkerCrashedError(ExecutorError):
    """The worker process ended before the call did: says which call, how the process ended, and its last lines."""


class ActorDiedError(WorkerCrashedError):
    """The actor does not live any more, or its process ended during this call: says which actor and why."""


class OutOfMemoryError(ActorDiedError):
    """A worker was ended for want of memory: says how much it used, how much it was allowed, how much was free."""


class TaskCancelledError(ExecutorError):
    """The call was cancelled before it ended by itself."""


class GetTimeoutError(ExecutorError, TimeoutError):
    """What `get` waits for was not there within its timeout; it can be asked for again."""


class ObjectLostError(ExecutorError):
    """The object was on a node that is gone, or that cannot be reached: says which."""


class ObjectStoreFullError(ExecutorError):
    """There is no room for an object: says what is held, what is allowed, and what the disk said."""


class PendingCallsLimitExceeded(ExecutorError):  # noqa: N818 - Ray's name
    """More calls wait for the actor than its ``max_pending_calls``: wait for some of them first."""


class RuntimeEnvSetupError(ExecutorError):
    """The environment of a worker could not be set up: says what of `runtime_env` failed, and how."""


class ClusterError(ExecutorError):
    """A cluster cannot be reached, or refuses who wants to join or use it: says which, and why."""
