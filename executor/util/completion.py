"""Results as they come, by Ray's names: values rather than the references that `executor.as_completed` gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from executor.library import api
from executor.library.functions import RemoteFunction
from executor.library.refs import ObjectRef

__audition_internal__ = True


def as_completed(
    refs: Sequence[ObjectRef[Any]],
    chunk_size: int = 10,  # noqa: ARG001 - Ray's: how many it waits for at a time, which changes nothing here
    yield_obj_refs: bool = False,
) -> Iterator[Any]:
    """The values of references, each as soon as it is there; with `yield_obj_refs` the references.

    Raises:
        BaseException: what a call raised, in its turn.
    """
    for ref in api.as_completed(refs):
        yield ref if yield_obj_refs else api.get(ref)


def map_unordered(
    fn: RemoteFunction, args: Iterable[Any], *, chunk_size: int = 10, yield_obj_refs: bool = False
) -> Iterator[Any]:
    """Call a remote function with each of `args`; the values as they come.

    Raises:
        BaseException: what a call raised, in its turn.
    """
    return as_completed([fn.remote(each) for each in args], chunk_size, yield_obj_refs)
