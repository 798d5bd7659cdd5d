"""A person plays an environment in the terminal.

Where the output is a terminal, the screen is drawn anew at every turn; elsewhere (a pipe, a test) lines follow each other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.envs.text_env import Info, TextEnv
from workbench.errors import EnvError, nearest
from workbench.screen import Screen, printable

if TYPE_CHECKING:
    from workbench.recipes.advise import Advice

Advisor = Callable[[TextEnv, str, Info], "Advice"]
"""Given the environment, its observation and its info: what a run's players make of it."""

HINT, UNDO, MODEL, QUIT = "hint", "undo", "model", "quit"
_KEYS = {"?": HINT, "-": UNDO, "!": MODEL, "q": QUIT}
_CLEAR = "\x1b[2J\x1b[H"
_COLUMNS_FROM = 12
"""From so many commands on they stand beside each other."""
_BAR = 20


class Played(NamedTuple):
    """How a person did."""

    success: bool
    turns: int
    reward: float
    """Sum over the turns, environment units."""
    shortest: int | None
    """Commands of the oracle's plan at the start; None where there is no oracle."""
    hints: int
    """Times the oracle or the model was asked."""


@dataclass
class _Game:
    """One trajectory and what the person did to it."""

    env: TextEnv
    info: Info
    observation: str
    shortest: int | None
    rewards: list[float] = field(default_factory=list)
    before: list[dict[str, Any]] = field(default_factory=list)
    """A snapshot for every turn; fewer than turns where the environment cannot be branched."""
    hints: int = 0
    over: bool = False
    truncated: bool = False
    advice: "Advice | None" = None

    @property
    def commands(self) -> Sequence[str] | None:
        """What can be done now; None when any text is taken."""
        return self.info.get("admissible_commands")

    def step(self, command: str) -> str:
        """Carry out a command; gives what to say about it."""
        try:
            saved: dict[str, Any] | None = self.env.snapshot()
        except EnvError:
            saved = None
        self.observation, reward, terminated, self.truncated, self.info = self.env.step(command)
        if saved is not None:
            self.before.append(saved)
        self.rewards.append(reward)
        self.over, self.advice = terminated or self.truncated, None
        return f"{command}: reward {reward:+.2f}"

    def undo(self) -> str:
        """Take the last command back."""
        if not self.rewards:
            return "There is nothing to take back."
        if not self.before:
            return "This environment cannot go back."
        self.observation, self.info = self.env.restore(self.before.pop())
        self.rewards.pop()
        self.over, self.advice = False, None
        return "Taken back."

    def hint(self) -> str:
        """The oracle's next command."""
        plan = self.env.oracle()
        self.hints += bool(plan)
        return f"Hint: {plan[0]} ({len(plan)} command{'s' * (len(plan) > 1)} to go)" if plan else "This environment has no hint here."

    def ending(self) -> str:
        """How it went, against the oracle."""
        how = "Solved" if self.info["success"] else "Out of turns" if self.truncated else "Failed" if self.over else "You left"
        text = f"{how} after {self._turns}; total reward {sum(self.rewards):+.2f}."
        if self.info["success"] and self.shortest is not None:
            text += " Nobody needs fewer." if len(self.rewards) <= self.shortest else f" A shortest way takes {self.shortest}."
        return text + (f" You asked {self.hints} time{'s' * (self.hints > 1)}." if self.hints else "")

    @property
    def _turns(self) -> str:
        return f"{len(self.rewards)} turn{'s' * (len(self.rewards) != 1)}"


def play(
    env: TextEnv,
    *,
    seed: int | None = None,
    task: str | None = None,
    stage: str | None = None,
    read: Callable[[str], str] = input,
    screen: Screen | None = None,
    advise: Advisor | None = None,
) -> Played:
    """Let a person play one trajectory.

    Args:
        env: The world.
        seed: Chooses the task where none is named, and all other randomness.
        task: A task of ``stage``; a random one when None.
        stage: The last one, the whole task, when None.
        read: Shows a prompt and gives the line that was typed; end of input or Ctrl-C leaves.
        screen: Where it is shown; plain lines on standard output when None.
        advise: Players of a run, asked when the person asks for them.

    Raises:
        EnvError: The task or the stage is unknown.
    """
    screen = screen or Screen()
    observation, info = env.reset(seed=seed, options={"task": task, "stage": stage})
    plan = env.oracle()
    game = _Game(env, info, observation, len(plan) if plan else None)
    if not screen.live:
        screen.write(f"{_title(game)}\n{printable(info['task_statement'])}")
    message: str | None = None
    while True:
        _draw(game, screen, message)
        # Who has failed may go back, where somebody sits before the screen.
        if game.over and (game.info["success"] or not screen.live):
            break
        try:
            command = _ask(game, screen, read, advise)
        except (EOFError, KeyboardInterrupt):
            break
        message = game.undo() if command is None else game.step(command)
        if not screen.live:
            screen.write(printable(message))
    screen.write(("" if screen.live else "\n") + screen.paint(game.ending(), "good" if game.info["success"] else "bold"))
    return Played(bool(game.info["success"]), len(game.rewards), sum(game.rewards), game.shortest, game.hints)


