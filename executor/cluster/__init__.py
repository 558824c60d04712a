"""Our own cluster: a head that places and passes on, agents that run, drivers that decide; see `docs/cluster.md`."""
