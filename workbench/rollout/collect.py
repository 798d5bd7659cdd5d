"""Many trajectories at once: their questions are answered in batches, and a finished one's place is taken by the next."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field

from workbench.envs.text_env import TextEnv
from workbench.models.policy import Decision, Policy
from workbench.models.reflection import ReflectionPlayer
from workbench.records import Trajectory
from workbench.rollout.play import Answer, Assignment, Question, Rules, Situation, script


@dataclass(slots=True)
class Timings:
    """Where the time of a collection went, seconds."""

    reflect: float = 0.0
    act: float = 0.0
    env: float = 0.0


@dataclass(slots=True)
class _Slot:
    env: TextEnv
    place: int = -1
    running: Generator[Question, Answer, Trajectory] | None = None
    question: Question | None = None


@dataclass
class Collector:
    """Plays assignments with two players.

    Attributes:
        make_env: Makes one environment; called once per place and reused.
        policy: The policy player.
        reflection: The reflection player; None when nobody reflects.
        rules: How trajectories are played.
        batch_size: Trajectories in play at once. It changes speed only: tasks, labels and dice belong to the assignment.
    """

    make_env: Callable[[], TextEnv]
    policy: Policy
    reflection: ReflectionPlayer | None
    rules: Rules
    batch_size: int
    timings: Timings = field(default_factory=Timings)
    _envs: list[TextEnv] = field(default_factory=list)

    def collect(
        self, assignments: Sequence[Assignment], *, rules: Rules | None = None, on_done: Callable[[Trajectory], object] | None = None
    ) -> list[Trajectory]:
        """Play every assignment; trajectories come back in the order of ``assignments``.

        Args:
            assignments: What to play.
            rules: Other rules than the collector's own, for this call.
            on_done: Called with each trajectory as it ends, in the order they end.
        """
        rules = rules or self.rules
        self.timings = Timings()
        results: dict[int, Trajectory] = {}
        waiting = iter(enumerate(assignments))
        while len(self._envs) < min(self.batch_size, len(assignments)):
            self._envs.append(self.make_env())
        slots = [_Slot(env) for env in self._envs[: min(self.batch_size, len(assignments))]]
        for slot in slots:
            self._next_assignment(slot, waiting, rules)
        while any(slot.question is not None for slot in slots):
            self._answer_situations([slot for slot in slots if isinstance(slot.question, Situation)])
            self._answer_decisions([slot for slot in slots if isinstance(slot.question, Decision)], rules, waiting, results, on_done)
        return [results[place] for place in range(len(assignments))]

    def _answer_situations(self, slots: list[_Slot]) -> None:
        if not slots:
            return
        assert self.reflection is not None
        started = time.perf_counter()
        reflections = self.reflection.reflect([slot.question for slot in slots if isinstance(slot.question, Situation)])
        self.timings.reflect += time.perf_counter() - started
        started = time.perf_counter()
        for slot, reflection in zip(slots, reflections, strict=True):
            assert slot.running is not None
            slot.question = slot.running.send(reflection)
        self.timings.env += time.perf_counter() - started

    def _answer_decisions(
        self,
        slots: list[_Slot],
        rules: Rules,
        waiting: Iterator[tuple[int, Assignment]],
        results: dict[int, Trajectory],
        on_done: Callable[[Trajectory], object] | None,
    ) -> None:
        if not slots:
            return
        started = time.perf_counter()
        decisions = [slot.question for slot in slots if isinstance(slot.question, Decision)]
        judgements = self.policy.judge(decisions, temperature=rules.policy_temperature)
        self.timings.act += time.perf_counter() - started
        started = time.perf_counter()
        for slot, judgement in zip(slots, judgements, strict=True):
            assert slot.running is not None
            try:
                slot.question = slot.running.send(judgement)
            except StopIteration as end:
                results[slot.place] = end.value
                if on_done is not None:
                    on_done(end.value)
                self._next_assignment(slot, waiting, rules)
        self.timings.env += time.perf_counter() - started

    def _next_assignment(self, slot: _Slot, waiting: Iterator[tuple[int, Assignment]], rules: Rules) -> None:
        slot.place, assignment = next(waiting, (-1, None))
        slot.running = script(slot.env, assignment, rules) if assignment is not None else None
        slot.question = next(slot.running) if slot.running is not None else None
