"""Ray's name for what `executor` has of actors."""

from executor.library.api import exit_actor
from executor.library.handles import ActorClass, ActorHandle, ActorMethod

__all__ = ["ActorClass", "ActorHandle", "ActorMethod", "exit_actor"]
