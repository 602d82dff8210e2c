"""torchvision's GoogLeNet, from scratch, with torchvision's reference recipe.

SGD with momentum 0.9, rate 0.1 for a batch of 256 and in proportion, a tenth of it
after each third, decay 1e-4, crops of 8 to 100 % of the area, mirrored; its best on a
CPU is bfloat16 autocast with channels_last. The epoch with the best validation top-1 is
tested.
Prints JSON: test top-1 and macro-F1, CPU seconds of this process and its workers.
"""

import argparse
import copy
import json
import resource

import torch
from sklearn.metrics import f1_score
from torch.utils.data import DataLoader
from torchvision import datasets
from torchvision.models import googlenet
from torchvision.transforms import v2

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def transforms(size: int, training: bool) -> v2.Compose:
    """The reference's crops, antialiased, to normalized float32."""
    resized = int(size * 256 / 224)
    crop = (
        [v2.RandomResizedCrop(size, antialias=True), v2.RandomHorizontalFlip()]
        if training
        else [v2.Resize(resized, antialias=True), v2.CenterCrop(size)]
    )
    finish = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    return v2.Compose([v2.ToImage(), *crop, *finish])


def cpu_seconds() -> float:
    """User and system time of this process and of the workers that have ended."""
    used = [resource.getrusage(who) for who in
            (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]  # fmt: skip
    return sum(u.ru_utime + u.ru_stime for u in used)


def answers(network, loader) -> tuple[list[int], list[int]]:
    """Predicted and right classes of every image."""
    network.eval()
    predicted, right = [], []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for images, labels in loader:
            images = images.to(memory_format=torch.channels_last)
            predicted += network(images).argmax(1).tolist()
            right += labels.tolist()
    return predicted, right


def top1(pair: tuple[list[int], list[int]]) -> float:
    """The part of the answers that are right."""
    return sum(p == r for p, r in zip(*pair, strict=True)) / len(pair[1])


def main() -> None:
    """Trains, and tests the best epoch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="with train/, validation/ and test/")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    loaders = {
        split: DataLoader(
            datasets.ImageFolder(
                f"{options.folder}/{split}",
                transforms(options.image_size, split == "train"),
            ),
            options.batch_size,
            shuffle=split == "train",
            drop_last=split == "train",
            num_workers=1,
        )
        for split in ("train", "validation", "test")
    }
    classes = len(loaders["train"].dataset.classes)
    network = googlenet(
        weights=None, num_classes=classes, aux_logits=True, init_weights=True
    ).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        network.parameters(),
        0.1 * options.batch_size / 256,
        momentum=0.9,
        weight_decay=1e-4,
    )
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, -(-options.epochs // 3), 0.1)
    loss = torch.nn.CrossEntropyLoss()
    best, best_state = -1.0, None
    for epoch in range(options.epochs):
        network.train()
        for images, labels in loaders["train"]:
            images = images.to(memory_format=torch.channels_last)
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16):
                out = network(images)
                total = loss(out.logits, labels)
                total = total + 0.3 * loss(out.aux_logits1, labels)
                total = total + 0.3 * loss(out.aux_logits2, labels)
            total.backward()
            optimizer.step()
        schedule.step()
        found = top1(answers(network, loaders["validation"]))
        print(f"epoch {epoch + 1}: validation {found:.4f}", flush=True)
        if found >= best:
            best, best_state = found, copy.deepcopy(network.state_dict())
    network.load_state_dict(best_state)
    pair = answers(network, loaders["test"])
    figures = {
        "epochs": options.epochs,
        "validation_top1": best,
        "test_top1": top1(pair),
        "test_macro_f1": f1_score(pair[1], pair[0], average="macro"),
        "cpu_seconds": cpu_seconds(),
        "torch": torch.__version__,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
