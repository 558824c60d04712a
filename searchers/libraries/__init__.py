"""Searchers that are other libraries' own, each in the file named after its library."""
