"""What several tests make: photographs on disk, calls with a command line."""

import fcntl
import os
import pty
import stat
import sys
import tempfile
import termios
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from subprocess import Popen
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.variants import get_architecture
from googlenet_keras.classifier import Classifier
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.files import write_json
from googlenet_keras.network.build import build_network
from googlenet_keras.training.options import TrainConfig

ROOT = Path(__file__).parents[1]
HIDE = """
import sys
from importlib.machinery import PathFinder

class Hiding:
    def find_spec(self, name, path=None, target=None):
        return None if name in {hidden} else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding()
"""
ARCHITECTURES = Path(tempfile.mkdtemp(prefix="googlenet_keras_tests_"))


def write_photos(root: Path, counts: dict[str, int], size=(40, 56)) -> Path:
    """`counts` noisy JPEGs in each class folder of `root`; classes differ in colour."""
    random = np.random.default_rng(0)
    for number, (name, count) in enumerate(counts.items()):
        folder = root / name
        folder.mkdir(parents=True)
        for i in range(count):
            image = random.integers(0, 120, (*size, 3))
            image[..., number % 3] += 120
            data = tf.io.encode_jpeg(image.astype(np.uint8)).numpy()
            (folder / f"{i}.jpg").write_bytes(data)
    return root


def full_device(path: Path) -> Path:
    """A device that is always full at `path`: a test could replace that of the system.

    Skips the test where devices cannot be made.
    """
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.stat("/dev/full").st_rdev)
        path.open("w").close()
    except OSError:
        pytest.skip("making a device is for root alone")
    return path


def two_modules(
    variant: str | Architecture = "bn", width: float = 0.125
) -> Architecture:
    """The variant, narrow, with two of its nine modules, which is traced in a third."""
    kept = ("conv1_7x7_s2", "pool1_3x3_s2", "inception_4a", "inception_4d")
    whole = get_architecture(variant).scale_width(width)
    return replace(whole, rows=tuple(row for row in whole.rows if row.name in kept))


def one_module(variant: str | Architecture = "bn", heads: int = 0) -> Architecture:
    """A network of one module, whose training is traced in a moment.

    heads: 1 for one auxiliary head beside the main one.
    """
    arch = two_modules(variant)
    return replace(arch, rows=arch.rows[:3], heads=arch.heads[:heads])


def epoch_line(epoch: int) -> dict[str, Any]:
    """A line of metrics.jsonl."""
    figures = {"loss": 2.5, "main": {"top1": 0.5, "top5": None, "loss": 1.0}}
    times = {"learning_rate": 0.01, "seconds": 1.0, "images_per_second": 9.0}
    return {"epoch": epoch, **times, "train": figures, "validation": figures}


def small_run(folder: Path | None, data: Path | str, **options) -> TrainConfig:
    """Options of a run of one epoch with two modules of a variant, batches of 4."""
    variant = options.pop("variant", "bn")
    file = ARCHITECTURES / f"{variant}.json"
    write_json(file, two_modules(variant).to_json())
    config = TrainConfig.from_recipe(
        "smoke",
        dataset=str(data),
        run_folder=folder,
        architecture=file,
        width=1.0,
        epochs=1,
        batch_size=4,
        precision="float32",
    )
    return replace(config, **options)


def tiny_run(folder: Path | None, data: Path | str, **options) -> TrainConfig:
    """The options of `small_run` for the network `one_module`, which is quicker.

    variant, heads: as in `one_module`.
    """
    kind = options.pop("variant", "bn"), options.pop("heads", 0)
    file = ARCHITECTURES / "one-{}-{}.json".format(*kind)
    write_json(file, one_module(*kind).to_json())
    return small_run(folder, data, **({"architecture": file} | options))


def tiny_flags(data: Path) -> list[str]:
    """The flags of `tiny_run`."""
    config = tiny_run(None, data)
    names = ("recipe", "dataset", "architecture", "width", "epochs", "batch_size")
    return [
        part
        for name in (*names, "precision")
        for part in (f"--{name.replace('_', '-')}", str(getattr(config, name)))
    ]


def hide_libraries(folder: Path, names: Collection[str]) -> None:
    """Makes a Python that has the folder in PYTHONPATH lack these libraries."""
    (folder / "sitecustomize.py").write_text(HIDE.format(hidden={*names}))


def call_main(main: Callable[[], None], *arguments: str) -> None:
    """Calls a script's main with these command-line arguments."""
    before = sys.argv
    sys.argv = ["script", *arguments]
    try:
        main()
    finally:
        sys.argv = before


@contextmanager
def one_process(lock: Path) -> Iterator[None]:
    """Lets one process at a time run the block."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def on_terminal(columns: int, *command: str) -> tuple[int, str]:
    """The exit status and the output of a command on a terminal of so many columns."""
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (24, columns))
    environment = {k: v for k, v in os.environ.items() if k != "COLUMNS"}
    with Popen(
        command, cwd=ROOT, stdin=end, stdout=end, stderr=end, env=environment
    ) as process:
        os.close(end)
        with os.fdopen(terminal, "rb") as file:
            output = b""
            with suppress(OSError):  # the command has ended
                while block := file.read1():
                    output += block
    return process.returncode, output.decode()


def processes() -> Iterator[tuple[int, int, int]]:
    """The number of each process, of its parent and of its session."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            fields = path.read_text().rpartition(") ")[2].split()
            yield int(path.parent.name), int(fields[1]), int(fields[3])


def is_running(process: int) -> bool:
    """Whether a process is there and is no zombie."""
    path = Path(f"/proc/{process}/stat")
    return path.exists() and ") Z" not in path.read_text()


def ramp(height, width):
    """Red counts columns, green counts rows."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.arange(width)
    image[..., 1] = np.arange(height)[:, None]
    return image


def both_ways(function, image):
    """The same result eagerly and inside tf.data, checked to be equal."""
    eager = function(tf.constant(image)).numpy()
    dataset = tf.data.Dataset.from_tensors(image).map(function)
    np.testing.assert_allclose(next(iter(dataset)).numpy(), eager, atol=1e-4)
    return eager


def randomize(network, random):
    """Changes all weights, so that none is as it was initialized."""
    for weight in network.weights:
        value = np.asarray(weight)
        if "variance" in weight.path or "gamma" in weight.path:
            weight.assign(random.uniform(0.5, 2, value.shape))
        else:
            weight.assign(value + random.normal(0, 0.05, value.shape))


def classifier(variant, classes=7, size=64, seed=0, whole=False):
    """A narrow network that looks trained: no weight is as it was initialized.

    It has two of the nine modules, unless `whole`.
    """
    arch = get_architecture(variant).scale_width(0.125)
    arch = arch if whole else two_modules(variant)
    keras.utils.set_random_seed(seed)
    network = build_network(arch, classes=classes, image_size=size)
    random = np.random.default_rng(seed)
    randomize(network, random)
    images = random.integers(0, 256, (8, size, size, 3)).astype("float32")
    spread = network.predict_on_batch(images)["main"].std()
    main = network.get_layer("main").kernel
    main.assign(main * (1.5 / spread))  # or every answer would be certain
    labels = tuple(f"class {i}" for i in range(classes))
    return Classifier(network, arch, Preprocessing(size, size, 0.875), labels)


def refusing_classifier(variant, classes=6):
    """A `classifier` that was trained with none pictures: an output has no label."""
    made = classifier(variant, classes + 1)
    return replace(made, labels=made.labels[:-1])
