"""The page Data: the rows that the trainer reads, with the tokens that carry loss."""

import shutil

import pytest
from transformers import PreTrainedTokenizerFast

from tests.app_pages import shown, words
from tests.app_runs import CONFIG, make_run
from tests.small_models import taxi_tokenizer
from workbench.config import apply_overrides
from workbench.dashboard import cache, data_rows
from workbench.data.generate import generate
from workbench.data.light_tokenizer import LightTokenizer
from workbench.data.sets import policy_row, reflection_row, write_sets
from workbench.data.splits import split_tasks
from workbench.data.teachers import make_teacher
from workbench.envs.catalog import make_env
from workbench.errors import DataError
from workbench.prompts import PromptBuilder, single_token_labels

SETTINGS = apply_overrides(
    CONFIG, ["data.trajectories=4", "data.negatives=3", "policy.tiny.n_positions=400", "reflection.max_new_tokens=80"]
)

pytestmark = pytest.mark.usefixtures("run")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    paths = make_run(tmp_path_factory.mktemp("data"), updates=0, config=SETTINGS)
    env, tokenizer = make_env("taxi"), taxi_tokenizer()
    examples = generate(env, split_tasks(env, SETTINGS.data, seed=0), make_teacher(env), SETTINGS.data, seed=0)
    write_sets(paths.data, examples, single_token_labels(tokenizer), SETTINGS.data, seed=0, facts={"teacher": "TaxiTeacher"})
    checkpoint = paths.checkpoints / "generate" / "000001"
    tokenizer.save_pretrained(checkpoint / "tokenizer")
    (checkpoint / "manifest.json").write_text("{}")
    return paths


def test_the_page_shows_the_card_and_marks_the_loss(run):
    test = shown("data", run=run.run_id, set="sft_policy")
    assert "examples" in words(test) and "TaxiTeacher" in words(test)
    assert "1 of them with loss" in words(test)
    (body,) = [element.value for element in test.html if "border-right" in element.value]
    assert body.count("rgba(230, 159, 0") == 1


def test_rows_are_those_that_the_trainer_makes(run):
    tokenizer = PreTrainedTokenizerFast.from_pretrained(run.checkpoints / "generate" / "000001" / "tokenizer")
    for number, example in enumerate(data_rows.examples(run)[:20]):
        shown_row, _ = data_rows.training_row(run, "sft_policy", example, number)
        assert shown_row == policy_row(example, number, PromptBuilder(tokenizer, 399), SETTINGS.data, seed=0, with_reflection=True)
        shown_row, light = data_rows.training_row(run, "sft_reflection", example, number)
        prompts = PromptBuilder(tokenizer, 400 - SETTINGS.reflection.max_new_tokens)
        assert shown_row == reflection_row(example, prompts, tokenizer.eos_token_id, max_new_tokens=SETTINGS.reflection.max_new_tokens)
        pieces = light.pieces(shown_row.input_ids)
        marked = "".join(piece for piece, label in zip(pieces, shown_row.labels, strict=True) if label >= 0)
        assert marked == example.reflection + "<|end|>"


def test_a_negative_stands_beside_the_move_that_it_corrects(run):
    number, example = next((n, one) for n, one in enumerate(data_rows.examples(run)) if one.kind == "negative")
    test = shown("data", run=run.run_id, example=str(number))
    texts = [element.value for element in test.text]
    assert example.mistake in texts and example.oracle_command in texts
    assert example.observation in [element.value for element in test.code]


def test_filters_narrow_the_examples(run):
    test = shown("data", run=run.run_id)
    test.selectbox(key="data_kind").set_value("negative").run()
    assert set(test.dataframe[-1].value["kind"]) == {"negative"}
    test.text_input(key="data_text").set_value("no reflection says this").run()
    assert "0 of " in words(test)
    assert not test.exception


def test_tokens_are_escaped():
    body = data_rows.row_html(["<script>", "a\n"], [False, True])
    assert "<script>" not in body and "&lt;script&gt;" in body


def test_pieces_join_to_the_text_also_where_a_character_takes_several_tokens(run):
    light = LightTokenizer(run.checkpoints / "generate" / "000001" / "tokenizer")
    text = "naïve 漢字 🚕 end"
    assert "".join(light.pieces(light.encode(text, add_special_tokens=False))) == text


def test_without_data_or_without_runs_the_page_says_what_to_do(run, root):
    shutil.rmtree(run.data)
    assert "The examples of this run are not here" in words(shown("data", run=run.run_id))
    run.data.mkdir()
    (run.data / "examples.jsonl").write_text('{"kind": 1}\n')
    assert "This run's data cannot be shown" in words(shown("data", run=run.run_id))
    assert "This run's data cannot be shown" in words(shown("data", run="../../etc"))
    shutil.rmtree(run.folder)
    cache.forget_summaries()
    assert "No run yet" in words(shown("data"))


def test_without_a_tokenizer_the_text_is_shown(run):
    shutil.rmtree(run.checkpoints)
    assert "Its tokens cannot be shown" in words(shown("data", run=run.run_id))
    with pytest.raises(DataError, match="no checkpoint with a tokenizer"):
        data_rows.tokenizer_folder(run)
