"""Large objects: where they lie on a machine, and how they get to another one."""
