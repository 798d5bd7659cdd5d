"""`workbench select`: its arguments, and what it prints. Nothing heavy is imported before the arguments are read."""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tqdm import tqdm


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything that `workbench select` takes."""
    parser.add_argument("pool", metavar="POOL", type=Path, help="prompts: .jsonl, .parquet, or a folder saved by datasets")
    parser.add_argument(
        "--design", required=True, help="facility-location, k-center, top-k, random, k-means, even-per-task or inverse-confidence"
    )
    parser.add_argument("--budget", required=True, type=int, help="how many prompts to choose")
    parser.add_argument("--out", type=Path, metavar="D", help="folder to write to (default: one in runs/selections, which the app shows)")
    parser.add_argument("--model", help="hub id or folder of the model that looks at the prompts")
    parser.add_argument("--features", type=Path, metavar="FILE", help="features.npz of an earlier selection, or a .npy table of embeddings")
    parser.add_argument("--score", help="e.g. entropy-mean: ranks in top-k and within tasks, weighs in facility-location and k-center")
    parser.add_argument("--kernel", default="gaussian", help="of facility-location: gaussian or cosine (default: %(default)s)")
    parser.add_argument("--width", type=float, help="of the Gaussian kernel, in squared units (default: swept)")
    parser.add_argument("--search", default="lazy", help="of facility-location: lazy, stochastic or naive (default: %(default)s)")
    parser.add_argument("--neighbors", type=int, help="of facility-location (default: all up to 15,000 prompts, 64 above)")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn (default: %(default)s)")
    parser.add_argument("--pooling", default="mean", help="embeddings over the prompt: mean or last token (default: %(default)s)")
    parser.add_argument("--max-new-tokens", type=int, default=64, help="longest response to measure (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=32, help="prompts decoded together (default: %(default)s)")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--prompt-column", default="prompt", metavar="C", help="column of the prompts (default: %(default)s)")
    parser.add_argument("--id-column", metavar="C", help="column of their names (default: id, or their places)")
    parser.add_argument("--task-column", metavar="C", help="column of their tasks (default: task)")
    parser.add_argument("--stage-column", metavar="C", help="column of their stages, for the report alone (default: stage)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Choose, write, and print a line; gives the report.

    Raises:
        WorkbenchError: Anything a person can mend.
    """
    from workbench.recipes.select import select
    from workbench.selection.designs import Settings
    from workbench.selection.pool import Columns
    from workbench.store.selections import selections_folder

    settings = Settings(**{name: getattr(arguments, name) for name in ("seed", "score", "kernel", "width", "search", "neighbors")})
    out = arguments.out or selections_folder() / _name(arguments)
    with ExitStack() as stack:
        bar = stack.enter_context(tqdm(unit="prompt")) if arguments.model and sys.stderr.isatty() else None
        found = select(
            arguments.pool,
            out,
            design=arguments.design,
            budget=arguments.budget,
            settings=settings,
            columns=Columns(arguments.prompt_column, arguments.id_column, arguments.task_column, arguments.stage_column),
            model=arguments.model,
            features_file=arguments.features,
            pooling=arguments.pooling,
            max_new_tokens=arguments.max_new_tokens,
            batch_size=arguments.batch_size,
            device=arguments.device,
            on_progress=(lambda done: bar.update(done - bar.n)) if bar is not None else None,
        )
    value = "" if found["value"] is None else f", value {found['value']:.4g}"
    bound = "" if found["bound"] is None else f", bound {found['bound']:.4g}"
    print(f"{found['budget']} of {found['prompts']} prompts by {found['design']}{value}{bound}: {out}")
    return {"out": str(out), **found}


def _name(arguments: argparse.Namespace) -> str:
    """The same for the same choice, so that a choice made again takes its own place."""
    parts = [arguments.pool.stem or "pool", arguments.design, arguments.score, str(arguments.budget), f"seed{arguments.seed}"]
    return "-".join(part for part in parts if part)
