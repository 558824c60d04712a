"""The pure part of an experiment: events, its state, its decisions."""
