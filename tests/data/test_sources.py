import numpy as np
import pytest

from googlenet_keras.data.decode import decode
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.errors import UserError


def test_digits_are_all_there_once():
    digits = open_dataset("digits")
    counts = [digits.split(name).count for name in ("train", "validation", "test")]
    assert counts == [1197, 300, 300]
    seen = {r.numpy() for s in (digits.train, digits.validation, digits.test)
            for _, _, r in s.in_order()}  # fmt: skip
    assert len(seen) == 1797
    assert digits.class_names == tuple("0123456789")
    assert min(digits.validation.class_counts) >= 28


def test_a_digit_keeps_its_pixels():
    from sklearn.datasets import load_digits

    digits = open_dataset("digits")
    raw = load_digits()
    pixels = np.rint(raw.images * 255 / 16).astype(np.uint8)
    known = {p.tobytes(): t for p, t in zip(pixels, raw.target, strict=True)}
    for _, label, reference in digits.test.in_order().take(20):
        decoded = decode(digits.test.load(reference)).numpy()[..., 0]
        assert known[decoded.tobytes()] == label


def test_orders_are_complete_and_decided_by_seed_and_epoch():
    split = open_dataset("digits").validation

    def order(seed, epoch):
        return [int(i) for i, _, _ in split.shuffled(seed, epoch)]

    assert sorted(order(0, 0)) == list(range(300))
    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1) != order(1, 1)
    labels = {int(i): int(label) for i, label, _ in split.in_order()}
    assert all(labels[int(i)] == label for i, label, _ in split.shuffled(3, 4))


def test_folders_that_do_not_exist():
    for name in ("", "~no_such_user/x", "./" + "x" * 300):
        with pytest.raises(UserError, match="no such folder"):
            open_dataset(name)
