"""The parts of the simulated executor: its agenda, its calls, and what separate processes would keep apart."""
