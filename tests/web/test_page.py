"""The exported page in headless Chromium; skipped where npm or Chromium is missing."""

import csv
import json
import shutil
from dataclasses import replace
from itertools import pairwise
from urllib.parse import urlsplit

import pytest

from googlenet_keras.artifacts.artifact import Artifact
from googlenet_keras.calibration import Calibration
from googlenet_keras.classifier import Classifier
from googlenet_keras.predictor import predict
from googlenet_keras.webpage.builder import NODE_REQUIREMENT, can_build, node_version

CHROMIUM = any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and shutil.which("npm") and can_build(node_version())),
        reason=f"the page needs npm, {NODE_REQUIREMENT} and Chromium to be tried: "
        "apt-get install chromium nodejs npm",
    ),
]


def test_the_report_has_the_page(exported):
    row = json.loads((exported / "export" / "report.json").read_text())["web"]
    assert row["passed"]
    assert row["first_load_megabytes"] < 20
    assert row["runtime"] == {"@litertjs/core": "2.5.2", "license": "Apache-2.0"}
    names = {path.name for path in (exported / "export" / "web").iterdir()}
    assert {"index.html", "sw.js", "labels.txt", "int8.tflite", "float32.tflite",
            "model.json", "manifest.webmanifest", "litert"} <= names  # fmt: skip


@pytest.mark.parametrize("scenario", [
    "photo", "handed", "many", "calibrated", "camera", "refused", "insecure",
    "troubles", "offline", "looks", "keyboard", "selftest", "gpu", "updated",
])  # fmt: skip
def test_the_page_says_no_error_and_asks_no_other_host(found, scenario):
    seen = found[scenario]
    assert "failure" not in seen, seen["failure"]
    assert seen["errors"] == []
    hosts = {urlsplit(url).hostname for url in seen["requests"]
             if not url.startswith(("blob:", "data:"))}  # fmt: skip
    assert hosts <= {"127.0.0.1"}


def test_a_photo_with_both_files_and_a_map(found):
    photo = found["photo"]
    assert len(photo["int8"]) == 5
    assert photo["isolated"]
    assert photo["runtime"].startswith("float32 computes on WebAssembly, ")
    assert photo["latency"].count(" ms, ") == 2
    assert "agree" in photo["latency"]
    assert f"where it sees {photo['int8'][0]}" in photo["map"]
    assert photo["bytes"] < 20e6
    assert photo["milliseconds"] < 15_000  # of a machine that does other things too


def test_the_drop_box_begins_with_a_sentence(found):
    assert found["photo"]["hint"] == "Choose photos, drop them here, or paste one."


def test_the_photo_is_shown_as_the_network_sees_it_black_where_transparent(found):
    # the last photo has stripes of red, of a hidden green and of half a blue
    assert found["many"]["shown"] == [
        [255, 0, 0, 255],
        [0, 0, 0, 255],
        [0, 0, 128, 255],
    ]


def test_photos_by_drop_and_by_clipboard(found):
    handed = found["handed"]
    assert (handed["paste"], handed["drop"]) == ("handed.jpg", "handed.jpg")
    assert handed["button"] == "pasted 3"


def rows(found, format, file="csv"):
    with found[file].open(newline="", encoding="utf-8-sig") as file:
        return {row["photo"]: row for row in csv.DictReader(file)
                if row["file"] == format}  # fmt: skip


def apart(row, expected):
    """The largest difference of the five probabilities in a line of the CSV file."""
    return max(
        abs(float(row[f"probability_{i}"]) - expected[row[f"label_{i}"]])
        for i in range(1, 6)
    )


# libjpeg's smaller decoding is no plain mean of pixels
ALLOWED = {"halved.jpg": 0.01, "eighth.jpg": 0.005}


