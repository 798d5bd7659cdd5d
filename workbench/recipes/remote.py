"""A run's reflection player behind a server: who answers is noted in the run, and what was answered is kept.

``reflections.jsonl`` of a run holds a line for every server that answered (model, revision, hash of its answers to the probe) and a
line for every answer of a greedy one. Its lines outlast a rewind: an answer is a function of its question and of who gave it, so a
resumed run asks for none again.
"""

import logging
import threading
from collections.abc import Callable, Sequence

from workbench.config import EndpointConfig, RunConfig
from workbench.data.teach import WORDS_PER_TOKEN, shortened
from workbench.data.teachers.outside import PAPER_WORDS
from workbench.envs.text_env import TextEnv
from workbench.errors import EndpointError, RunStopped
from workbench.models.endpoint import Endpoint, Passing
from workbench.models.language_model import LanguageModel
from workbench.models.remote_reflection import Asking, Identity, Question, RemoteReflection, identify
from workbench.recipes.session import Session
from workbench.records import Reflection
from workbench.seeding import derived_seed
from workbench.store.files import LineFile, now, read_lines, writing

PROBE_STATES = 4
"""Start states that the probe asks about."""

log = logging.getLogger("workbench")


def remote_player(session: Session, policy: LanguageModel) -> RemoteReflection:
    """The reflection player behind the server that the configuration names, after it has answered the probe.

    Args:
        session: The run; only its owner writes into it.
        policy: Whose tokenizer reads the answers.

    Raises:
        EndpointError: The server does not answer or refuses, or is not the one that the run began with.
    """
    settings = session.config.reflection
    encode = policy.prompts(room=1).encode
    asking = _asking(session.config, lambda text: len(encode(text)))
    probe = _probe(session, asking)
    # For bare prompts the counts can be compared; a chat template adds tokens of its own.
    own = None if asking.chat else sum(len(policy.tokenizer.encode(one[-1]["content"])) for one in probe)
    # The probe is greedy whatever the player is, or its answers would tell nothing.
    answers = Answers(session, endpoint_of(session.config, temperature=0.0), probe, policy_tokens=own)
    answers.check()
    return RemoteReflection(
        endpoint_of(session.config),
        asking,
        greedy=settings.decoding == "greedy",
        keeper=answers,
        memo=answers.memo,
        check_seconds=settings.endpoint.check_seconds,
    )


def endpoint_of(config: RunConfig, **changes: object) -> Endpoint:
    """The server, asked as the reflection player decodes; ``changes`` are fields of :class:`EndpointConfig`."""
    settings = config.reflection
    server = settings.endpoint.model_dump(include=set(EndpointConfig.model_fields))
    how = {"temperature": 0.0 if settings.decoding == "greedy" else settings.temperature, "max_tokens": settings.max_new_tokens}
    asked = EndpointConfig.model_validate({**server, **how, **changes})
    return Endpoint(asked, seed=config.seed, bare=settings.endpoint.interface == "completions")


def check_server(config: RunConfig, env: TextEnv) -> None:
    """Ask one question, once.

    Raises:
        EndpointError: There is no answer.
    """
    observation, info = env.reset(seed=config.seed)
    question = _asking(config, lambda text: 0).question(info["task_statement"], observation)
    try:
        endpoint_of(config, max_retries=0).complete(question)
    except Passing as error:
        raise EndpointError(
            f"reflection.endpoint.base_url: {config.reflection.endpoint.base_url} does not answer ({error}); "
            "start the server (`workbench serve RUN` tells how), or name another address"
        ) from None


