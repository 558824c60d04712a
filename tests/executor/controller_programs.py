"""Controllers for tests: ``python -m tests.executor.controller_programs FOLDER`` does what it was given to do."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from executor.cluster.controllers import Post, State


def main() -> None:
    post = Post(Path(sys.argv[1]))
    post.hold()
    match post.content:
        case b"die":
            sys.exit("a bad day")
        case b"die of SIGTERM":
            signal.signal(signal.SIGTERM, lambda *_: os._exit(1))
            post.say(State("running", place="there"))
            while True:
                signal.pause()
        case b"finish":
            post.say(State("finished", place="here"))
        case b"wait" | b"shout":
            if post.content == b"shout":
                print("and again\n" * 1000, flush=True)
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(post.say(State("ended", f"by {post.order.ended_by}"))))
            post.say(State("running"))
            while True:
                signal.pause()


if __name__ == "__main__":
    main()
