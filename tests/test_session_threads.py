import os

import pytest

from workbench.recipes.session import open_threads


@pytest.mark.parametrize(("told", "threads"), [("1", 1), ("3", 3), ("0", None), ("many", None), ("4,2", None), ("", None)])
def test_threads_that_no_setting_names_are_as_many_as_the_environment_allows(monkeypatch, told, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert open_threads() == (threads or os.cpu_count())


def test_without_a_word_from_the_environment_every_core_is_taken(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert open_threads() == os.cpu_count()
