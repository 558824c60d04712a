"""Engines that a user may already run: asked for placement and a channel, while our own hosts run the calls."""
