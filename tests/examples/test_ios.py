"""The Swift package on Linux: its crop, answers and self-test, and mistakes in them."""

import shutil

import pytest
from making_pictures import transparent_files, turned_files
from serving_networks import Desk, largest_difference, run_apart

from googlenet_keras.artifacts.artifact import Artifact
from googlenet_keras.predictor import predict

pytestmark = pytest.mark.slow
MODEL = "int8.tflite"


@pytest.fixture
def start(swift, bundle):
    """The command of a program, whose bundle's resources are beside it."""

    def start(name, file=MODEL):
        program = swift(name)
        resources = program.with_name("Resources")
        shutil.copytree(bundle / "selftest", resources / "selftest", dirs_exist_ok=True)
        shutil.copy(bundle / file, resources / MODEL)
        return program

    return start


@pytest.mark.parametrize("file", ["int8.tflite", "float32.tflite", "phone.tflite"])
def test_it_crops_and_answers_as_predict(start, bundle, pictures, file):
    program, artifact = start("litert", file), Artifact.load(bundle / file)
    desk = Desk(bundle / file)
    desk.run(program, "pixels", *pictures)
    assert largest_difference(desk.pixels, artifact.preprocessing, pictures) <= 1
    told = desk.run(program, "classify", *pictures)
    for text, expected in zip(told, predict(artifact, pictures), strict=True):
        assert text.split()[0] == expected.top[0][0]
        assert text.splitlines()[-1].startswith("90 %: ")


def test_it_turns_and_blends_as_predict(start, bundle, tmp_path):
    files = {"rgba.png": transparent_files()["rgba.png"][0]}
    for turn in range(1, 9):
        for name in ("jpeg first.jpg", "png before.png"):
            files[f"{turn} {name}"] = turned_files(turn)[name]
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    paths = sorted(tmp_path.iterdir())
    desk = Desk(bundle / MODEL)
    desk.run(start("litert"), "pixels", *paths)
    geometry = Artifact.load(bundle / MODEL).preprocessing
    assert largest_difference(desk.pixels, geometry, paths) <= 1


def test_the_self_test_passes_on_litert_and_names_a_mistake(start, bundle):
    desk = Desk(bundle / MODEL, gpu_refusal="no GPU")
    assert desk.run(start("litert"), "selftest") == [
        "passed (labels, channel order, crop, scaling)"
    ]
    desk = Desk(bundle / MODEL)
    (told,) = desk.run(start("the whole photograph"), "selftest")
    assert told.startswith("crop: ")


def test_it_says_whether_it_runs_on_the_gpu(start, bundle):
    assert Desk(bundle / MODEL).run(start("litert"), "processor") == ["GPU"]
    told = Desk(bundle / MODEL, gpu_refusal="no GPU").run(start("litert"), "processor")
    assert told == ["CPU, not the GPU: no GPU"]


def test_mediapipe_needs_the_region_of_interest(start, bundle):
    pytest.importorskip("mediapipe")
    (told,) = run_apart(bundle / MODEL, start("mediapipe"), "selftest")
    assert told == "passed (labels, channel order, crop, scaling)"
    (told,) = run_apart(bundle / MODEL, start("no region of interest"), "selftest")
    assert told.startswith("crop: ")
