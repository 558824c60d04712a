"""A parameter server: workers compute gradients on shares of the data, as they come; one is killed meanwhile."""

from __future__ import annotations

import os
import signal

import numpy as np

import executor as ray

WORKERS = 2
STEPS = 120
TRUE = np.array([2.0, -3.0, 0.5])


@ray.remote
class ParameterServer:
    """Holds the weights, and takes a step with each gradient as soon as it comes."""

    def __init__(self, size: int) -> None:
        self.weights = np.zeros(size)

    def step(self, gradient: np.ndarray) -> np.ndarray:
        self.weights -= 0.1 * gradient
        return self.weights


@ray.remote(max_restarts=2, max_task_retries=2)
class Worker:
    """Has its own share of the data. When its process dies it is created anew, and its call runs once more."""

    def __init__(self, seed: int) -> None:
        chance = np.random.default_rng(seed)
        self.inputs = chance.normal(size=(200, len(TRUE)))
        self.targets = self.inputs @ TRUE
        self.lives = 1 + ray.get_runtime_context().restart_count

    def gradient(self, weights: np.ndarray) -> np.ndarray:
        return 2 * self.inputs.T @ (self.inputs @ weights - self.targets) / len(self.targets)

    def pid(self) -> int:
        return os.getpid()

    def how_many_lives(self) -> int:
        return self.lives


def main() -> None:
    ray.init(num_cpus=2)
    server = ParameterServer.remote(len(TRUE))
    workers = [Worker.remote(seed) for seed in range(WORKERS)]

    weights = ray.put(np.zeros(len(TRUE)))
    pending = {worker.gradient.remote(weights): worker for worker in workers}
    for step in range(STEPS):
        if step == STEPS // 2:
            os.kill(ray.get(workers[0].pid.remote()), signal.SIGKILL)
        done, _ = ray.wait(list(pending))
        worker = pending.pop(done[0])
        # Neither gradient nor weights pass through the driver: it hands on references.
        pending[worker.gradient.remote(server.step.remote(done[0]))] = worker

    ray.get(list(pending))
    found = ray.get(server.step.remote(np.zeros(len(TRUE))))
    print("found the weights:", np.allclose(found, TRUE, atol=0.01))
    print("lives of each worker:", ray.get([worker.how_many_lives.remote() for worker in workers]))
    ray.shutdown()


if __name__ == "__main__":
    main()
