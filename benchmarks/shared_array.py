"""What an array that eight actors read costs in memory, all processes together: GB more for each GB of the array.

Pages that several processes have mapped are divided among them (PSS), so shared memory counts once. The actors, with
numpy, are there before; each has summed the array, and still holds it, when its memory is taken.
"""

from __future__ import annotations

from typing import Any

import engines
from common import Figures, Part, compare

ACTORS = 8


class Reader:
    def ready(self) -> int:
        import numpy as np

        return int(np.arange(3.0).sum())

    def total(self, array: Any) -> float:
        self.array = array
        return float(array.sum())


def grown(before: int, size: int) -> Figures:
    return {"gb_per_gb": (engines.pss_bytes() - before) / size, "array_gb": size / 1e9}


def measured(library: Any, numbers: int = 125_000_000) -> Figures:
    import numpy as np

    readers = [library.remote(num_cpus=0)(Reader).remote() for _ in range(ACTORS)]
    library.get([reader.ready.remote() for reader in readers])
    library.get([reader.total.remote(library.put(np.ones(100_000))) for reader in readers])
    before = engines.pss_bytes()
    reference = library.put(np.ones(numbers))
    assert set(library.get([reader.total.remote(reference) for reader in readers])) == {float(numbers)}
    return grown(before, numbers * 8)


def ours() -> Figures:
    with engines.ours() as library:
        return measured(library)


def ray() -> Figures:
    with engines.ray() as library:
        return measured(library)


def dask() -> Figures:
    import numpy as np

    numbers = 12_500_000  # a tenth: Dask's workers have a copy each
    with engines.dask(ACTORS) as client:
        readers = [client.submit(Reader, actor=True, pure=False).result() for _ in range(ACTORS)]
        for reader in readers:
            reader.ready().result()
        before = engines.pss_bytes()
        array = np.ones(numbers)
        assert {reader.total(array).result() for reader in readers} == {float(numbers)}
        return grown(before, numbers * 8)


if __name__ == "__main__":
    compare(
        "shared_array",
        Part(ours, "executor"),
        {"ray": Part(ray, "ray", rounds=1), "dask": Part(dask, "distributed", rounds=1)},
        unit="GB for each GB",
        at_most=1.1,
    )
