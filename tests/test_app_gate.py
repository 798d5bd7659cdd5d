"""Nothing is shown to a visitor who has not said the password, where there is one."""

import pytest
from streamlit.testing.v1 import AppTest

from workbench.dashboard import gate


def opened() -> AppTest:
    script = "import streamlit as st\nfrom workbench.dashboard import gate\ngate.let_in()\nst.write('inside')"
    return AppTest.from_string(script, default_timeout=30).run()


def inside(test: AppTest) -> bool:
    assert not test.exception, test.exception
    return any(element.value == "inside" for element in test.markdown)


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    monkeypatch.setattr(gate, "_WAIT_SECONDS", 0.0)
    monkeypatch.delenv(gate.PASSWORD, raising=False)


def test_without_a_password_everybody_is_let_in():
    assert inside(opened())


@pytest.mark.parametrize("password", ["secret", "pässwörd 漢"])
def test_only_the_password_opens(monkeypatch, password):
    monkeypatch.setenv(gate.PASSWORD, password)
    test = opened()
    assert not inside(test) and not test.error
    test.text_input(key="password").input(password + "x").run()
    assert not inside(test)
    assert [error.value for error in test.error] == ["That is not the password."]
    test.text_input(key="password").input(password).run()
    assert inside(test)
    assert inside(test.run()), "and it is remembered for the visit"


def test_the_router_asks_before_any_page(monkeypatch):
    monkeypatch.setenv(gate.PASSWORD, "secret")
    test = AppTest.from_file("../app.py", default_timeout=60).run()
    assert not test.exception
    assert [element.label for element in test.text_input] == ["Password"]
    assert not test.dataframe and not test.button
