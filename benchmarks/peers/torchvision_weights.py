"""torchvision's GoogLeNet with random weights: its files, images and answers.

peers/bin/python benchmarks/peers/torchvision_weights.py FOLDER

FOLDER gets zip.pth and legacy.pth (a state_dict in PyTorch's two layouts), images.npy
([16, 224, 224, 3] uint8) and main.npy, aux1.npy, aux2.npy (logits in evaluation mode).
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torchvision.models import googlenet

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # torchvision's transforms


def main(folder: Path) -> None:
    """Writes the files."""
    torch.manual_seed(0)
    model = googlenet(weights=None, init_weights=False, transform_input=True).eval()
    for name, value in model.state_dict().items():
        if name.endswith((".running_var", ".bn.weight")):
            value.uniform_(0.5, 2)
        elif name.endswith((".running_mean", ".bias")):
            value.normal_(0, 0.1)
        elif value.ndim > 1:  # activations keep their size, so that each weight matters
            value.normal_(0, (2 / value[0].numel()) ** 0.5)
    torch.save(model.state_dict(), folder / "zip.pth")
    torch.save(
        model.state_dict(), folder / "legacy.pth", _use_new_zipfile_serialization=False
    )
    # blotches: noise would be the same gray in every image by the time it is averaged
    blotches = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3), np.uint8)
    images = blotches.repeat(28, axis=1).repeat(28, axis=2)
    np.save(folder / "images.npy", images)
    for name, logits in answers(model, images).items():
        np.save(folder / f"{name}.npy", logits)


def answers(model, images: np.ndarray) -> dict[str, np.ndarray]:
    """Each head's logits, [images, 1000]; the auxiliary ones by their modules."""
    seen = {}
    for head, module in (("aux1", model.inception4a), ("aux2", model.inception4d)):
        module.register_forward_hook(
            lambda _module, _inputs, output, head=head: seen.update({head: output})
        )
    x = torch.from_numpy(images.astype(np.float32) / 255).permute(0, 3, 1, 2)
    x = (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    with torch.no_grad():
        main = model(x)
        heads = {head: getattr(model, head)(map_) for head, map_ in seen.items()}
    return {name: logits.numpy() for name, logits in {"main": main, **heads}.items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
