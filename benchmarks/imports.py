"""Whether imported torchvision weights answer as torchvision does.

python -m benchmarks.imports --peer peers/bin/python

Prints, for each of PyTorch's two layouts and each variant, the largest difference of
each head's logits on 16 images, relative to how far the logits of images lie apart.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from googlenet_keras.weights.pretrained import import_weights

SCRIPT = Path(__file__).parent / "peers" / "torchvision_weights.py"
LIMIT = 1e-4  # float32 sums in another order


@dataclass(frozen=True)
class Imports:
    """Compares imported networks with torchvision's own."""

    peer: Path
    """Python of an environment with benchmarks/peers/requirements.txt."""

    def run(self) -> bool:
        """Whether all differences are within the limit."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            subprocess.run([self.peer, SCRIPT, folder], check=True)
            within = [
                self._compare(folder, layout, variant)
                for layout in ("zip", "legacy")
                for variant in ("torchvision", "bn")
            ]
            return all(within)

    def _compare(self, folder: Path, layout: str, variant: str) -> bool:
        made = import_weights("torchvision", folder / f"{layout}.pth", variant=variant)
        found = made.logits(np.load(folder / "images.npy"))
        within = True
        for head in ("main", "aux1", "aux2"):
            wanted = np.load(folder / f"{head}.npy")
            apart = np.abs(found[head] - wanted).max() / np.ptp(wanted, axis=0).max()
            print(f"{layout}.pth as {variant}, {head}: {apart:.1e}")
            within &= bool(apart <= LIMIT)
        return within


if __name__ == "__main__":
    sys.exit(0 if tyro.cli(Imports).run() else 1)
