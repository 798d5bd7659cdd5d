"""Label-efficient selection over a pool: read the prompts, let the model look at them once, choose, write what to annotate."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from workbench.config import DeviceConfig, PolicyConfig
from workbench.errors import ConfigError, DataError, nearest
from workbench.recipes.select_map import PoolMap, pool_map, shares
from workbench.selection.designs import Settings, check_design, choose, needs_features
from workbench.selection.features import SCORES, Features, load_features, save_features
from workbench.selection.inputs import Selection, check_budget
from workbench.selection.pool import Columns, Pool, read_pool
from workbench.store.files import json_bytes, plain, write_whole
from workbench.store.selections import CHOSEN_FILE, FEATURES_FILE, MAP_FILE, REPORT_FILE

DEFAULTS, USUAL = Settings(), Columns()


def select(
    source: Path,
    out: Path,
    *,
    design: str,
    budget: int,
    settings: Settings = DEFAULTS,
    columns: Columns = USUAL,
    model: str | None = None,
    features_file: Path | None = None,
    pooling: str = "mean",
    max_new_tokens: int = 64,
    batch_size: int = 32,
    device: str = "auto",
    on_progress: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Choose ``budget`` prompts of the pool in ``source`` and write them to the folder ``out``.

    Args:
        source: A pool (``selection.pool.read_pool``).
        out: Gets ``selected.jsonl`` (a line per chosen prompt, in order of choice: what it gained, how many prompts are nearer to it
            than to any other choice), ``selection.json`` (how it was chosen), ``map.parquet`` (the pool in two dimensions, where there
            are embeddings) and, where a model looked at the pool, ``features.npz``, which ``features_file`` takes the next time.
        design: One of ``selection.designs.DESIGNS``.
        budget: Prompts to choose.
        settings: How designs choose.
        columns: What to read of the pool.
        model: Hub id or folder of the model that looks at the pool.
        features_file: What a model made of this pool before, or a ``.npy`` table of embeddings.
        pooling: ``mean`` or ``last``.
        max_new_tokens: Longest response that uncertainty is measured on.
        batch_size: Prompts decoded together.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        on_progress: Called with the number of prompts that the model has done.

    Returns:
        The content of ``selection.json``.

    Raises:
        WorkbenchError: Anything a person can mend.
    """
    check_design(design)
    if settings.score is not None and model is not None and settings.score not in SCORES:
        raise ConfigError(f"no score {settings.score!r}; {nearest(settings.score, SCORES)}")
    if model is not None and features_file is not None:
        raise ConfigError("name either --model or --features, not both")
    pool = read_pool(source, columns)
    check_budget(budget, len(pool))
    began = time.perf_counter()
    features: Features | None = None
    if features_file is not None:
        features = load_features(features_file, pool=len(pool), fingerprint=pool.fingerprint)
    elif model is not None and needs_features(design, settings):
        features = _look(
            model, pool, pooling=pooling, max_new_tokens=max_new_tokens, batch_size=batch_size, device=device, tell=on_progress
        )
    looked = time.perf_counter()
    chosen = choose(design, pool, features, budget, settings)
    done = time.perf_counter()
    drawn = pool_map(pool, features, chosen, seed=settings.seed) if features is not None else None
    pool.check_unchanged()
    seconds = {"features": looked - began, "selection": done - looked, "map": time.perf_counter() - done}
    report = _report(pool, features, chosen, design, budget, settings) | {"map": drawn.facts if drawn else None, "seconds": seconds}
    _write(out, pool, chosen, report, features if model is not None else None, drawn)
    return report


def _look(
    model: str,
    pool: Pool,
    *,
    pooling: Any,
    max_new_tokens: int,
    batch_size: int,
    device: str,
    tell: Callable[[int], object] | None,
) -> Features:
    from workbench.models.language_model import LanguageModel  # torch takes seconds; a mistyped argument is told before
    from workbench.models.loading import load_base, resolve_device
    from workbench.selection.scores import score_prompts

    place, dtype = resolve_device(DeviceConfig(device=device))
    base, tokenizer = load_base(model, PolicyConfig(), place, dtype)
    player = LanguageModel(base.eval(), tokenizer, adapter=None, name=model)
    return score_prompts(player, pool.prompts, max_new_tokens=max_new_tokens, batch_size=batch_size, pooling=pooling, on_progress=tell)


def _report(pool: Pool, features: Features | None, chosen: Selection, design: str, budget: int, settings: Settings) -> dict[str, Any]:
    report: dict[str, Any] = {
        "design": design,
        "budget": budget,
        "pool": str(pool.source),
        "prompts": len(pool),
        "fingerprint": pool.fingerprint,
        "seed": settings.seed,
        "score": settings.score,
        "value": chosen.value,
        "bound": chosen.bound,
        **chosen.facts,
    }
    places = chosen.indices.tolist()
    if pool.tasks is not None:
        report["tasks"] = shares(pool.tasks, places)
        report["picks_per_task"] = {task: counts["chosen"] for task, counts in report["tasks"].items() if counts["chosen"]}
    if pool.stages is not None:
        report["stages"] = shares(pool.stages, places)
    if features is not None:
        report |= {"features": dict(features.facts), "length_correlation": features.length_correlations()}
    return report


def _write(out: Path, pool: Pool, chosen: Selection, report: dict[str, Any], features: Features | None, drawn: PoolMap | None) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in _rows(pool, chosen, drawn)]
    try:
        out.mkdir(parents=True, exist_ok=True)
        if features is not None:
            save_features(out / FEATURES_FILE, features, fingerprint=pool.fingerprint)
        if drawn is not None:
            write_whole(out / MAP_FILE, drawn.table)
        else:  # of another selection in the same folder
            (out / MAP_FILE).unlink(missing_ok=True)
        write_whole(out / CHOSEN_FILE, ("\n".join(lines) + "\n").encode("utf-8", "replace"))
        write_whole(out / REPORT_FILE, json_bytes(report, indent=2))
    except OSError as error:
        raise DataError(f"{out}: cannot be written: {error.strerror or error}; name another folder with --out") from None


def _rows(pool: Pool, chosen: Selection, drawn: PoolMap | None) -> Iterator[dict[str, Any]]:
    for order, place in enumerate(chosen.indices.tolist()):
        row: dict[str, Any] = {"order": order, "row": place, "id": pool.ids[place], "prompt": pool.prompts[place]}
        if pool.tasks is not None:
            row["task"] = pool.tasks[place]
        if pool.stages is not None:
            row["stage"] = pool.stages[place]
        if chosen.gains is not None:
            row["gain"] = plain(chosen.gains[order])  # None for the first of k-center, which has no distance to anything
        if drawn is not None:
            row["covers"] = drawn.covers[order]
        yield row
