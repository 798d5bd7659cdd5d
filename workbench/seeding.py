"""Independent random generators derived from one seed and a path of names.

Every random choice in a run is drawn from ``generator(seed, "collect", update, index)`` or the like, so
that what one trajectory meets does not depend on which others are played beside it, in what order, or in
batches of what size. Nothing here touches the global generators of ``random``, numpy or torch.
"""

import zlib

import numpy as np

Key = int | str


def _word(key: Key) -> int:
    return zlib.crc32(key.encode()) if isinstance(key, str) else int(key) & 0xFFFFFFFFFFFFFFFF


def generator(seed: int, *path: Key) -> np.random.Generator:
    """A numpy generator that depends on ``seed`` and every element of ``path``, and on nothing else."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([_word(seed), *map(_word, path)])))


def derived_seed(seed: int, *path: Key) -> int:
    """A 31-bit seed for libraries that want a number (``env.reset``, ``torch.manual_seed``)."""
    return int(np.random.SeedSequence([_word(seed), *map(_word, path)]).generate_state(1)[0]) & 0x7FFFFFFF
