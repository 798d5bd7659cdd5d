"""Evaluating models that were never trained here: behind an endpoint, or from the hub with the same in-context prompt."""

from functools import partial
from typing import Any

from pydantic import ValidationError
from tqdm import tqdm

from workbench.config import EndpointConfig, RunConfig
from workbench.data.splits import split_tasks
from workbench.envs.catalog import make_env
from workbench.errors import ConfigError
from workbench.evaluation.endpoint_agent import Chat, evaluate_outside
from workbench.evaluation.evaluate import assignments_for
from workbench.instructions import Messages
from workbench.models.chat import LocalChat
from workbench.models.endpoint import Completion, Endpoint
from workbench.recipes.scope import Wanted, completed, must_play


class Account:
    """An endpoint that asks for nothing beyond its budget.

    Args:
        endpoint: The endpoint.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    def complete(self, messages: Messages) -> Completion:
        """The endpoint's answer.

        Raises:
            EndpointError: There is none, or the budget does not allow the question.
        """
        spending = self.endpoint.spending
        if not spending.promise(messages):
            self.endpoint.close()
            raise spending.exhausted()
        try:
            return self.endpoint.complete(messages)
        finally:
            spending.release(messages)


def endpoint_settings(config: RunConfig, base_url: str, model: str, api_key_env: str | None = None) -> EndpointConfig:
    """An endpoint with the limits, prices and budget of ``data.teacher`` and the temperature of ``evaluation``.

    Raises:
        ConfigError: The address or the variable's name cannot be used.
    """
    given = config.data.teacher.model_dump(include=set(EndpointConfig.model_fields))
    given |= {"base_url": base_url, "model": model, "temperature": min(2.0, config.evaluation.temperature)}
    if api_key_env is not None:
        given["api_key_env"] = api_key_env
    try:
        return EndpointConfig.model_validate(given)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        flag = {"base_url": "--endpoint", "api_key_env": "--api-key-env"}.get(str(problem["loc"][0]), str(problem["loc"][0]))
        raise ConfigError(f"{flag}: {str(problem['msg']).removeprefix('Value error, ')}") from None


def evaluate_in_context(model: str, config: RunConfig, wanted: Wanted, *, show_progress: bool = False) -> dict[str, Any]:
    """Success of a hub model or folder that analyses and chooses in its own words, as a chat model behind an endpoint would.

    Raises:
        WorkbenchError: The model cannot be loaded, or a setting is unknown.
    """
    chat = LocalChat(
        model, config.device, temperature=config.evaluation.temperature, max_tokens=config.data.teacher.max_tokens, seed=config.seed
    )
    return {"model": model, **_evaluate(chat, config, wanted, concurrency=1, show_progress=show_progress)}


def evaluate_endpoint(endpoint: EndpointConfig, config: RunConfig, wanted: Wanted, *, show_progress: bool = False) -> dict[str, Any]:
    """Success of a chat model behind an endpoint on a configuration's environment.

    Raises:
        WorkbenchError: The endpoint refuses, or a setting is unknown.
    """
    asked = Endpoint(endpoint, seed=config.seed)
    values = _evaluate(Account(asked), config, wanted, concurrency=endpoint.concurrency, show_progress=show_progress)
    return {"model": endpoint.model, "endpoint": endpoint.base_url, **values, **asked.spending.facts()}


def _evaluate(chat: Chat, config: RunConfig, wanted: Wanted, *, concurrency: int, show_progress: bool) -> dict[str, Any]:
    must_play(config)
    make = partial(make_env, config.env.name, **config.env.options)
    env = make()
    scope = completed(wanted, config.evaluation, env.stages)
    assignments = assignments_for(
        split_tasks(env, config.data, seed=config.seed)[scope.stage][scope.split],
        stage=scope.stage,
        count=scope.trajectories,
        seed=scope.seed,
        phase="evaluate",
        update=0,
    )
    with tqdm(total=len(assignments), desc="evaluate", unit="trajectory", disable=not show_progress, dynamic_ncols=True) as bar:
        found = evaluate_outside(
            chat, make, assignments, concurrency=concurrency, oracle_commands=config.record.oracle_commands, on_done=bar.update
        )
    return {"stage": scope.stage, "split": scope.split, **found.values()}
