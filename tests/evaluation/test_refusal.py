import re
from dataclasses import replace

import numpy as np
import pytest
from making import classifier as make_classifier
from making import write_photos

from googlenet_keras.cli import main
from googlenet_keras.data.none_pictures import open_none_folder
from googlenet_keras.data.pipeline import UnreadableImageError
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.errors import UserError
from googlenet_keras.evaluation.evaluate import evaluate
from googlenet_keras.evaluation.metrics import score_images
from googlenet_keras.evaluation.refusal import (
    refusal_figures,
    refusal_threshold,
    score_pictures,
)
from googlenet_keras.evaluation.tables import print_refusal
from googlenet_keras.files import read_json


@pytest.fixture(scope="module")
def network():
    return replace(make_classifier("bn", classes=2), labels=("a", "b"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The data set's folder, and that of the none pictures beside it."""
    root = tmp_path_factory.mktemp("data")
    write_photos(root / "photos" / "validation", {"a": 11, "b": 10})
    write_photos(root / "photos" / "test", {"a": 2, "b": 3})
    write_photos(root / "none", {"x": 3, "y": 2, "z": 2})
    return root


def test_the_figures_of_four_images_and_four_pictures():
    """Three of the four pictures are below 0.6, and so is one wrong image."""
    confidence = np.array([0.9, 0.8, 0.7, 0.55])
    logs = np.log(np.stack([confidence, 1 - confidence], axis=1))
    known = score_images(logs, np.array([0, 0, 1, 1]))
    found = refusal_figures(known, np.array([0.5, 0.52, 0.59, 0.75]), 0.6, 2)
    assert found["threshold"] == 0.6
    assert (found["images"], found["none_pictures"]) == (4, 4)
    assert (found["refused"], found["none_refused"]) == (0.25, 0.75)
    # of 16 pairs, the image is surer in 4 + 4 + 3 + 2
    assert found["auroc"] == pytest.approx(13 / 16)
    assert found["accepted"]["top1"] == pytest.approx(2 / 3)


def test_the_threshold_itself_is_not_refused_and_all_may_be(capsys):
    logs = np.log(np.array([[0.6, 0.4], [0.6, 0.4]]))
    known = score_images(logs, np.array([0, 1]))
    threshold = float(known.confidence[0])
    at = refusal_figures(known, known.confidence, threshold, 2)
    assert (at["refused"], at["none_refused"], at["auroc"]) == (0, 0, 0.5)
    above = refusal_figures(known, known.confidence, 0.61, 2)
    assert (above["refused"], above["accepted"]) == (1, None)
    print_refusal(above, {"top1": 0.5}, "validation, crops 1")
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["validation,", "crops", "1", "2", "100.0%", "0.5000", "-"] in shown
    assert ["none", "of", "the", "classes", "2", "100.0%", "-", "-"] in shown


@pytest.mark.slow
def test_a_picture_scores_its_largest_probability(network, data):
    pictures = open_none_folder(data / "none", "digits")
    found = score_pictures(network, pictures)
    answers = network.predict(pictures.files, top=1)
    expected = [answer.top[0][1] for answer in answers]
    assert found.shape == (7,)
    assert len(set(np.round(found, 4))) > 1  # or pictures could be mixed up
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    turned = replace(network, labels=("b", "a"))  # the same outputs, other names
    mean = score_pictures([network, turned], pictures)
    assert (mean < 0.5 + 1e-6).all()
    crops = score_pictures(network, pictures, "10")
    assert not np.allclose(crops, found, rtol=1e-3)
    assert (crops <= 1).all()


@pytest.mark.slow
def test_the_threshold_accepts_95_percent_of_images_like_those_of_validation(
    network, data
):
    dataset = open_dataset(str(data / "photos"), divide=False)
    found = evaluate(network, dataset)
    scores = np.sort(found.main.confidence)
    # of 22 images, the new one included, 1 may be below
    assert refusal_threshold(found) == pytest.approx(scores[0], rel=1e-4)
    test = evaluate(network, dataset, "test")
    assert refusal_threshold(test) == pytest.approx(scores[0], rel=1e-4)
    alone = replace(test, dataset=replace(dataset, validation=dataset.train))
    with pytest.raises(UserError, match=r"photos has none\. Add --threshold"):
        refusal_threshold(alone)


@pytest.mark.slow
def test_a_picture_that_is_gone_is_named(network, photos):
    pictures = open_none_folder(str(photos(x=2)), "digits")
    pictures.files[1].unlink()
    with pytest.raises(UnreadableImageError, match=f"{pictures.files[1]} is gone"):
        score_pictures(network, pictures)


@pytest.mark.slow
def test_evaluate_prints_and_writes_what_is_refused(network, data, tmp_path, capsys):
    network.save(tmp_path / "classifier")
    call = ["evaluate", str(tmp_path / "classifier"), "--dataset", f"{data / 'photos'}"]
    path = tmp_path / "figures.json"
    page = tmp_path / "report.html"
    none = ["--none", str(data / "none"), "--json", str(path)]
    main([*call, *none, "--report", str(page)])
    shown, report = capsys.readouterr().out, read_json(path)
    refusal = report["refusal"]
    assert (refusal["images"], refusal["none_pictures"]) == (21, 7)
    assert refusal["refused"] == 0  # the threshold is the smallest of the 21
    assert f"AUROC {refusal['auroc']:.3f}" in shown
    assert f"{refusal['none_refused']:.1%}" in shown
    text = page.read_text()
    section = text[text.index('<h2 id="refusal">') :].split("</section>")[0]
    cells = re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", section)
    assert [*cells[4:7], cells[7:10]] == [
        *("21 validation images", "21", "0.0 %"),
        ["none of the classes", "7", f"{100 * refusal['none_refused']:.1f} %"],
    ]
    assert f"{100 * refusal['auroc']:.1f} % of the pairs" in section
    main([*call, *none, "--split", "test", "--threshold", "1"])
    refusal = read_json(path)["refusal"]
    assert (refusal["images"], refusal["threshold"]) == (5, 1)
    assert (refusal["refused"], refusal["none_refused"]) == (1, 1)
    main([*call, "--json", str(path), "--report", str(page)])
    assert read_json(path)["refusal"] is None
    assert "None of the classes" not in page.read_text()
    for flags, message in (
        (["--threshold", "0.5"], "--threshold is for --none; add --none FOLDER"),
        ([*none, "--threshold", "1.5"], "a probability, 0 to 1; received 1.5"),
        (["--none", str(data / "photos" / "test")], "of a class and of none"),
        (["--none", str(tmp_path / "x")], "--none needs a folder"),
    ):
        with pytest.raises(UserError, match=message):
            main([*call, *flags])
