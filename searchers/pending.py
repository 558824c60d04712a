"""Results known before anybody has asked for their parameters: of an objective that asks as it runs.

Its domains show only while trials run, and without them a model cannot place a value. A result joins what is known once
trials have asked for all of its parameters.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from searchers.domain import Domain

logger = logging.getLogger(__name__)


class Placed(NamedTuple):
    """A known result whose parameters have all been asked for, and within which domains."""

    known_id: str
    parameters: Mapping[str, tuple[Domain, Any]]
    result: dict[str, Any]


class Pending:
    """Known results that wait, and the domains within which trials have asked so far, the latest of each name."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[Mapping[str, Any], dict[str, Any]]] = {}
        self._domains: dict[str, Domain] = {}

    def add(self, known_id: str, config: Mapping[str, Any], result: dict[str, Any]) -> None:
        """`config` is known to come to `result`."""
        self._waiting[known_id] = config, result

    def asked(self, name: str, domain: Domain) -> Iterator[Placed]:
        """A trial asked for `name`: the results that waited for nothing else. One outside of a domain is left out."""
        is_new = name not in self._domains
        self._domains[name] = domain
        if not is_new:
            return
        for known_id, (config, result) in list(self._waiting.items()):
            if name not in config or not config.keys() <= self._domains.keys():
                continue
            del self._waiting[known_id]
            parameters = {each: (self._domains[each], value) for each, value in config.items()}
            outside = [f"{each} = {value!r}" for each, (own, value) in parameters.items() if not own.contains(value)]
            if outside:
                logger.warning("a known result is left out: %s is not what trials ask for", " and ".join(outside))
            else:
                yield Placed(known_id, parameters, result)
