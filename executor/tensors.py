"""Torch tensors as buffers: those on the cpu travel without a copy, as numpy's arrays do.

Torch's own way writes a tensor's storage into the pickle. Used only where torch is loaded already.
"""

from __future__ import annotations

import copyreg
import sys
import warnings
from collections import ChainMap
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any


@cache
def reducers() -> dict[Any, Callable[[Any], Any]]:
    """How to pickle what torch has, by class."""
    return {sys.modules["torch"].Tensor: _reduce}


@cache
def dispatch_table() -> Mapping[Any, Any]:
    """The interpreter's own table of such functions, and ours."""
    return ChainMap(reducers(), copyreg.dispatch_table)


def _reduce(tensor: Any) -> Any:
    torch = sys.modules["torch"]
    plain = tensor.device.type == "cpu" and tensor.layout is torch.strided and not tensor.requires_grad
    if not plain or tensor.is_conj() or tensor.is_neg() or tensor.is_quantized or not tensor.is_contiguous():
        return tensor.__reduce_ex__(5)
    # By bytes: numpy does not have all of torch's types. An empty one has no bytes to look at.
    array = (
        tensor.view(-1).view(torch.uint8).numpy() if tensor.numel() else tensor.new_empty(0, dtype=torch.uint8).numpy()
    )
    return _made, (array, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))


def _made(array: Any, dtype: str, shape: tuple[int, ...]) -> Any:
    import torch  # the value is a tensor: whoever wants it has torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it cannot be written to, which is how shared values are
        flat = torch.from_numpy(array)
    return flat.view(getattr(torch, dtype)).view(shape)
