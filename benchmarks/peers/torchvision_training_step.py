"""One training step of torchvision's GoogLeNet, timed as our benchmark times ours.

Prints JSON: CPU seconds (user and system) of each repeat. Its best on a CPU is bfloat16
autocast with channels_last, the default.
"""

import argparse
import json
import time

import torch
from torchvision.models import googlenet


def main() -> None:
    """Times forward, backward and update on one random batch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--float32", action="store_true", help="no autocast")
    options = parser.parse_args()

    network = googlenet(
        weights=None, num_classes=options.classes, aux_logits=True, init_weights=False
    ).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        network.parameters(), 0.01, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    loss = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    side = options.image_size
    images = torch.rand(options.batch_size, 3, side, side)
    images = images.to(memory_format=torch.channels_last)
    labels = torch.randint(0, options.classes, (options.batch_size,))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=not options.float32):
            out = network(images)
            total = loss(out.logits, labels)
            total = total + 0.3 * loss(out.aux_logits1, labels)
            total = total + 0.3 * loss(out.aux_logits2, labels)
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()

    for _ in range(3):
        step()
    seconds = []
    for _ in range(options.repeats):
        began = time.process_time()
        step()
        seconds.append(time.process_time() - began)
    print(json.dumps({"cpu_seconds": seconds, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
