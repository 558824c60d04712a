"""Sweep files: a run described in YAML, read into the same `Job` that `tune.run` makes.

The space and the metric are written as in W&B's sweeps, everything else under the names of `tune.run`::

    trainable: digits.py:train          # relative to this file; or my_package.module:train
    metric: {name: accuracy, goal: maximize}
    parameters:
      lr: {distribution: loguniform, min: 1e-5, max: 1e-1}
      units: {min: 16, max: 256}
      opt: {values: [sgd, adam]}
      epochs: 27
    searcher: {type: tpe, seed: 7}
    scheduler: {type: asha, max_t: 27, variant: promotion}
    num_samples: 40

`tune.sweep.schema` has every key, `tune.sweep.parameters` every form of a parameter.
"""

from tune.sweep.build import read_sweep
from tune.sweep.mistakes import Mistake, Place, SweepError

__all__ = ["Mistake", "Place", "SweepError", "read_sweep"]
