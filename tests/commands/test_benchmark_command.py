import pytest
from making import write_photos

from googlenet_keras.cli import main
from googlenet_keras.commands.benchmark import InputPipeline, TrainingStep
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json
from googlenet_keras.training.options import TrainConfig


def measured(tmp_path, *arguments):
    path = tmp_path / "figures.json"
    main(["benchmark", *arguments, "--repeats", "2", "--json", str(path)])
    return read_json(path)


def check_shape(found, what):
    assert found["what"] == what
    assert found["repeats"] == 2
    spread = found["cpu_seconds_per_image"]
    assert 0 < spread["p10"] <= spread["median"] <= spread["p90"]
    assert found["images_per_second"] > 0
    assert found["peak_megabytes"] > 100
    assert found["environment"]["packages"]["tensorflow"]


@pytest.mark.slow
def test_a_training_step(tmp_path, capsys):
    found = measured(
        tmp_path, "training-step", "--width", "0.125", "--image-size", "32",
        "--classes", "3", "--batch-size", "2", "--precision", "float32",
    )  # fmt: skip
    check_shape(found, "training-step")
    assert found["options"]["precision"] == "float32"
    assert 0 < found["share_of_roof"] < 1.5
    assert "images per CPU second" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["none", "disk"])
def test_an_input_pipeline(tmp_path, cache):
    root = write_photos(tmp_path / "data", {"a": 40, "b": 40})
    found = measured(
        tmp_path, "input-pipeline", "--dataset", str(root), "--image-size", "32",
        "--crop-area", "0.08", "--cache", cache,
    )  # fmt: skip
    check_shape(found, "input-pipeline")
    assert found["options"]["crop_area"] == 0.08
    assert found["options"]["cache"] == cache
    assert found["share_of_roof"] is None


@pytest.mark.slow
def test_inference(tmp_path, run_folder):
    found = measured(tmp_path, "inference", "--model", str(run_folder))
    check_shape(found, "inference")
    assert found["options"]["image_size"] == [32, 32]


def test_inference_of_an_exported_file(tmp_path, bundle):
    found = measured(
        tmp_path, "inference", "--model", str(bundle / "int8.tflite"),
        "--batch-size", "2", "--threads", "1",
    )  # fmt: skip
    check_shape(found, "inference")
    assert found["options"]["file"] == "int8.tflite"
    assert found["share_of_roof"] is None


def test_the_roof(tmp_path, capsys):
    found = measured(tmp_path, "roof", "--precision", "float32")
    assert 1 < found["gigaflops_per_cpu_second"]["float32"] < 10_000
    assert "GFLOP per CPU second" in capsys.readouterr().out


def test_bad_values(run_folder):
    with pytest.raises(UserError, match="repeats=0: Expected `int` >= 1"):
        main(["benchmark", "roof", "--repeats", "0"])
    with pytest.raises(UserError, match="in an existing folder; received nowhere"):
        main(["benchmark", "roof", "--json", "nowhere/roof.json"])
    with pytest.raises(UserError, match="needs --model"):
        main(["benchmark", "inference"])


@pytest.mark.parametrize(
    ("command", "flag"),
    [("roof", "--dataset"), ("training-step", "--crop-area"), ("inference", "--cache")],
)
def test_a_benchmark_has_the_flags_that_it_uses_only(command, flag, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["benchmark", command, flag, "1"])
    assert exit_.value.code == 2
    assert "nrecognized" in capsys.readouterr().err


def test_the_flags_of_training_have_its_defaults():
    step, pipeline, config = TrainingStep(), InputPipeline(), TrainConfig()
    for name in ("variant", "width", "precision"):
        assert getattr(step, name) == getattr(config, name)
    for name in ("dataset", "recipe", "crop_area", "color_jitter", "cache"):
        assert getattr(pipeline, name) == getattr(config, name)


def test_flags_may_stand_before_what_is_measured(tmp_path):
    path = tmp_path / "roof"
    main(["benchmark", "--json", str(path), "--repeats", "1", "roof",
          "--precision", "float32"])  # fmt: skip
    assert read_json(path)["what"] == "roof"
    with pytest.raises(UserError, match="in an existing folder; received roof/roof"):
        main(["benchmark", "--json", "roof/roof", "--precision=float32", "roof"])
    with pytest.raises(UserError, match="repeats=0: Expected `int` >= 1"):
        main(["benchmark", "--json", "roof", "--repeats", "0", "inference"])
