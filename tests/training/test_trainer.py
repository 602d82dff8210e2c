import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from making import one_module, small_run, tiny_run, write_photos

from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json, read_json_lines, write_json
from googlenet_keras.network.weights import named_weights
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.stopwatch import Stopwatch
from googlenet_keras.training import model
from googlenet_keras.training.callbacks import chance_level
from googlenet_keras.training.job import TrainingJob
from googlenet_keras.training.signals import StopRequest
from googlenet_keras.training.trainer import Trainer, train_network


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("data") / "d", {"a": 5, "b": 5})


@pytest.fixture(scope="module")
def plain(data, tmp_path_factory):
    """A run of images that are not square."""
    folder = tmp_path_factory.mktemp("plain") / "run"
    return train_network(tiny_run(folder, data, image_size=(32, 48)))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(data, plain, tmp_path):
    """Another seed gives others from the start."""
    config = replace(plain.job.config, run_folder=tmp_path / "again")
    first, same = (
        named_weights(run.classifier.network) for run in (plain, train_network(config))
    )
    assert all(np.array_equal(first[name], same[name]) for name in first)
    initial = [
        named_weights(
            Trainer(
                TrainingJob.from_config(
                    replace(config, run_folder=tmp_path / "untrained", seed=seed)
                ),
                StopRequest(),
                Stopwatch(),
            ).classifier.network
        )["main/kernel"]
        for seed in (config.seed, config.seed, config.seed + 1)
    ]
    np.testing.assert_array_equal(initial[0], initial[1])
    assert not np.array_equal(initial[0], initial[2])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "policy"),
    [
        ("bn", "mixed_float16"),
        pytest.param("paper", "mixed_bfloat16", marks=pytest.mark.exhaustive),
        pytest.param("bn", "mixed_bfloat16", marks=pytest.mark.exhaustive),
        pytest.param("paper", "mixed_float16", marks=pytest.mark.exhaustive),
    ],
)
def test_it_trains_in_half_precision(data, tmp_path, policy, variant):
    config = tiny_run(tmp_path / "run", data, precision=policy, variant=variant)
    run = train_network(config)
    assert run.best_epoch == 1
    assert keras.config.dtype_policy().name == "float32"
    assert all(
        np.isfinite(v).all() for v in named_weights(run.classifier.network).values()
    )


@pytest.mark.slow
def test_it_trains_a_network_from_a_file_without_auxiliary_heads(data, tmp_path):
    arch = replace(one_module(), dropout=0.1)
    file = tmp_path / "architecture.json"
    write_json(file, arch.to_json())
    config = tiny_run(tmp_path / "run", data, architecture=file)
    run = train_network(config)
    assert run.classifier.architecture == arch
    assert run.classifier.heads == ("main",)
    (line,) = read_json_lines(run.job.folder.metrics)
    assert set(line["validation"]) == {"loss", "main"}
    written = read_json(run.job.folder.config)
    assert written["widths"] == arch.widths()
    assert written["architecture"] == str(
        run.job.folder.path.resolve() / "architecture.json"
    )
    file.unlink()
    again = train_network(replace(config, resume=True, architecture=None))
    assert again.classifier.architecture == arch


@pytest.mark.slow
def test_the_options_and_the_environment_are_written_down(data, plain):
    run = plain
    config = read_json(run.job.folder.config)
    assert config["image_size"] == [32, 48]
    assert config["learning_rate"] == 0.05
    assert config["crop_area"] == 0.25
    environment = read_json(run.job.folder.environment)
    assert environment["precision"] == "float32"
    assert environment["devices"]
    assert config["dataset"] == str(data.resolve())
    assert config["xla"] in ("on", "off")
    assert run.classifier.preprocessing.width == 48


@pytest.mark.slow
def test_a_step_lowers_what_the_loss_weights_say(data, tmp_path):
    config = small_run(tmp_path / "run", data, aux1_weight=0.0, average_epochs=0.0,
                  weight_decay=0.0)  # fmt: skip
    keras.utils.set_random_seed(config.seed)
    start = named_weights(model.build_and_compile(config.resolve("photos"), 2, 2))
    trained = named_weights(train_network(config).classifier.network)
    np.testing.assert_array_equal(trained["aux1/kernel"], start["aux1/kernel"])
    assert not np.array_equal(trained["aux2/kernel"], start["aux2/kernel"])


@pytest.mark.slow
def test_it_trains_on_mixed_and_damaged_images(data, tmp_path):
    run = train_network(
        tiny_run(
            tmp_path / "run",
            data,
            rand_augment=0.2,
            random_erasing=0.5,
            mixup=0.2,
            cutmix=1.0,
        )
    )
    assert run.job.config.cutmix == 1.0
    (line, *_) = run.job.folder.metrics.read_text().splitlines()
    assert 0 <= json.loads(line)["train"]["main"]["top1"] <= 1


