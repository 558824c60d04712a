"""The library for its own sake: tasks, actors and objects on the worker processes that trials use too."""
