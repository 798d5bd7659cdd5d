"""A run's tokenizer through the ``tokenizers`` library alone, so that a page can show training rows without torch."""

from pathlib import Path

from tokenizers import Tokenizer

from workbench.errors import DataError
from workbench.store.files import read_json


class LightTokenizer:
    """Encodes as the run's own tokenizer does; what :class:`~workbench.prompts.PromptBuilder` needs of one."""

    def __init__(self, folder: Path) -> None:
        """Read ``tokenizer.json`` and the names of its special tokens from a folder that ``save_pretrained`` wrote.

        Raises:
            DataError: There is none, or it cannot be read.
        """
        path = folder / "tokenizer.json"
        try:
            self._raw = Tokenizer.from_file(str(path))
        except Exception as error:  # the library, written in Rust, raises nothing narrower
            raise DataError(f"{path}: the tokenizer cannot be read: {str(error).splitlines()[0]}") from None
        facts = read_json(folder / "tokenizer_config.json") or {}
        self.bos_token_id = self._special(facts, "bos_token")
        self.unk_token_id = self._special(facts, "unk_token")
        self.eos_token_id = self._special(facts, "eos_token")

    def _special(self, facts: dict[str, object], name: str) -> int | None:
        value = facts.get(name)
        text = value.get("content") if isinstance(value, dict) else value
        found: int | None = self._raw.token_to_id(text) if isinstance(text, str) else None
        return found

    def encode(self, text: str, *, add_special_tokens: bool, split_special_tokens: bool = False) -> list[int]:
        """Token ids of ``text``."""
        self._raw.encode_special_tokens = split_special_tokens
        ids: list[int] = self._raw.encode(text, add_special_tokens=add_special_tokens).ids
        return ids

    def decode(self, token_ids: list[int]) -> str:
        """Text of ``token_ids``."""
        text: str = self._raw.decode(token_ids, skip_special_tokens=False)
        return text

    def convert_tokens_to_ids(self, tokens: str) -> int | None:
        """Id of one vocabulary entry; the unknown token's when there is none."""
        found: int | None = self._raw.token_to_id(tokens)
        return self.unk_token_id if found is None else found

    def pieces(self, token_ids: list[int]) -> list[str]:
        """Text of each token; a character that takes several tokens stands at the last of them, so that the pieces join to the text."""
        texts, waiting = [], []
        for token in token_ids:
            waiting.append(token)
            text = self.decode(waiting)
            if text.endswith("\ufffd") and len(waiting) < 4:
                texts.append("")
                continue
            texts.append(text)
            waiting = []
        return texts
