"""RLMEC on a person's own file with an outside teacher, as gsm8k-rlmec and qa-rlmec have it, with small models instead of large ones."""

import json
import re

import pytest

from tests.faulty_server import FaultyServer, serving
from tests.rlmec_runs import SETTINGS
from tests.small_runs import carry_on, lines
from workbench.config import apply_overrides, load_preset
from workbench.data.answers import ANSWERS_FILE, read_answers
from workbench.errors import ConfigError, EndpointError
from workbench.recipes.execute import execute, prepare_run
from workbench.store.reader import Run
from workbench.store.solutions import read_problems, read_quality, read_rewrites, read_samples
from workbench.trainers import checkpoint


def teach(messages):
    """Every attempt is wrong from its start, and the reference is right; of some attempts it cannot tell."""
    asked = messages[-1]["content"]
    found = re.search(r"Reference solution:\n(.*?)\n\nAttempt:\n(.*?)\n\n", asked, re.DOTALL)
    assert found is not None
    reference, attempt = found.groups()
    if "answer with its label" in asked.lower():
        return "The attempt is incorrect, of course." if len(attempt) % 4 == 0 else "The first wrong line is [0]."
    return re.sub(r"^\[\d+\] ", "", reference, flags=re.MULTILINE)


def gsm8k_file(folder):
    rows = [
        {
            "question": f"Ann has {n} apples and buys {n % 7 + 2}. How many?",
            "answer": f"{n}+{n % 7 + 2}={n + n % 7 + 2}\n#### {n + n % 7 + 2}",
        }
        for n in range(3, 60)
    ]
    path = folder / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def quiz_file(folder):
    places = ["marsh", "forest", "garden", "valley", "meadow"]
    rows = [
        {
            "q_no": f"q{n}",
            "q_text": f"Where does animal {n} live?",
            **{f"q_op{place + 1}": name for place, name in enumerate(places)},
            "q_ans": places[n % 5],
            "taskA_pos": f"Animals such as {n} live in the {places[n % 5]}.",
        }
        for n in range(56)
    ]
    path = folder / "quiz.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def own_config(preset, path, base_url, *overrides):
    config = apply_overrides(load_preset(preset), [one for one in SETTINGS if not one.startswith(("preset=", "rlmec.problems="))])
    return apply_overrides(
        config,
        [
            "policy.model=tiny",
            f"rlmec.problems.train_file={path}",
            *(f"rlmec.problems.{name}={count}" for name, count in {"warm_up": 30, "train": 10, "validation": 4, "test": 10}.items()),
            "policy.tiny.n_positions=512",
            f"data.teacher={{kind: endpoint, base_url: '{base_url}', model: m, max_retries: 1, max_backoff_seconds: 0.05, concurrency: 2}}",
            "rlmec.policy.max_steps=2",
            "rlmec.policy.eval_steps=0",
            *overrides,
        ],
    )


def test_a_file_and_an_endpoint_that_dies_halfway(tmp_path):
    with serving(FaultyServer(teach)) as server:

        def answer(messages):
            server.down = len(server.answered) >= 6
            return teach(messages)

        server.answer = answer
        paths = prepare_run(tmp_path / "runs", own_config("gsm8k-rlmec", gsm8k_file(tmp_path), server.base_url))
        with pytest.raises(EndpointError):
            execute(paths, queue=False, show_progress=False)
        assert Run(paths).status()["state"] == "failed" and not checkpoint.steps(paths.checkpoints / "rewrite")
        server.answer, server.down = teach, False
        carry_on(paths)
        # What was answered before was kept: nothing was asked for twice but where the teacher could not tell at first.
        assert sum(server.answered.values()) == len(read_answers(paths.data / ANSWERS_FILE))
    problems, rewrites = read_problems(paths), read_rewrites(paths, 1)
    assert {problem.task for problem in problems} == {"gsm8k"} and len(rewrites) == len(read_samples(paths, 1)) == 30
    statuses = {rewrite.status for rewrite in rewrites}
    assert "repaired" in statuses and statuses <= {"repaired", "not-located", "right"}
    # Nobody knows the true edit set of an outside teacher: what needs it is left out, the rest is measured.
    quality = read_quality(paths)
    assert quality is not None and "auroc" not in quality and "repaired" in quality
    assert lines(paths.evaluations)[-1]["split"] == "test"


@pytest.mark.slow
def test_questions_with_choices(tmp_path):
    with serving(FaultyServer(teach)) as server:
        paths = carry_on(prepare_run(tmp_path / "runs", own_config("qa-rlmec", quiz_file(tmp_path), server.base_url)))
    assert {len(problem.choices) for problem in read_problems(paths)} == {5}
    assert lines(paths.evaluations)[-1]["trajectories"] == 10


def test_the_presets_say_what_they_miss():
    for preset in ("gsm8k-rlmec", "qa-rlmec"):
        config = load_preset(preset)
        assert config.rlmec.sampling.samples_per_problem == 5 and config.rlmec.policy.learning_rate == 5e-6
        with pytest.raises(ConfigError, match=r"also set rlmec\.problems\.train_file"):
            prepare_run("/nowhere", apply_overrides(config, ["policy.model=tiny"]))