def test_the_page_answers_as_predict_does(found, exported, photos):
    folder, names = photos
    lines = rows(found, "float32")
    predictions = predict(
        Classifier.load(exported), [folder / name for name in names], top=10
    )
    for prediction in predictions:
        name = prediction.path.name
        allowed = ALLOWED.get(name, 2e-5)
        assert apart(lines[name], dict(prediction.top)) < allowed, name


def test_int8_in_the_page_is_int8_in_python(found, exported, photos):
    folder, names = photos
    proven = Artifact.load(exported / "export" / "int8.tflite")
    pngs = [folder / name for name in names if name.endswith(".png")]
    for prediction in predict(proven, pngs, top=10):
        line = rows(found, "int8")[prediction.path.name]
        # each machine's int8 kernels round in their own way, and a network of two
        # epochs is unsure of what it is shown
        assert apart(line, dict(prediction.top)) <= 16 / 256


def test_the_csv_file_has_the_prediction_sets(found, exported, photos):
    folder, names = photos
    proven = Artifact.load(exported / "export" / "float32.tflite")
    least = proven.calibration.least_probability(90)
    lines, compared = rows(found, "float32"), 0
    for prediction in proven.predict([folder / name for name in names], top=10):
        line = lines[prediction.path.name]
        assert line["refused"] == ""
        if min(abs(p - least) for _, p in prediction.top) > 0.01:
            assert set(line["labels_90"].split("|")) == set(prediction.labels_90)
            compared += 1
    assert compared > 10


def answer(exported, name, case):
    """What `predict` answers with the file `name`."""
    calibration = Calibration.from_json(case["calibration"])
    model = Artifact.load(exported / "export" / f"{name}.tflite")
    (prediction,) = replace(model, calibration=calibration).predict(case["photo"])
    return prediction.answer


@pytest.mark.parametrize(("kind", "parts"), [
    ("one", 1), ("two", 2), ("ten", 6), ("refused", 1),
])  # fmt: skip
def test_the_page_says_in_words_what_predict_does(
    found, exported, calibrated, kind, parts
):
    seen, case = found["calibrated"][kind], calibrated[kind]
    assert seen["float32"]["answer"] == answer(exported, "float32", case)
    if kind != "ten":  # each machine's int8 kernels round in their own way
        assert sorted(seen["int8"]["answer"].split(" or ")) == sorted(
            answer(exported, "int8", case).split(" or ")
        )
    for told in (seen["int8"], seen["float32"]):
        assert told["visible"]
        assert len(told["answer"].split(" or ")) == parts
        assert told["photo"].startswith(f"the photo: {told['answer']}; ")
        assert told["status"] == f"Done: {told['answer']}."


def test_an_answer_of_many_labels_ends_with_how_many_more(found):
    assert found["calibrated"]["ten"]["float32"]["answer"].endswith(" or 5 more")


def test_what_is_refused_is_refused_in_the_table_and_the_csv_file(found, calibrated):
    seen = found["calibrated"]
    assert seen["violations"] == []
    assert seen["refused"]["float32"]["answer"] == "none of these"
    assert len(seen["rows"]) == 2
    assert all("none of these" in row for row in seen["rows"])
    lines = rows(found, "float32", "refused_csv")
    assert [line["refused"] for line in lines.values()] == ["yes", "yes"]
    assert {line["labels_90"].count("|") for line in lines.values()} >= {1}


def test_without_calibration_the_page_says_nothing_in_words(found):
    for told in found["calibrated"]["none"].values():
        assert not told["visible"]
        assert told["status"] == "Done."
        first = told["photo"].removeprefix("the photo: ").split("; ")[0]
        assert first.endswith(" %")


def test_broken_photos_are_named_and_the_others_answered(found, photos):
    with found["csv"].open(newline="", encoding="utf-8-sig") as file:
        errors = {row["photo"]: row["error"] for row in csv.DictReader(file)
                  if row["error"]}  # fmt: skip
    # a spreadsheet would compute what begins with "="
    assert set(errors) == {"half.jpg", "'=text.jpg", "empty.png"}
    assert errors["half.jpg"].startswith("half.jpg is broken or no photo")
    assert len(found["many"]["rows"]) == len(photos[1]) + 3