@pytest.mark.slow
def test_balanced_classes_train(tmp_path):
    data = write_photos(tmp_path / "data", {"a": 9, "b": 3})
    plain = train_network(tiny_run(tmp_path / "plain", data))
    balanced = train_network(tiny_run(tmp_path / "b", data, class_weights="balanced"))
    kernels = [named_weights(run.classifier.network)["main/kernel"]
               for run in (plain, balanced)]  # fmt: skip
    assert not np.array_equal(*kernels)


def test_nothing_is_made_for_options_that_cannot_work(data, tmp_path):
    with pytest.raises(UserError, match=r"batch_size must be at most .* 8; received 9"):
        train_network(tiny_run(tmp_path / "run", data, batch_size=9))
    with pytest.raises(UserError, match="no such folder"):
        train_network(tiny_run(tmp_path / "run", "./nowhere"))
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    with pytest.raises(UserError, match="never overwritten"):
        train_network(tiny_run(tmp_path / "run", data))
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.slow
def test_a_rate_that_explodes_is_named(data, tmp_path):
    config = tiny_run(tmp_path / "run", data, variant="paper", learning_rate=1e6,
                  clip_norm=0.0, warmup_epochs=0.0, epochs=3)  # fmt: skip
    with pytest.raises(UserError, match="the loss must stay finite"):
        train_network(config)


def test_chance_is_the_cross_entropy_of_the_frequencies():
    assert chance_level((5, 5), 2, 0.0) == pytest.approx(np.log(2))
    expected = -0.9 * np.log(0.9) - 0.1 * np.log(0.1)
    assert chance_level((9, 1, 0), 3, 0.0) == pytest.approx(expected)
    smoothed = -0.9 * np.log(0.86) - 0.1 * np.log(0.14)  # 0.9 * p + 0.1 / 2
    assert chance_level((9, 1), 2, 0.1) == pytest.approx(smoothed)
    assert chance_level(None, 10, 0.1) == pytest.approx(np.log(10))
    assert chance_level((5, 5), 2, 0.0, none=1 / 3) == pytest.approx(np.log(3))
    smoothed = -np.log(0.9 * 2 / 3 / 2 + 0.1 / 3)
    assert chance_level(None, 2, 0.1, none=1 / 3) == pytest.approx(smoothed)


def test_a_folder_that_another_process_trains_in_is_left_alone(data, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    with (
        RunFolder(run).lock(),
        pytest.raises(UserError, match="one process at a time may train in"),
    ):
        train_network(tiny_run(run, data, resume=True))
    assert not RunFolder(run).config.exists()


def test_resuming_needs_a_folder(data):
    with pytest.raises(UserError, match=r"--resume requires --run-folder\."):
        train_network(tiny_run(None, data, resume=True))


def test_a_step_that_cannot_fit_into_memory_is_refused_before_the_folder_is_made(
    data, tmp_path
):
    config = tiny_run(tmp_path / "run", data, image_size=(8192,), batch_size=10**5)
    with pytest.raises(
        UserError, match=r"step of 100000 images .* at least [\d,.]+ GB"
    ):
        train_network(config)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("label", ["caf\udce9", "a\nb", "a\x85b"])
def test_class_names_that_cannot_be_exported_are_refused_first(tmp_path, label):
    data = write_photos(tmp_path / "data", {"a": 2, label: 2})
    with pytest.raises(UserError, match="must be one line of UTF-8 text; received"):
        train_network(tiny_run(tmp_path / "run", data))
    assert not (tmp_path / "run").exists()


def test_a_run_folder_that_is_not_utf_8_is_refused_first(data, tmp_path):
    with pytest.raises(UserError, match="the path of a run folder must be text"):
        train_network(tiny_run(tmp_path / "caf\udce9", data))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_class_without_validation_images_is_named_first(tmp_path, capsys):
    write_photos(tmp_path / "data" / "train", {"a": 2, "b": 2, "c": 2})
    write_photos(tmp_path / "data" / "val", {"b": 2})
    train_network(tiny_run(tmp_path / "run", tmp_path / "data"))
    shown = capsys.readouterr().err
    assert "no validation images of 2 of the 3 classes" in shown
    assert ": a, c\n" in shown


@pytest.mark.slow
def test_it_trains_on_a_folder_whose_name_is_not_utf_8(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = write_photos(tmp_path / "caf\udce9", {"\u732b": 5, "$b": 5})
    run = train_network(tiny_run(None, data))
    assert run.job.folder.path.name.startswith("caf-bn-")
    assert run.classifier.labels == ("$b", "\u732b")
