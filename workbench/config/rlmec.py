"""Settings of RLMEC: token-level rewards from a generative reward model."""

from typing import Literal

from pydantic import Field, model_validator

from workbench.config.base import Count, Rate, Section, Share
from workbench.config.sections import SFTSettings

Method = Literal["rlmec", "sft", "rft", "dpo", "ppo-sequence", "grpo-sequence"]
RewardSource = Literal["reward-model", "shuffled", "oracle-mask", "uniform", "process"]


class ProblemSettings(Section):
    """Which problems with worked solutions are learnt from, and which are kept for evaluation."""

    task: str = Field(
        "arithmetic", description="arithmetic, word-problems or knowledge (generated); or a format of files, such as gsm8k or ecqa"
    )
    stage: str | None = Field(None, description="Difficulty of generated problems; the hardest when empty")
    train_file: str = Field("", description="JSON lines of your own in the format that `task` names; generated problems when empty")
    test_file: str = Field("", description="The same for the evaluation; a part of train_file when empty")
    warm_up: Count = Field(600, description="Problems whose solutions teach the policy before anything else")
    train: Count = Field(500, description="Problems that are sampled from and trained on")
    validation: Count = Field(200, description="Problems of evaluations during training")
    test: Count = Field(500, description="Problems of the final evaluation")
    held_out: int = Field(0, ge=0, description="Generated problems with numbers or names of their own, evaluated at the end as well")


class SamplingSettings(Section):
    """How the policy's own solutions are drawn."""

    samples_per_problem: Count = Field(5)
    temperature: float = Field(0.7, gt=0, le=10)
    top_p: Rate = Field(0.95, description="Tokens are drawn among the likeliest that together have this probability")
    max_new_tokens: int = Field(64, ge=2, le=8192, description="Longest solution, its end-of-text included")
    batch_size: Count = Field(256, description="Solutions written at once; has no part in what is drawn")


class RewardModelSettings(Section):
    """The generative reward model: another model like the policy, trained to repair with few edits."""

    model: str | None = Field(None, description="Base model; the policy's when empty, which then shares its weights under another adapter")
    start: Literal["fresh", "policy"] = Field("fresh", description="tiny: random weights, or those of the warmed-up policy")
    training: SFTSettings = SFTSettings(max_steps=500)
    held_out_share: float = Field(0.15, gt=0, lt=0.9, description="Share of the problems whose rewrites it never sees, to check it on")
    identity_pairs: bool = Field(True, description="Right solutions are taught as their own rewrites")
    rewrites: Literal["minimal", "reference"] = Field(
        "minimal", description="What it learns to write for a wrong solution: the least change that mends it, or the reference solution"
    )
    located_by: Literal["label", "rewrite"] = Field(
        "label",
        description="How the first wrong step is found: the model is asked for its label (the authors' way), or it is the first step that "
        "its rewrite changes, which a small model can do long before it can name one",
    )
    forced_prefix: bool = Field(
        True,
        description="Its rewrites keep everything before the step that it calls the first wrong one, as the teacher's do; "
        "off, it writes the whole anew, so that a step which it names too late is mended all the same; has no part in located_by=rewrite",
    )
    batch_tokens: int = Field(0, ge=0, description="Tokens scored at once, padding included; 0 takes what suits the device")


