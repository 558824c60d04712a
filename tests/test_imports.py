"""Importing a package is quick: what is heavy, or not needed by everybody, is imported by the module that uses it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Some of what this saves, in ms: sklearn 860, pandas 220, sqlalchemy 150, optuna 140, numpy 55, grpc 50, asyncio 35.
HEAVY = frozenset(
    """
    alembic asyncio ax bayes_opt cloudpickle dask fsspec grpc hebo hyperopt hypothesis joblib matplotlib nevergrad numpy
    optuna pandas plotly psutil pydantic pynvml pytest ray rich scipy sklearn sqlalchemy threadpoolctl torch typer
    yaml zoopt
    """.split()
)


def modules_after(statement: str) -> set[str]:
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("package", ["executor", "schedulers", "searchers", "tune"])
def test_importing_a_package_loads_nothing_heavy(package: str) -> None:
    assert modules_after(f"import {package}") & HEAVY == set()


@pytest.mark.parametrize("package", ["executor", "schedulers", "searchers"])
def test_importing_a_package_loads_none_of_the_others(package: str) -> None:
    others = {"executor", "schedulers", "searchers", "tune"} - {package}
    assert modules_after(f"import {package}") & others == set()
