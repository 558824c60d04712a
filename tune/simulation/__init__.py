"""Experiments on recorded learning curves: the real machine and policies, in virtual time."""
