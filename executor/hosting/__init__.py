"""Calls on other machines: what a caller and a machine's host say to each other, whatever carries it between them."""
