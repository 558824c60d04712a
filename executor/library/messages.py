"""What the hub and its workers say to each other: tuples that begin with one of these numbers."""

from __future__ import annotations

# The hub to a worker.
CALLS = (
    1  # [call, ...]: (number, method or None, digest or None, arguments, values or None, returns, window, whether to
)
#            be tried again when it raises, whether its result may wait for those of the calls behind it)
DEFINE = 2  # a definition; also a worker to the hub
REPLY = 3  # number of the request, whether it went well, value or packed exception
ANSWER = 4  # call, object that the answer is, packed answer; None, None for none
PROCEED = 5  # call, how many items have been taken
CREATE = 6  # digest, arguments, values or None, options of the host, restart count

# A worker to the hub.
READY = 10  # process id; the surroundings are set up
RESULT = 11  # call, VALUE or ERROR, packed (a list of packed for several returns), seconds, whether to be tried again
ITEM = 12  # call, number of the item, outcome, whether it waits for an answer
REQUEST = 13  # number, call that asks, verb, arguments
SUBMIT = 14  # call that asks, submission
HELD = 15  # numbers of references that are newly held, numbers that are not held any more
GAVE_BACK = 16  # [call, ...] that were not begun
CREATED = 17  # VALUE or ERROR, packed exception
PUT = 18  # number, packed
UNREADY = 19  # why the surroundings could not be set up
RESULTS = 21  # [result, ...]: each as in `RESULT`
UNUSED = 22  # segment, which was allocated and is not needed
LEAVING = 20  # the actor leaves of its own will

# The host of a worker to the hub, as if the worker said it.
ALLOCATED = 23  # segment, which the worker was given

RECALL = (1 << 64) - 1
"""The word that asks for the calls which were not begun yet; other words are numbers of calls to be cancelled."""

NO_ARGUMENTS = b""
"""The packed arguments of a call without any."""
