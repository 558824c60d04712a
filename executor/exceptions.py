"""The errors of `executor.errors`, and Ray's names for those that mean the same.

There is no ``RayTaskError``: what a call raises is raised here as the user's own class, ``except ValueError`` catches
it, and its cause is the traceback from the worker.
"""

from executor.errors import (
    ActorDiedError,
    ExecutorClosedError,
    ExecutorError,
    GetTimeoutError,
    InfeasibleRequestError,
    ObjectLostError,
    ObjectStoreFullError,
    OutOfMemoryError,
    PendingCallsLimitExceeded,
    ProgramNotPicklableError,
    RuntimeEnvSetupError,
    TaskCancelledError,
    UnsupportedPlatformError,
    WorkerCrashedError,
)

RayError = ExecutorError
RayActorError = ActorDiedError
ActorUnschedulableError = TaskUnschedulableError = InfeasibleRequestError

__all__ = [
    "ActorDiedError", "ActorUnschedulableError", "ExecutorClosedError", "ExecutorError", "GetTimeoutError",
    "InfeasibleRequestError", "ObjectLostError", "ObjectStoreFullError", "OutOfMemoryError",
    "PendingCallsLimitExceeded", "ProgramNotPicklableError", "RayActorError", "RayError", "RuntimeEnvSetupError",
    "TaskCancelledError", "TaskUnschedulableError", "UnsupportedPlatformError", "WorkerCrashedError",
]  # fmt: skip
