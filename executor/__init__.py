"""Stateful actors on processes: reservations, streaming calls, and their causes of death."""
