"""The text of recorded token ids, without torch: from the tokenizer that a run saved, or one that lies on this machine."""

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import try_to_load_from_cache
from tokenizers import Tokenizer

from workbench.store.layout import TOKENIZER, RunPaths

_FILE = "tokenizer.json"


def tokenizer_file(paths: RunPaths, model: str) -> Path | None:
    """Where the tokenizer of a player lies; None when it is not on this machine. Nothing is fetched.

    Args:
        paths: The run folder.
        model: The player's model as the configuration names it: ``tiny``, a hub id or a folder.
    """
    if model == "tiny":
        return next(iter(sorted(paths.checkpoints.glob(f"*/*/{TOKENIZER}/{_FILE}"))), None)
    folder = Path(model) / _FILE
    if folder.is_file():
        return folder
    try:
        found = try_to_load_from_cache(model, _FILE)
    except ValueError:  # neither a hub id nor a folder
        return None
    return Path(found) if isinstance(found, str) else None


def token_texts(file: Path, token_ids: Sequence[int]) -> list[str] | None:
    """The text that each id adds to what the ids before it say; None when the file is no tokenizer or lacks an id.

    A character whose bytes are spread over several tokens belongs to the last of them.
    """
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception:  # tokenizers raises bare Exception for a file that it cannot read
        return None
    if any(tokenizer.id_to_token(token) is None for token in token_ids):
        return None
    texts: list[str] = []
    said = ""
    for end in range(1, len(token_ids) + 1):
        text = tokenizer.decode(list(token_ids[:end]), skip_special_tokens=False)
        whole = text.rstrip("\ufffd") if end < len(token_ids) else text
        texts.append(whole[len(said) :] if whole.startswith(said) else "")
        said = whole if whole.startswith(said) else said
    return texts
