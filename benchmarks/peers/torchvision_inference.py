"""torchvision's GoogLeNet on one image, timed as benchmarks.export_ratios times ours.

Prints JSON: CPU milliseconds of each round, the median of 15 images, on one thread, in
float32 and channels_last, which is its best on a CPU. Start it and export_ratios in
turns.
"""

import argparse
import json
import statistics
import time

import torch
from torchvision.models import googlenet

IMAGES_PER_ROUND = 15


def main() -> None:
    """Times the network without auxiliary heads, from pixels to probabilities."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()

    torch.set_num_threads(1)
    network = googlenet(
        weights=None, num_classes=options.classes, aux_logits=False, init_weights=False
    )
    network = network.eval().to(memory_format=torch.channels_last)
    side = options.image_size
    image = torch.randint(0, 256, (1, 3, side, side), dtype=torch.uint8)
    image = image.to(memory_format=torch.channels_last)

    def milliseconds() -> float:
        spent = []
        for _ in range(IMAGES_PER_ROUND):
            began = time.process_time()
            with torch.inference_mode():
                network(image.float()).softmax(1)
            spent.append(time.process_time() - began)
        return 1e3 * statistics.median(spent)

    milliseconds()  # warms up
    rounds = [milliseconds() for _ in range(options.rounds)]
    print(json.dumps({"milliseconds": rounds, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