class ObjectiveSettings(Section):
    """Rewards and loss; the defaults are the authors'."""

    reward: RewardSource = Field(
        "reward-model",
        description="Who rewards tokens: the reward model; the same numbers dealt out anew in each response; "
        "the true edit set; the response as a whole; its steps",
    )
    blamed: Literal["every-step", "first-step"] = Field(
        "every-step",
        description="Which tokens of a wrong solution can lose: all that have to change (the authors'), or those of its first "
        "wrong step, since what follows from a mistake is often right given it",
    )
    threshold: Share = Field(0.5, description="Probability under the reward model from which on a token is as good as kept")
    floor: float = Field(-0.1, le=0, description="Lowest reward of a token of a wrong solution")
    ceiling: float = Field(0.5, ge=0, description="Highest reward of a token of a right solution")
    clip: Literal["weight", "ppo"] = Field(
        "weight", description="Clipping bounds a token's weight (the authors'), or ends its update (PPO)"
    )
    epsilon: float = Field(0.3, gt=0, lt=1, description="Half-width of the range in which the importance ratio counts as it is")
    rl_coef: float = Field(1.0, ge=0, description="Weight of the token-level policy gradient; 0 leaves it out")
    imitation_coef: float = Field(1.0, ge=0, description="Weight of the imitation of rewrites; 0 leaves it out")
    edited_weight: float = Field(1.0, ge=0, description="Imitation weight of tokens that the rewrite changed")
    kept_weight: float = Field(0.5, ge=0, description="Imitation weight of tokens that the rewrite kept")
    edit_weights: Literal["corrected", "official"] = Field(
        "corrected", description="Exactly the inserted and substituted tokens, or as the authors' code marks them"
    )
    rewriter: Literal["reward-model", "teacher"] = Field("reward-model", description="Whose rewrites are imitated")


class PolicySettings(Section):
    """Optimisation of the policy, for every method alike."""

    max_steps: int = Field(150, ge=0, description="Updates of each round")
    learning_rate: float = Field(5e-4, gt=0, le=1)
    per_device_train_batch_size: Count = Field(64, description="Solutions of one update that pass forwards and backwards at once")
    solutions_per_update: Count = Field(64)
    tokens_per_update: int = Field(
        0,
        ge=0,
        description="Tokens of solutions and of rewrites that an update learns from, on average, which is a fair budget for methods that "
        "take one or two texts a solution; 0 counts solutions instead",
    )
    lr_scheduler_type: Literal["constant", "cosine", "linear"] = Field("cosine")
    warmup_steps: int = Field(5, ge=0)
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    max_right_per_problem: int = Field(0, ge=0, description="Most right solutions kept of one problem; all that differ when 0")
    dpo_beta: float = Field(0.1, gt=0, description="method=dpo: strength of the tie to the policy at the start")
    eval_steps: int = Field(50, ge=0, description="Updates between evaluations; 0 evaluates at the end only")
    save_steps: Count = Field(50, description="Updates between checkpoints")
    save_total_limit: Count = Field(3, description="Checkpoints kept")
    gradient_checkpointing: bool = Field(False, description="Less memory, more arithmetic")
    record_tokens_every: int = Field(10, ge=0, description="Write every token's numbers of every n-th update; 0 writes none")
    record_probe: int = Field(48, ge=0, description="Solutions whose tokens are also followed at every evaluation")


class RlmecConfig(Section):
    """Everything of RLMEC beyond the players, the warm-up and the evaluation."""

    method: Method = Field(
        "rlmec",
        description="RLMEC; or a baseline on the same solutions: reference solutions (sft), own right ones (rft), preferences (dpo), "
        "one reward a solution (ppo-sequence, grpo-sequence)",
    )
    rounds: int = Field(1, ge=1, le=100, description="How often sampling, rewriting, scoring and training follow one another")
    teacher: Literal["program", "endpoint"] = Field(
        "program",
        description="Who rewrites: a program that recalculates (generated arithmetic), or the model or recording that data.teacher names",
    )
    problems: ProblemSettings = ProblemSettings()
    sampling: SamplingSettings = SamplingSettings()
    reward_model: RewardModelSettings = RewardModelSettings()
    objective: ObjectiveSettings = ObjectiveSettings()
    policy: PolicySettings = PolicySettings()

    @model_validator(mode="after")
    def _something_is_learnt(self) -> "RlmecConfig":
        if self.method == "rlmec" and not (self.objective.rl_coef or self.objective.imitation_coef):
            raise ValueError("objective.rl_coef and objective.imitation_coef are both 0, so nothing would be learnt; raise one")
        return self
