import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from making import write_photos

from googlenet_keras.classifier import Classifier
from googlenet_keras.cli import main
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.evaluation.compare import Comparison
from googlenet_keras.evaluation.evaluate import evaluate
from googlenet_keras.evaluation.report import write_report

HOSTILE = "<script>alert(1)</script>"
FILE = """it's "quoted" <img src=x onerror=alert(2)>.jpg"""
VOID = {"meta", "link", "img", "br", "path", "use", "image"}


class Page(HTMLParser):
    """What a browser would make of a page: elements, their attributes, their text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements, self.text, self._open = [], [], []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def named(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def check_self_contained(page: Page) -> None:
    """No script, nothing fetched, every picture described, every table headed."""
    assert not page.named("script")
    for _, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href"):
            address = attributes.get(name) or "#"
            assert address.startswith(("data:", "#")), address
    assert all(image["alt"] for image in page.named("img"))
    assert all(svg["aria-label"] for svg in page.named("svg"))
    assert len(page.named("h1")) == 1
    assert {x["scope"] for x in page.named("th")} <= {"col", "row"}


def test_every_run_has_a_report(run_folder):
    text = (run_folder / "report.html").read_text()
    page = Page(text)
    check_self_contained(page)
    assert "GoogLeNet (bn) on digits" in page.text
    result = json.loads((run_folder / "result.json").read_text())
    for split in ("validation", "test"):
        assert f"{result[split]['main']['top1']:.4f}" in text
    command = json.loads((run_folder / "environment.json").read_text())["command"]
    assert command in "".join(page.text)
    identifiers = [x["id"] for _, x in page.elements if "id" in x]
    assert len(set(identifiers)) == len(identifiers)
    assert len(page.named("svg")) == 3
    assert len(text) < 3e6


@pytest.mark.slow
def test_labels_and_file_names_stay_text(run_folder, tmp_path):
    folder = write_photos(tmp_path / "photos", {"1": 4, "7": 4})
    (folder / "1" / "0.jpg").rename(folder / "1" / FILE)
    data = replace(open_dataset(str(folder)), class_names=(HOSTILE, "7"))
    classifier = Classifier.load(run_folder)
    classifier = replace(classifier, labels=(HOSTILE, *classifier.labels[1:]))
    data = replace(data, validation=data.train, name=HOSTILE)
    found = evaluate(classifier, data)
    path = tmp_path / "report.html"
    figures = {"v": found.figures()}
    write_report(path, found, figures, (HOSTILE,))
    page = Page(path.read_text())
    check_self_contained(page)
    assert HOSTILE in page.text
    assert f"1/{FILE}" in page.text
    assert any(FILE in image["alt"] for image in page.named("img"))


def test_control_characters_are_shown_escaped_on_pages_and_in_plots(tmp_path):
    hostile, escaped = "a\x1b[31m\u202eb\udce9\n", r"a\x1b[31m\u202eb\xe9\n"
    epoch = {"epoch": 1, "validation": {"main": {"loss": 1.0, "top1": 0.5}}}
    figures = {"images": 1, "main": {}}
    results = {hostile: ("test", figures), "other": ("test", figures)}
    options = {"dataset": [hostile, "digits"]}
    comparison = Comparison(results, options, {hostile: [epoch], "other": [epoch]})
    comparison.write(tmp_path / "c.html")
    text = (tmp_path / "c.html").read_text()
    assert text.count(escaped) >= 4  # in both tables and in the curves
    assert not re.search("[\x1b\u202e]", text)


@pytest.mark.slow
def test_an_exported_file_is_reported_without_what_it_hides(bundle, tmp_path, capsys):
    path = tmp_path / "report.html"
    command = ["evaluate", str(bundle / "int8.tflite"), "--report", str(path)]
    main([*command, "--crops", "phone"])
    assert "the report is" in capsys.readouterr().out
    page = Page(path.read_text())
    check_self_contained(page)
    assert "Exported GoogLeNet on digits" in page.text
    assert "What the first layer sees" not in page.text
    assert "Exported files" in page.text  # the run's own table


@pytest.mark.slow
def test_an_ensemble_is_called_one_and_shows_no_maps(run_folder, tmp_path):
    path, twice = tmp_path / "r.html", [str(run_folder), str(run_folder / "classifier")]
    data = str(write_photos(tmp_path / "photos", {"1": 4, "7": 4}))
    options = ("--dataset", data, "--crops", "10", "phone", "--report", str(path))
    main(["evaluate", *twice, *options])
    page = Page(path.read_text())
    check_self_contained(page)
    assert "Ensemble of 2 on photos" in page.text
    assert all(name in page.text for name in twice)
    assert not any("was seen in" in image["alt"] for image in page.named("img"))
    assert 'crops "10"' in "".join(page.text)
    assert "Table 1" not in "".join(page.text)


@pytest.mark.slow
def test_other_data_has_no_training_counts_and_a_format_may_have_failed(
    run_folder, tmp_path
):
    run = shutil.copytree(run_folder, tmp_path / "run")
    row = {"file": "int8.tflite", "passed": False, "reason": "its process <died>"}
    keras = {"megabytes": 1.0, "milliseconds": {"1": {"median": 2.0}}, "top1": 0.5}
    (run / "export").mkdir(exist_ok=True)
    (run / "export" / "report.json").write_text(
        json.dumps({"keras": keras, "formats": {"int8": row}})
    )
    folder = write_photos(tmp_path / "photos", {"1": 4, "7": 4})
    path = tmp_path / "r.html"
    main(["evaluate", str(run), "--dataset", str(folder), "--report", str(path)])
    page = Page(path.read_text())
    check_self_contained(page)
    assert "its process <died>" in page.text
    rows = page.text[page.text.index("trained on") :]
    assert rows[rows.index("7") + 1 :][:2] == ["\n", "-"]


@pytest.fixture
def two_runs(run_folder, tmp_path):
    """A run, and one that differs from it by name."""
    other = tmp_path / ("another run with a long name " * 4).rstrip()
    other.mkdir()
    for name in ("config.json", "metrics.jsonl", "result.json"):
        text = (run_folder / name).read_text()
        (other / name).write_text(re.sub(r'"seed": 0', '"seed": 7', text))
    return run_folder, other


def test_runs_are_compared(two_runs, tmp_path, capsys):
    path = tmp_path / "c.html"
    main(["compare", *map(str, two_runs), "--report", str(path)])
    out = capsys.readouterr().out
    assert "seed" in out
    assert "batch_size" not in out
    assert all(f"{folder.name}, test" in out for folder in two_runs)
    page = Page(path.read_text())
    check_self_contained(page)
    names = [folder.name for folder in two_runs]
    assert all(page.text.count(name) >= 3 for name in names)  # both tables, the curves
    assert "seed" in page.text
    assert "batch size" not in page.text


def test_what_cannot_be_compared(two_runs, tmp_path):
    run, other = two_runs
    with pytest.raises(ValueError, match="at least two runs; received 1"):
        main(["compare", str(run)])
    with pytest.raises(ValueError, match="one is named twice"):
        main(["compare", str(run), str(run / ".")])
    with pytest.raises(ValueError, match="an output file needs a name"):
        main(["compare", str(run), str(other), "--report", str(tmp_path)])
    (other / "result.json").unlink()
    with pytest.raises(ValueError, match="it is not finished"):
        main(["compare", str(run), str(other), "--report", str(tmp_path / "c.html")])
    assert not (tmp_path / "c.html").exists()