class Answers:
    """What a run knows of its server: the answers so far and who gave them.

    Args:
        session: The run.
        endpoint: The server, asked greedily.
        probe: Questions that tell one model from another.
        policy_tokens: Length of the probe in the policy's tokens; None where it cannot be compared with the server's count.
    """

    def __init__(self, session: Session, endpoint: Endpoint, probe: Sequence[Question], *, policy_tokens: int | None) -> None:
        self.session = session
        self.endpoint = endpoint
        self.memo: dict[str, Reflection] = {}
        self.identity: Identity | None = None
        self._probe = probe
        self._policy_tokens = policy_tokens
        self._file = LineFile(session.paths.reflections)
        self._lock = threading.Lock()

    def asked(self) -> bool:
        """Keep the run's heartbeat; True when somebody wants it to stop."""
        if not self.session.is_owner:
            # A partner of the one that writes must not wait for a server that its leader has given up.
            return self.session.team.size > 1 and self.session.paths.stop.exists()
        self.session.writer.beat()
        return self.session.writer.stop_requested()

    def stop(self) -> Exception:
        """The run stops; its last checkpoint is where it goes on."""
        return RunStopped("reflection", len(self.memo))

    def keep(self, key: str, reflection: Reflection) -> None:
        """Write one answer down."""
        assert self.identity is not None
        self._write({"kind": "answer", "key": key, "text": reflection.text, "finished": reflection.finished, "probe": self.identity.probe})

    def check(self) -> None:
        """Ask the probe; note who answers, and what that changes.

        Raises:
            EndpointError: The server does not answer, or another model does and the configuration refuses that.
            RunStopped: Somebody asked for a stop while the server failed.
        """
        found = identify(self.endpoint, self._probe, asked=self.asked)
        if found is None:
            raise self.stop()
        lines = read_lines(self.session.paths.reflections)
        # Who only looks writes nothing down, and remembers who answered before.
        before = self.identity._asdict() if self.identity else next((line for line in reversed(lines) if line.get("kind") == "model"), {})
        is_new = before.get("probe") != found.probe
        if before and is_new:
            self._changed(f"{before.get('model')}, probe {before.get('probe')}", found)
        elif self.identity is None:
            self._tell(
                "reflection-model",
                f"reflections come from {found.told()} at {self.endpoint.config.base_url}; {self._reading(found)}",
                found,
            )
        if self.identity is None or is_new:
            self.memo.clear()
            self.memo.update(_answers(lines, found.probe))
        if is_new:
            self._write({"kind": "model", "time": now(), **found._asdict()})
        self.identity = found

    def _changed(self, before: str, found: Identity) -> None:
        url, settings = self.endpoint.config.base_url, self.session.config.reflection.endpoint
        changed = f"the reflection player at {url} has changed: this run began with {before}, now {found.told()} answers"
        if settings.on_change == "refuse":
            raise EndpointError(
                f"{changed}; start the model it began with, or go on with the new one by "
                f"`workbench resume {self.session.paths.run_id} --set reflection.endpoint.on_change=warn`"
            )
        self._tell("warning", changed, found)

    def _reading(self, found: Identity) -> str:
        """How the policy reads what this server writes."""
        read = "the policy reads their text, encoded once with its own tokenizer"
        if self._policy_tokens is None or found.prompt_tokens is None or found.prompt_tokens == self._policy_tokens:
            return read
        return f"{read}, which is another than the server's (the probe is {self._policy_tokens} tokens here, {found.prompt_tokens} there)"

    def _tell(self, kind: str, message: str, found: Identity) -> None:
        log.log(logging.WARNING if kind == "warning" else logging.INFO, "%s", message)
        if self.session.is_owner:
            self.session.writer.event(kind, message, **found._asdict(), base_url=self.endpoint.config.base_url)

    def _write(self, line: dict[str, object]) -> None:
        if self.session.is_owner:
            with self._lock, writing(self.session.paths.folder):
                self._file.append(line)


def _asking(config: RunConfig, count: Callable[[str], int]) -> Asking:
    limit = config.reflection.max_new_tokens
    words = min(PAPER_WORDS, max(8, int(WORDS_PER_TOKEN * limit)))
    return Asking(config.reflection.endpoint.interface == "chat", words, lambda text: shortened(text, count, limit))


def _probe(session: Session, asking: Asking) -> list[Question]:
    """Questions about a few start states, the same whenever the run is opened."""
    env = session.make_env()
    stage = env.stages[-1]
    questions = []
    tasks = env.tasks(stage)
    for number, task in enumerate(tasks[place * len(tasks) // PROBE_STATES] for place in range(PROBE_STATES)):
        seed = derived_seed(session.config.seed, "probe", number)
        observation, info = env.reset(seed=seed, options={"task": task, "stage": stage})
        questions.append(asking.question(info["task_statement"], observation))
    return questions


def _answers(lines: Sequence[dict[str, object]], probe: str) -> dict[str, Reflection]:
    """What the model that ``probe`` names has answered."""
    found = {}
    for line in lines:
        key, text, finished = line.get("key"), line.get("text"), line.get("finished")
        if line.get("kind") == "answer" and line.get("probe") == probe and isinstance(key, str) and isinstance(text, str):
            found[key] = Reflection(text=text, finished=finished is True)
    return found
