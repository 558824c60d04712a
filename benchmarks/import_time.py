"""What an import costs in a fresh interpreter, in seconds: the bare package, and all that a run needs."""

from __future__ import annotations

from common import Figures, Part, compare, run_script


def seconds(statement: str) -> float:
    timed = f"import time\nbegan = time.perf_counter()\n{statement}\nprint(time.perf_counter() - began)"
    return float(run_script(timed).split()[-1])


def ours() -> Figures:
    return {
        "from tune import run, Tuner": seconds("from tune import run, Tuner"),
        "import tune": seconds("import tune"),
    }


if __name__ == "__main__":
    compare(
        "import_time",
        Part(ours, rounds=7),
        {
            "optuna": Part(lambda: {"import optuna": seconds("import optuna")}, "optuna", rounds=7),
            "ray": Part(lambda: {"import ray.tune": seconds("import ray.tune")}, "ray", rounds=3),
        },
        unit="s",
        at_most=0.12,
    )
