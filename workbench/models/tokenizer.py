"""The tokenizer of the `tiny` players: byte-level BPE trained on the environment's own text.

On two CPU cores an RL iteration is bound by arithmetic, so tokens are what costs time. Half a line of a drawing
and a word with its punctuation may become one token, and texts that never change (a constant task statement, the
prompt markers) are entered whole.
"""

from collections.abc import Iterable, Sequence

from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as RawTokenizer
from transformers import PreTrainedTokenizerFast

END = "<|end|>"
PAD = "<|pad|>"
# How text is cut before merging; no token crosses a cut.
PIECES = {
    # A border | six characters of a drawn line | a word with its leading space, trailing punctuation and line end | whatever else.
    # A whole drawn line would be shorter still, but a line that training never met would then be one unknown token.
    "words": r"\+[-+]*\n|[|:][^\n]{0,5}\n?|\s?\w+[.,:;!?]*\n?|\s?[^\s\w]+|\s+",
    # A word is the same token wherever it stands, for worlds where names have to be copied from what is seen.
    "bare-words": r"\+[-+]*\n|\s?\w+|\s?[^\s\w]+|\s+",
    # As before, with the number behind a word: " cabinet 3" may be one token, for worlds that tell equal things apart by numbers.
    "names": r"\+[-+]*\n|\s?\w+(?: \d+)?|\s?[^\s\w]+|\s+",
    # Every digit is a token of its own, words and marks take the space behind them: numbers are read and written digit by digit.
    "digits": r"\d|[^\W\d]+[^\S\n]?|[^\w\s][^\S\n]?|\n|[^\S\n]+",
    # Everything between two marks: a frequent command may be one token, the same in a reflection that ends ": go north." and in the list.
    "phrases": r"[^\S\n]?[^\n.,:;!?]+|[.,:;!?]+|\s+",
}


def train_tokenizer(texts: Iterable[str], *, whole: Sequence[str], vocab_size: int, pieces: str = "words") -> PreTrainedTokenizerFast:
    """A tokenizer with every byte in its vocabulary, so that no text is unknown to it.

    Args:
        texts: Text the players will read and write; lines keep their line ends.
        whole: Constant texts that become one token each.
        vocab_size: Upper bound of the vocabulary, the whole texts and special tokens included.
        pieces: A key of ``PIECES``: the longest thing that may become one token.
    """
    raw = RawTokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES[pieces]), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(whole),
        special_tokens=[END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=END, pad_token=PAD, clean_up_tokenization_spaces=False)
    tokenizer.add_tokens([AddedToken(text, normalized=False, special=False) for text in whole if text])
    return tokenizer
