"""One epoch of torchvision's input pipeline with the paper's crop and a mirror.

--decoder tensor: decode_image and transforms.v2 on uint8 tensors; pil: PIL throughout.
Prints JSON: images per CPU second of each repeat, worker processes included.
"""

import argparse
import json
import resource

import torch
from torchvision import io
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2


def cpu_seconds() -> float:
    """User and system seconds of this process and of the children it waited for."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(sum(resource.getrusage(w)[:2]) for w in who)


def main() -> None:
    """Times whole epochs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--decoder", choices=("tensor", "pil"), default="tensor")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)

    crop = v2.RandomResizedCrop(options.image_size, scale=(0.08, 1.0), antialias=True)
    flip = v2.RandomHorizontalFlip()
    if options.decoder == "tensor":
        transform = v2.Compose([crop, flip])
        data = ImageFolder(
            options.folder, transform, loader=lambda p: io.decode_image(p, "RGB")
        )
    else:
        transform = v2.Compose([crop, flip, v2.PILToTensor()])
        data = ImageFolder(options.folder, transform)
    loader = torch.utils.data.DataLoader(
        data, batch_size=32, shuffle=True, num_workers=options.workers
    )
    rates = []
    for _ in range(options.repeats):
        began = cpu_seconds()
        count = sum(len(labels) for _, labels in loader)
        rates.append(count / (cpu_seconds() - began))
    print(json.dumps({"images_per_cpu_second": rates, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
