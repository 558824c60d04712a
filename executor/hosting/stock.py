"""The packages that a host has of its caller, unpacked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from executor.hosting.messages import AskPackages, Ship, Stocked
from executor.hosting.packages import Package, PackageCache, unpack

_log = logging.getLogger(__name__)


class Stock:
    """Unpacks what it is asked for into `folder`, aside, so that nobody waits for the disk."""

    def __init__(self, folder: Path, report: Callable[[Stocked], None], cache: PackageCache | None = None) -> None:
        self._folder = folder
        self._report = report
        self._cache = cache or PackageCache()
        self._lacking: set[str] = set()
        self._aside: ThreadPoolExecutor | None = None

    def path(self, digest: str) -> Path:
        """Where a package's files are."""
        return self._folder / digest

    def take(self, order: AskPackages | Ship) -> None:
        """Obey, aside; `Stocked` is reported."""
        if self._aside is None:
            self._aside = ThreadPoolExecutor(1, "audition-stock")
        self._aside.submit(self._obey, order)

    def _obey(self, order: AskPackages | Ship) -> None:
        try:
            stocked = self._look(order.digests) if isinstance(order, AskPackages) else self._keep(order.package)
        except Exception as error:  # noqa: BLE001 - whatever a disk or an archive has
            _log.warning("a package cannot be unpacked: %s", error)
            stocked = Stocked((), f"code that was sent along cannot be unpacked: {error}")
        if stocked is not None:
            self._report(stocked)

    def _look(self, digests: Sequence[str]) -> Stocked:
        for digest in digests:
            package = self._cache.find(digest)
            if package is None:
                self._lacking.add(digest)
            else:
                unpack(package, self.path(digest))
        return Stocked(tuple(sorted(self._lacking)))

    def _keep(self, package: Package) -> Stocked | None:
        self._cache.keep(package)
        unpack(package, self.path(package.digest))
        self._lacking.discard(package.digest)
        return None if self._lacking else Stocked(())

    def close(self) -> None:
        """Unpack no more."""
        if self._aside is not None:
            self._aside.shutdown(cancel_futures=True)
