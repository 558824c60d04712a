"""What the tests of faults share with those of whole runs."""

from tests.tune.conftest import run

__all__ = ["run"]