def test_the_camera_runs_stops_and_may_be_refused(found):
    camera, refused = found["camera"], found["refused"]
    assert "frames/s" in camera["latency"]
    assert len(camera["bars"]) == 5
    assert camera["stopped"]
    assert camera["left"] == "Camera"  # a photo was chosen while it ran
    assert camera["title"] == camera["chosen"]
    assert refused["early"] == "halved.jpg"
    assert refused["trouble"].startswith("The camera was refused")
    assert not refused["after"]


def changes(labels):
    return sum(a != b for a, b in pairwise(labels))


def test_the_camera_shows_a_steady_label_and_the_one_of_the_frame(found):
    watched = found["camera"]["watched"]
    assert changes(watched["raw"]) == 12
    assert len(set(watched["raw"])) == 2
    assert set(watched["steady"]) <= set(watched["raw"])
    assert changes(watched["steady"]) <= 4  # the first frame may be an odd one
    firsts = [text.split(" or ")[0] for text in watched["answers"]]
    assert firsts == watched["steady"]
    assert found["camera"]["violations"] == []


def test_the_camera_goes_on_with_another_file_and_another_camera(found):
    assert len(found["camera"]["again"]) == 5


def test_without_https_all_but_the_camera_works(found):
    assert found["insecure"]["trouble"].startswith("A camera needs https or localhost")
    assert found["insecure"]["int8"] == found["photo"]["int8"]


def test_an_old_browser_and_little_memory_are_told(found):
    assert "too old" in found["troubles"]["old"]
    assert "too little memory" in found["troubles"]["memory"]


def test_a_lost_file_is_told_and_nothing_is_said_to_go_on(found):
    assert "float32.tflite cannot be fetched" in found["troubles"]["lost"]
    assert found["troubles"]["status"].strip() == ""


def test_it_works_when_the_server_is_gone(found):
    assert found["offline"]["int8"] == found["photo"]["int8"]
    assert "agree" in found["offline"]["latency"]


def test_it_fits_a_phone_in_light_and_dark_for_everybody(found):
    light, dark = found["looks"]["light"], found["looks"]["dark"]
    for look in (light, dark):
        assert look["overflow"] <= 0
        assert look["violations"] == []
        assert [line.split("\t")[0] for line in look["timings"]] == ["int8", "float32"]
    assert light["back"] != dark["back"]


def test_the_keyboard_reaches_everything_and_it_can_be_installed(found):
    reached = found["keyboard"]["reached"]
    assert reached[:4] == ["files", "camera", "paste", "int8"]
    assert found["keyboard"]["runtime"].startswith("float32")
    # Chromium installs nothing from the private window that a test has
    assert found["keyboard"]["installability"] == ["in-incognito"]


def test_the_self_test_passes_and_names_mistakes(found):
    seen, passed = found["selftest"], "passed (labels, crop, channel order, scaling)."
    assert seen["int8"] == f"int8: {passed}"
    assert seen["float32"] == f"float32: {passed}"
    assert seen["labels"] == "int8: labels: line 1 is 9, must be 0."
    assert seen["scaling"].startswith("int8: scaling: the pixels are 0..1")
    assert seen["crop"].startswith("int8: crop: the whole photograph is stretched")
    assert seen["channels"].startswith("int8: channel order: the pixels are BGR")


def test_float32_computes_on_a_gpu_where_there_is_one(found):
    gpu = found["gpu"]
    kind = "WebGPU" if gpu["adapter"] else "WebAssembly"
    assert gpu["runtime"].startswith(f"float32 computes on {kind}")
    assert gpu["labels"][0] == found["photo"]["float32"][0]


def test_serve_says_where_and_how_to_come_onto_a_phone(found):
    assert "adb reverse" in found["printed"]
    assert "https" in found["printed"]
    assert found["status"] == 0