def _title(game: _Game) -> str:
    return printable(f"{game.env.name}, stage {game.info['stage']}, task {game.info['task']}")


def _draw(game: _Game, screen: Screen, message: str | None) -> None:
    """The state; where the screen is drawn anew, everything else that should be on it, too."""
    if not screen.live:
        screen.write(f"\n{printable(game.observation)}" + ("" if game.over else "\n"))
        return
    score = f"turn {len(game.rewards)} of {game.env.horizon}, reward {sum(game.rewards):+.2f}"
    statement = screen.wrapped(game.info["task_statement"], "dim")
    screen.write(f"{_CLEAR}{screen.paint(_title(game), 'bold')}   {score}\n{statement}\n\n{printable(game.observation)}\n")
    if message:
        screen.write(screen.paint(message, "bad" if game.over and not game.info["success"] else "good"))


def _ask(game: _Game, screen: Screen, read: Callable[[str], str], advise: Advisor | None) -> str | None:
    """A command the environment accepts, or None to take the last one back.

    Raises:
        EOFError: The person leaves.
    """
    commands = () if game.over else game.commands
    if commands:
        screen.write(_listed(commands, screen))
    words = [f"{key} {word}" for key, word in _KEYS.items() if (word != MODEL or advise) and (word in (UNDO, QUIT) or not game.over)]
    while True:
        line = read(f"[{'number or command, ' if commands else ''}{', '.join(words)}] > ").strip()
        # A command of the environment comes before our own word of the same name.
        if commands and (chosen := _chosen(line, commands)) is not None:
            return chosen
        word = _KEYS.get(line, line)
        if word == QUIT:
            raise EOFError
        if word == UNDO and game.before:
            return None
        if word == HINT and not game.over:
            screen.write(screen.paint(game.hint(), "good"))
        elif word == MODEL and advise is not None and not game.over:
            screen.write(_suggestion(game, advise, screen))
        elif word == UNDO:
            screen.write(game.undo())
        elif commands is None:
            return line
        else:
            screen.write(f"Unknown command {printable(line)!r}; {printable(nearest(line, commands or (UNDO, QUIT)))}")


def _chosen(line: str, commands: Sequence[str]) -> str | None:
    """A command by its name, its number, or a beginning that no other has."""
    if line in commands:
        return line
    numbered = {str(number): command for number, command in enumerate(commands, start=1)}
    begun = [command for command in commands if line and command.startswith(line)]
    return numbered.get(line) or (begun[0] if len(begun) == 1 and line not in _KEYS.values() else None)


def _listed(commands: Sequence[str], screen: Screen) -> str:
    """The numbered commands, in columns where they are many."""
    lines = [f"{number:>3}  {printable(command)}" for number, command in enumerate(commands, start=1)]
    widest = max(map(len, lines)) + 2
    across = max(screen.width // widest, 1) if len(lines) >= _COLUMNS_FROM else 1
    down = -(-len(lines) // across)
    return "\n".join("".join(line.ljust(widest) for line in lines[row::down]).rstrip() for row in range(down))


def _suggestion(game: _Game, advise: Advisor, screen: Screen) -> str:
    """The reflection of a run's players and the policy's probability of every command, the likeliest first."""
    if game.advice is None:
        game.advice = advise(game.env, game.observation, game.info)
        game.hints += 1
    commands, probabilities = game.commands or (), game.advice.probabilities
    order = sorted(range(len(commands)), key=lambda place: -probabilities[place])[:_COLUMNS_FROM]
    width = max(len(printable(commands[place])) for place in order)
    lines = [screen.wrapped(f'"{game.advice.reflection}"', "model")] if game.advice.reflection else []
    for place in order:
        bar = "█" * round(_BAR * probabilities[place])
        lines.append(f"  {printable(commands[place]):<{width}}  {probabilities[place]:>6.1%}  {screen.paint(bar, 'model')}".rstrip())
    return "\n".join(lines)
