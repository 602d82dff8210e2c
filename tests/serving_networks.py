"""Runs networks for programs of other languages, which have stubs of a runtime.

A program asks on its standard output: a line of JSON, {"ask": ..., "bytes": n}, and n
bytes. It gets an answer on its standard input: a length, big-endian in four bytes, and
so many bytes.
"""

import io
import json
import struct
import subprocess
import sys
from functools import cache, cached_property

import numpy as np
from PIL import Image


class Desk:
    """Runs the exported file `model` for a program; `pixels`: the inputs it has made.

    gpu_refusal: why the GPU does not take the file; "" if it does.
    """

    def __init__(self, model, gpu_refusal=""):
        self.model, self.gpu_refusal = str(model), gpu_refusal

    def run(self, *command):
        """Runs a program to its end; returns the texts that it has told."""
        self.told, self.pixels = [], []
        with subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as program:
            for line in program.stdout:
                question = json.loads(line)
                content = program.stdout.read(question["bytes"])
                answer = self.answer(*question["ask"].split(" "), content=content)
                program.stdin.write(struct.pack(">i", len(answer)) + answer)
                program.stdin.flush()
        assert program.returncode == 0
        return self.told

    def answer(self, question, *details, content):
        match question:
            case "tell":
                self.told.append(content.decode())
            case "pixels":
                self.pixels.append(np.frombuffer(content, np.float32))
            case "why":  # ... not the GPU
                return self.gpu_refusal.encode()
            case "decode":
                return decode(content)
            case "type":
                return np.dtype(self.details["dtype"]).name.encode()
            case "run":
                return self.classify(content)
            case "mediapipe":
                return self.by_mediapipe(details, content)
        return b""

    @cached_property
    def interpreter(self):
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(self.model)
        interpreter.allocate_tensors()
        return interpreter

    @property
    def details(self):
        """What LiteRT says of the input."""
        (image,) = self.interpreter.get_input_details()
        return image

    def classify(self, content):
        pixels = np.frombuffer(content, self.details["dtype"])
        pixels = pixels.reshape(self.details["shape"])
        self.interpreter.set_tensor(self.details["index"], pixels)
        self.interpreter.invoke()
        (output,) = self.interpreter.get_output_details()
        return self.interpreter.get_tensor(output["index"]).tobytes()

    def by_mediapipe(self, details, content):
        """Categories from pixels 0xAARRGGBB, width, height, threshold and region."""
        import mediapipe
        from mediapipe.tasks.python.components.containers.rect import RectF
        from mediapipe.tasks.python.vision.core.image_processing_options import (
            ImageProcessingOptions,
        )

        width, height, threshold, *region = details
        sides = zip(
            ("left", "top", "right", "bottom"), map(float, region), strict=False
        )
        argb = np.frombuffer(content, np.uint8).reshape(int(height), int(width), 4)
        rgb = np.ascontiguousarray(argb[..., 1:])
        options = ImageProcessingOptions(RectF(**dict(sides)) if region else None)
        image = mediapipe.Image(mediapipe.ImageFormat.SRGB, rgb)
        answer = self.mediapipe_classifier(threshold).classify(image, options)
        (head,) = answer.classifications
        found = [{"index": x.index, "score": float(x.score)} for x in head.categories]
        return json.dumps({"categories": found}).encode()

    @cache  # noqa: B019 - as long as the process
    def mediapipe_classifier(self, threshold):
        from mediapipe.tasks.python import vision
        from mediapipe.tasks.python.core.base_options import BaseOptions

        options = vision.ImageClassifierOptions(
            base_options=BaseOptions(model_asset_path=self.model),
            score_threshold=None if threshold == "null" else float(threshold),
        )
        return vision.ImageClassifier.create_from_options(options)


def decode(file):
    """Width, height and EXIF orientation in 32 letters, then the pixels, RGBA."""
    with Image.open(io.BytesIO(file)) as image:
        turn = image.getexif().get(0x0112, 1)
        head = f"{image.width} {image.height} {turn}".ljust(32)
        return head.encode() + image.convert("RGBA").tobytes()


def largest_difference(found, geometry, paths):
    """Of the inputs found from those of predict, in 0..255."""
    expected = [geometry.read(path.read_bytes()).numpy().ravel() for path in paths]
    pairs = zip(found, expected, strict=True)
    return max(np.abs(mine - theirs).max() for mine, theirs in pairs)


def run_apart(model, *command):
    """Runs a command of this file in a process without TensorFlow; returns its JSON."""
    done = subprocess.run(
        [sys.executable, __file__, model, *command],
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    sys.modules["tensorflow"] = None  # which MediaPipe imports for its documentation
    print(json.dumps(Desk(sys.argv[1]).run(*sys.argv[2:])))
