import numpy as np
import pytest
from making import epoch_line
from matplotlib.image import imread

from googlenet_keras.classifier import Classifier
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.evaluation import plots
from googlenet_keras.evaluation.evaluate import evaluate


def test_label_names_are_text_not_formulas(tmp_path):
    labels = ("$x^2", "<b>", r"\alpha")
    figure = plots.confusion_matrix(np.eye(3, dtype=int), labels, "3 images")
    figure.savefig(tmp_path / "c.png")
    assert imread(tmp_path / "c.png").shape[0] > 100


@pytest.mark.parametrize(
    ("sizes", "places"),
    [([[32, 32], [32, 32], [48, 40], [64, 64]], [2.5, 3.5]), ([None] * 4, [])],
)
def test_curves_have_a_line_where_the_image_size_changes(sizes, places):
    epochs = [
        epoch_line(number) | ({"image_size": size} if size else {})
        for number, size in enumerate(sizes, start=1)
    ]
    for axes in plots.curves(epochs).axes:
        vertical = [
            x[0] for x in (line.get_xdata() for line in axes.lines)
            if len(x) == 2 and x[0] == x[1]
        ]  # fmt: skip
        assert vertical == places


def test_many_classes_are_drawn_without_names(tmp_path):
    labels = [f"class {i}" for i in range(300)]
    figure = plots.confusion_matrix(np.eye(300, dtype=int), labels, "300 images")
    figure.savefig(tmp_path / "c.png")
    assert imread(tmp_path / "c.png").shape[0] < 3000


@pytest.mark.slow
def test_predictions_show_mistakes_first(run_folder, tmp_path, monkeypatch):
    found = evaluate(Classifier.load(run_folder), open_dataset("digits"))
    shown = []
    images = plots.images_at
    monkeypatch.setattr(
        plots,
        "images_at",
        lambda found, wanted: shown.extend(wanted) or images(found, wanted),
    )
    plots.predictions(found, tmp_path / "p.png")
    wrong = found.heads["main"].rank[shown] > 0
    assert len(shown) == 24
    assert wrong.tolist() == sorted(wrong, reverse=True)
    confidence = found.heads["main"].confidence[shown][wrong]
    assert confidence.tolist() == pytest.approx(sorted(confidence))
