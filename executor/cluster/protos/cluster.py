"""The messages in ``cluster.proto``."""

from executor.cluster.protos.loading import message_classes

globals().update(message_classes("cluster"))
