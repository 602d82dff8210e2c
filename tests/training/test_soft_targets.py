"""A teacher's answers: to the student's crops, computed once, cached exactly."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from making import classifier, small_run, write_photos

from googlenet_keras.data.sources import open_dataset
from googlenet_keras.errors import DiskError, UserError
from googlenet_keras.training.input_pipeline import training_batches
from googlenet_keras.training.soft_targets import SoftTargets, contents, mean_of
from googlenet_keras.training.teachers import Teacher

NAMES, IMAGES = ("a", "b"), 19
EVERYTHING_RANDOM = {  # that an image has before it is mixed with another
    **{"crop_area": 0.3, "mirror": "on", "color_jitter": 0.3},
    **{"random_interpolation": True, "rand_augment": 0.5, "random_erasing": 0.5},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """19 training images of two classes, of which batches of 4 leave out three."""
    return write_photos(tmp_path_factory.mktemp("data") / "d", {"a": 11, "b": 12})


@pytest.fixture(scope="module")
def dataset(data):
    return open_dataset(str(data))


@pytest.fixture(scope="module")
def teacher_folder(tmp_path_factory):
    """A saved classifier for 64 pixels whose first class is `b`."""
    folder = tmp_path_factory.mktemp("teacher") / "saved"
    replace(classifier("bn", classes=2), labels=NAMES[::-1]).save(folder)
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "googlenet_keras" / "teachers"


def resolved(data, **options):
    return small_run(None, data, **({"image_size": (32,)} | options)).resolve(
        "photos", precision="float32"
    )


def targets_of(data, dataset, folder, **options):
    config = resolved(data, **options)
    teacher = Teacher.open(folder, dataset.class_names)
    return SoftTargets.from_config(config, dataset, teacher)


def no_stop():
    pass


@pytest.mark.slow
def test_a_teacher_of_the_same_size_sees_the_very_crops(data, dataset, teacher_folder):
    config = resolved(data, image_size=(64,), epochs=2, **EVERYTHING_RANDOM)
    teacher = Teacher.open(teacher_folder, NAMES)
    seen = SoftTargets.from_config(config, dataset, teacher).pipeline
    shown = [len(images) for images in seen.crops([0, 1], 15)]
    assert shown == [15, 4, 15, 4]
    crops = np.concatenate(list(seen.crops([1], 15)))
    by_image = {image.tobytes(): number for number, image in enumerate(crops)}
    assert len(by_image) == IMAGES  # no two are alike
    found = []
    for images, _ in training_batches(config, dataset, ("main",), start=(1, 0)):
        found += [by_image[image.tobytes()] for image in images.numpy()]
    order = [int(i) for i, *_ in dataset.train.shuffled(config.seed, tf.constant(1))]
    assert found == order[:16]  # four batches of four


@pytest.mark.slow
def test_a_larger_teacher_sees_the_same_window(data, dataset, teacher_folder):
    """Its crops, averaged down to the student's size, are nearly the student's."""
    options = {**EVERYTHING_RANDOM, "random_interpolation": False, "rand_augment": 0.0}
    config = resolved(data, **(options | {"random_erasing": 0.0}))
    teacher = Teacher.open(teacher_folder, NAMES)
    large = SoftTargets.from_config(config, dataset, teacher).pipeline
    small = SoftTargets.from_config(
        config, dataset, replace(teacher, size=(32, 32))
    ).pipeline
    for epoch in range(2):
        big, own, other = (
            next(iter(x.crops([e], IMAGES))).numpy().astype(float)
            for x, e in ((large, epoch), (small, epoch), (small, epoch + 1))
        )
        reduced = big.reshape(IMAGES, 32, 2, 32, 2, 3).mean(axis=(2, 4))

        def distance(images, others):
            return np.abs(images - others).mean(axis=(1, 2, 3))

        assert (distance(reduced, own) < 0.4 * distance(reduced, other)).all()


@pytest.mark.slow
def test_answers_are_the_teachers_in_the_order_of_images_and_classes(
    data, dataset, teacher_folder, cache
):
    targets = targets_of(data, dataset, teacher_folder)
    targets.prepare(range(2), no_stop)
    network = classifier("bn", classes=2).network
    for epoch in range(2):
        images = next(iter(targets.pipeline.crops([epoch], IMAGES)))
        logits = network.predict_on_batch(images)["main"]
        expected = tf.nn.softmax(logits).numpy()[:, ::-1]  # b comes first there
        found = targets.read(tf.constant(epoch, tf.int64))
        assert found.dtype == tf.float16
        np.testing.assert_allclose(found, expected, atol=6e-4)  # float16: 2 ** -11
        assert np.ptp(expected[:, 0]) > 0.01
    mean = mean_of([targets, replace(targets, teacher=targets.teacher)])
    np.testing.assert_array_equal(mean(tf.constant(1)), tf.cast(found, tf.float32))
    assert mean_of([]) is None


def times(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))
            if path.is_file()}  # fmt: skip


DAMAGES = {
    0: lambda data: data[:-1],
    1: lambda data: b"",
    2: lambda data: bytes([data[0] ^ 1]) + data[1:],
    3: lambda data: data + b"\0",
}


@pytest.mark.slow
def test_what_is_cached_and_whole_is_not_computed_again(
    data, dataset, teacher_folder, cache, capsys
):
    targets = targets_of(data, dataset, teacher_folder)
    targets.prepare(range(5), no_stop)
    said = capsys.readouterr().out
    assert "answers of 5 epochs, 0.0 MB, 0 of them from the cache" in said
    assert "teacher's answers: epoch 5 of 5" in said
    before = times(cache)
    assert [path.name for path in before] == ["0", "1", "2", "3", "4"]
    assert {path.stat().st_size for path in before} == {IMAGES * 2 * 2 + 32}
    whole = {path: path.read_bytes() for path in before}
    targets.check(range(5), ValueError())
    for number, damage in DAMAGES.items():
        file = targets.folder / str(number)
        file.write_bytes(damage(whole[file]))
        with pytest.raises(DiskError, match="has been removed or changed; they are"):
            targets.check([number], ValueError())
    again = targets_of(data, dataset, teacher_folder)
    again.prepare(range(6), no_stop)  # as of a longer run
    said = capsys.readouterr().out
    assert "answers of 6 epochs, 0.0 MB, 1 of them from the cache" in said
    assert "teacher's answers: epoch 5 of 5" in said
    after = times(cache)
    assert len(after) == 6
    assert [path.name for path in before if after[path] == before[path]] == ["4"]
    assert {path: path.read_bytes() for path in before} == whole


@pytest.mark.parametrize(
    ("option", "value", "is_other"),
    [
        *(("seed", 1, True), ("crop_area", 0.5, True), ("crop_aspect", 2.0, True)),
        *(("mirror", "off", True), ("color_jitter", 0.5, True)),
        *(("rand_augment", 0.5, True), ("random_erasing", 0.5, True)),
        *(("random_interpolation", True, True), ("width", 0.5, False)),
        *(("image_size", (96,), False), ("epochs", 9, False), ("mixup", 0.5, False)),
        *(("batch_size", 8, False), ("cache", "memory", False), ("cutmix", 1, False)),
        *(("teacher_weight", 0.5, False), ("class_weights", "balanced", False)),
    ],
)
def test_what_the_answers_depend_on(
    data, dataset, teacher_folder, option, value, is_other
):
    teacher = {"teacher": (teacher_folder,)}
    known = targets_of(data, dataset, teacher_folder, **teacher)
    changed = targets_of(data, dataset, teacher_folder, **teacher, **{option: value})
    assert (known.folder != changed.folder) == is_other


def test_another_teacher_precision_or_image_has_answers_of_its_own(
    data, dataset, teacher_folder, tmp_path
):
    known = targets_of(data, dataset, teacher_folder)
    others = [
        replace(known, precision="mixed_bfloat16"),
        replace(known, teacher=replace(known.teacher, digest="other")),
        replace(known, teacher=replace(known.teacher, classes=(0, 1))),
    ]
    photos = write_photos(tmp_path / "d", {"a": 11, "b": 12})
    copied = targets_of(data, open_dataset(str(photos)), teacher_folder)
    assert copied.folder == known.folder  # wherever the images are
    image = photos / "a" / "3.jpg"
    image.write_bytes((photos / "a" / "4.jpg").read_bytes())
    others.append(targets_of(data, open_dataset(str(photos)), teacher_folder))
    folders = {known.folder, *(other.folder for other in others)}
    assert len(folders) == 1 + len(others)


@pytest.mark.slow
def test_images_that_have_no_fingerprint_are_known_by_their_bytes():
    digits = open_dataset("digits").test
    assert not digits.fingerprint
    references = digits.listed[1]
    swapped = tf.concat([references[1:2], references[:1], references[2:]], 0)

    def listed(references):
        split = replace(digits, listed=(digits.listed[0], references))
        order = tf.data.Dataset.range(digits.count)
        return replace(split, in_order=lambda: order.map(
            lambda i: (i, digits.listed[0][i], references[i])))  # fmt: skip

    assert contents(digits) == contents(listed(references))
    assert contents(digits) != contents(listed(swapped))


@pytest.mark.slow
def test_answers_that_are_not_finite_are_refused(data, dataset, cache, tmp_path):
    broken = replace(classifier("bn", classes=2), labels=NAMES)
    main = broken.network.get_layer("main")
    main.set_weights([np.full_like(x, 1e38) for x in main.get_weights()])
    broken.save(tmp_path / "broken")
    targets = targets_of(data, dataset, tmp_path / "broken")
    with pytest.raises(UserError, match=r"answers must be finite; those of .*broken"):
        targets.prepare([0], no_stop)
    assert not times(cache)
