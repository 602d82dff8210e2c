"""One epoch of torchvision's input pipeline with the paper's crop and a mirror.

--decoder tensor: decode_image and transforms.v2 on uint8 tensors; pil: PIL throughout.
Prints JSON: images per CPU second of each repeat, after one epoch that is not measured.
Everything happens in this process, so that no start of a worker is counted.
"""

import argparse
import json
import time

import torch
from torchvision import io
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2


def main() -> None:
    """Times whole epochs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--decoder", choices=("tensor", "pil"), default="tensor")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--repeats", type=int, default=3)
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
        data, batch_size=32, shuffle=True, drop_last=True, num_workers=0
    )
    rates = []
    for _ in range(options.repeats + 1):
        began = time.process_time()
        count = sum(len(labels) for _, labels in loader)
        rates.append(count / (time.process_time() - began))
    rates = rates[1:]
    print(json.dumps({"images_per_cpu_second": rates, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
