"""Real answers of a real model, asked once per picture: a capture that comes again to the pixel gets the answer that it got before."""

import hashlib

import numpy as np

from qc.domain.frame import Pixels
from qc.domain.inspection import Inspection
from qc.domain.ports import Inspector, Prepared
from qc.domain.recipe import Recipe


class RememberingInspector:
    """Inspector port around another one; exact, because a session gives the same bits for the same tensor. Preprocessing runs every time."""

    def __init__(self, inner: Inspector) -> None:
        self.card = inner.card
        self.asked = 0
        """Inferences that really ran."""
        self._inner = inner
        self._known: dict[bytes, Inspection] = {}

    def prepare(self, pixels: Pixels, recipe: Recipe) -> Prepared:
        return self._inner.prepare(pixels, recipe)

    def inspect(self, prepared: Prepared) -> Inspection:
        key = hashlib.blake2b(np.ascontiguousarray(prepared.tensor).data, digest_size=16).digest()
        found = self._known.get(key)
        if found is None:
            self.asked += 1
            self._known[key] = found = self._inner.inspect(prepared)
        return found
