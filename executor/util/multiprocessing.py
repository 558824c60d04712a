"""Ray's name for `executor.multiprocessing`."""

from executor.multiprocessing import AsyncResult, Pool, TimeoutError, cpu_count  # noqa: A004 - the standard one's name

__all__ = ["AsyncResult", "Pool", "TimeoutError", "cpu_count"]
