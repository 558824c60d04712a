"""The processes that `audition cluster` starts; nobody types these."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

from executor.cluster.membership import Terms
from executor.cluster.serving import Offer, serve_agent, serve_head, serve_node, this_python
from executor.errors import ClusterError


def main() -> int:
    """Be what the arguments say; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m executor.cluster")
    parser.add_argument("what", choices=["head", "node", "agent"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("options", help="JSON")
    parser.add_argument("lives", nargs="*")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    options = json.loads(arguments.options)
    try:
        match arguments.what:
            case "head":
                terms = Terms(**options["terms"])
                serve_head(arguments.folder, options["host"], options["port"], terms, options.get("controller", ""))
            case "node":
                serve_node(arguments.folder, this_python("agent", str(arguments.folder), arguments.options))
            case _:
                incarnation, succeeds = arguments.lives
                return serve_agent(arguments.folder, Offer(**options), incarnation, succeeds)
    except ClusterError as error:
        print(f"audition: {error}", file=sys.stderr)  # noqa: T201 - it is what its starter shows
        return 2
    return 0


sys.exit(main())
