"""A few commands of DangerousTaxi, for its tests."""

from workbench.envs.taxi import DangerousTaxi


def begin(env: DangerousTaxi, task: str, stage: str = "full") -> str:
    """Begin a task; gives its first observation."""
    return env.reset(seed=0, options={"task": task, "stage": stage})[0]


def play(env: DangerousTaxi, *commands: str) -> list[float]:
    """Carry out commands; gives their rewards."""
    return [env.step(command)[1] for command in commands]
