"""Settings of the warm-up data and its teacher."""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from workbench.config.base import Count, Section, Share


class Behaviour(Section):
    """One way of playing that training data is collected from."""

    share: float = Field(1.0, gt=0, description="Weight of this behaviour in the mixture")
    random: Share = Field(0.0, description="Chance that a turn is a random command instead of the oracle's")
    safe: bool = Field(True, description="Random commands are drawn among those that do not end the trajectory in failure")


class ServerConfig(Section):
    """Where an OpenAI-compatible server is and how patiently it is asked; its key stays in the environment."""

    base_url: str = Field("http://127.0.0.1:8000/v1", description="Address of the API, up to /v1: OpenAI, vLLM, LM Studio, Ollama, …")
    model: str = Field("", description="Name of the model as the endpoint knows it")
    api_key_env: str = Field(
        "OPENAI_API_KEY",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="NAME of the variable that holds the key; may be unset for local servers",
    )
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", description="What the endpoint calls that limit; OpenAI's reasoning models know max_completion_tokens only"
    )
    concurrency: int = Field(8, ge=1, le=256, description="Requests under way at once")
    timeout_seconds: float = Field(60.0, gt=0, le=3600, description="Longest wait for one answer, from request to last byte")
    max_retries: int = Field(6, ge=0, le=100, description="Further tries of a request that failed for a passing reason")
    max_backoff_seconds: float = Field(30.0, gt=0, le=3600, description="Longest pause before a try, also when the endpoint asks for more")

    @field_validator("base_url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        # Not the parts: a password with a slash in it ends the host, but is a password all the same.
        if any(mark in value for mark in "@?#"):
            raise ValueError("must hold no user, password, query or fragment; the key belongs into the environment")
        try:
            parts = urlsplit(value)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # its text repeats what was typed
            valid = False
        if not valid:
            raise ValueError("must be an http:// or https:// address")
        return value.rstrip("/")


class EndpointConfig(ServerConfig):
    """An outside chat model: how it answers, and what that may cost."""

    temperature: float | None = Field(0.7, ge=0, le=2, description="Sampling temperature; the endpoint's own when empty")
    max_tokens: Count = Field(256, description="Longest answer, tokens; models that think first need more")
    budget_tokens: Count | None = Field(None, description="Stop before more tokens than this are spent; no limit when empty")
    budget_money: float | None = Field(None, gt=0, description="Stop before more money than this is spent; needs prices")
    price_input: float = Field(0.0, ge=0, description="Money per million prompt tokens")
    price_output: float = Field(0.0, ge=0, description="Money per million answer tokens")

    @model_validator(mode="after")
    def _money_has_prices(self) -> "EndpointConfig":
        if self.budget_money is not None and not (self.price_input or self.price_output):
            raise ValueError("budget_money needs price_input or price_output, money per million tokens")
        return self


class TeacherConfig(EndpointConfig):
    """Who writes the reflections."""

    kind: Literal["rules", "endpoint", "recorded"] = Field(
        "rules", description="The environment's own rules (offline); an outside chat model; a file of answers given before"
    )
    recording: str = Field("", description="kind=recorded: an answers.jsonl that an endpoint's teacher left")
    spoiler: bool = Field(True, description="Tell the outside teacher the best next command; it must not betray that it was told")
    trajectories: int = Field(0, ge=0, description="Trajectories that the outside teacher plays itself: it analyses, then chooses")
    keep_failed: bool = Field(False, description="Keep the turns of its unsolved trajectories, too")
    max_rewrites: int = Field(2, ge=0, le=10, description="How often a refused answer (empty, betrays its spoiler) is asked for again")

    @model_validator(mode="after")
    def _is_complete(self) -> "TeacherConfig":
        if self.kind == "endpoint" and not self.model:
            raise ValueError("kind=endpoint needs data.teacher.model, the model's name at the endpoint")
        if self.kind == "recorded" and not self.recording:
            raise ValueError("kind=recorded needs data.teacher.recording, an answers.jsonl")
        if self.kind == "rules" and self.trajectories:
            raise ValueError("trajectories are for an outside teacher; the rules play as data.behaviours say")
        return self


class DataConfig(Section):
    """How warm-up data is made."""

    trajectories: Count = Field(600, description="Trajectories played to find states, all behaviours and stages together")
    behaviours: list[Behaviour] = Field(
        default_factory=lambda: [
            Behaviour(share=1, random=0.0),
            Behaviour(share=2, random=0.35),
            Behaviour(share=1, random=0.9, safe=False),
        ],
        min_length=1,
        description="Mixture of behaviours",
    )
    negatives: Count | Literal[0] = Field(600, description="Negative examples: a wrong command off the oracle's path, then its correction")
    policy_labels: Literal["oracle", "behaviour"] = Field(
        "oracle", description="What the policy is taught: the right command, or the one that was executed"
    )
    policy_label_noise: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of policy rows that teach a random command, so that online learning begins with some exploration",
    )
    label_shuffles: Count = Field(
        1, description="Label orders that each policy example is taught with; raise it where examples are few and would be learned by heart"
    )
    line_answers: bool = Field(
        False,
        description="Teach the policy beside its choice to say at the end of every listed command whether it is the one; "
        "a model without pre-training then learns sooner to look labels up",
    )
    warm_up_rows: Count | None = Field(
        None, description="Examples that each warm-up learns from, drawn by lot among those of training; all of them when empty"
    )
    warm_up_kinds: Literal["all", "positive"] = Field(
        "all", description="What warm-ups learn from; positive leaves the negative examples out"
    )
    teacher: TeacherConfig = TeacherConfig()
    validation_share: float = Field(0.05, ge=0, lt=0.5, description="Share of start states kept for validation")
    test_share: float = Field(0.15, ge=0, lt=0.5, description="Share of start states kept for the final evaluation")
