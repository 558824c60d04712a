"""Settings that every test shares, and the count of the faults that were tried."""

from __future__ import annotations

import pytest
from hypothesis import settings

# The machine that runs the tests may be busy: how long one example takes says nothing. Failures are for everybody to
# see again, so examples are drawn the same way everywhere; `--hypothesis-profile=explore` looks further.
settings.register_profile("everywhere", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=2000)
settings.load_profile("everywhere")


class FaultCount:
    """Which faults of docs/reliability.md were tried, by the marks of the tests that try them, and which misbehaved."""

    def __init__(self) -> None:
        self._tried: dict[str, bool] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            item.user_properties += [("fault", name) for mark in item.iter_markers("fault") for name in mark.args]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped or (report.when != "call" and report.passed):
            return
        for kind, name in report.user_properties:
            if kind == "fault":
                self._tried[str(name)] = self._tried.get(str(name), True) and report.passed

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._tried:
            return
        good = [name for name, behaves in self._tried.items() if behaves]
        bad = sorted(set(self._tried) - set(good), key=_number)
        terminalreporter.write_line(
            f"faults: {len(good)} of {len(self._tried)} behave as docs/reliability.md says: "
            + " ".join(sorted(good, key=_number))
            + (f"; not {' '.join(bad)}" if bad else "")
        )


def _number(fault: str) -> int:
    return int(fault.removeprefix("F"))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(FaultCount())
