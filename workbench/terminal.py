"""A person plays an environment in the terminal."""

from collections.abc import Callable, Sequence

from workbench.envs.text_env import TextEnv
from workbench.errors import nearest

_HELP = "number or command, hint, quit"


class _Left(Exception):
    """The person has left the game."""


def play(
    env: TextEnv,
    *,
    seed: int | None = None,
    task: str | None = None,
    stage: str | None = None,
    read: Callable[[str], str] = input,
    write: Callable[[str], None] = print,
) -> bool:
    """Let a person play one trajectory; True when they solved the task.

    Args:
        env: The world.
        seed: Chooses the task where none is named, and all other randomness.
        task: A task of ``stage``; a random one when None.
        stage: The last one, the whole task, when None.
        read: Shows a prompt and gives the line that was typed; end of input or Ctrl-C leaves.
        write: Shows text without a line break at its end. Everything the environment says reaches it without control characters.

    Raises:
        EnvError: The task or the stage is unknown.
    """
    observation, info = env.reset(seed=seed, options={"task": task, "stage": stage})
    write(f"{printable(env.name)}, stage {printable(info['stage'])}, task {printable(info['task'])}")
    write(printable(info["task_statement"]))
    total, over = 0.0, False
    while not over:
        write(f"\n{printable(observation)}\n")
        try:
            command = _ask(env, info.get("admissible_commands"), read, write)
        except _Left:
            write(f"You left after {env.turns_taken} turns; total reward {total:+.2f}.")
            return False
        observation, reward, terminated, truncated, info = env.step(command)
        total, over = total + reward, terminated or truncated
        write(f"{printable(command)}: reward {reward:+.2f}")
    ending = "Solved" if info["success"] else "Out of turns" if truncated else "Failed"
    write(f"\n{printable(observation)}\n\n{ending} after {env.turns_taken} turns; total reward {total:+.2f}.")
    return bool(info["success"])


def printable(text: str) -> str:
    """``text`` without characters that steer a terminal or reverse the writing direction; line breaks and tabs stay."""
    return "".join(character for character in text if character.isprintable() or character in " \n\t")


def _ask(env: TextEnv, commands: Sequence[str] | None, read: Callable[[str], str], write: Callable[[str], None]) -> str:
    """A command the environment accepts; ``commands`` is None when any text is."""
    for number, command in enumerate(commands or (), start=1):
        write(f"  {number}  {printable(command)}")
    while True:
        try:
            line = read(f"[{_HELP}] > ").strip()
        except (EOFError, KeyboardInterrupt):
            raise _Left from None
        # A command of the environment comes before our own word of the same name.
        if commands is None and line not in ("hint", "quit"):
            return line
        if commands is not None and (chosen := _chosen(line, commands)) is not None:
            return chosen
        if line == "quit":
            raise _Left
        write(_hint(env) if line == "hint" else f"Unknown command {printable(line)!r}; {printable(nearest(line, commands or ()))}")


def _chosen(line: str, commands: Sequence[str]) -> str | None:
    if line in commands:
        return line
    return {str(number): command for number, command in enumerate(commands, start=1)}.get(line)


def _hint(env: TextEnv) -> str:
    plan = env.oracle()
    return f"Hint: {printable(plan[0])} ({len(plan)} commands to go)" if plan else "This environment has no hint here."
