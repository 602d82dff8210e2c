import warnings

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.font_manager import fontManager

from googlenet_keras.evaluation import fonts, plots
from googlenet_keras.evaluation.html import inline_svg

CAT, DOG, THAI = "\u732b", "\u72ac", "\u0e41\u0e21\u0e27"


@pytest.fixture
def cat_font(tmp_path):
    """A font that has one character, a square for the cat, as if it were installed."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 700), (700, 700), (700, 0)):
        pen.lineTo(corner)
    pen.closePath()
    square, empty = pen.glyph(), TTGlyphPen(None).glyph()
    made = FontBuilder(1000, isTTF=True)
    made.setupGlyphOrder([".notdef", "cat"])
    made.setupCharacterMap({ord(CAT): "cat"})
    made.setupGlyf({".notdef": empty, "cat": square})
    made.setupHorizontalMetrics({".notdef": (800, 0), "cat": (800, 0)})
    made.setupHorizontalHeader(ascent=800, descent=-200)
    made.setupNameTable({"familyName": "Cats", "styleName": "Regular"})
    made.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    made.setupPost()
    path = tmp_path / "cats.ttf"
    made.save(path)
    before = list(fontManager.ttflist)
    fontManager.addfont(path)
    fonts._find_fonts.cache_clear()
    yield "Cats"
    fontManager.ttflist[:] = before
    fontManager._findfont_cached.cache_clear()
    fonts._find_fonts.cache_clear()


def draw(labels, path):
    """The confusion matrix of one image of each class, drawn twice; no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        counts = np.eye(len(labels), dtype=int)
        plots.confusion_matrix(counts, labels, "images").savefig(path)
        return inline_svg(plots.confusion_matrix(counts, labels, "images"), "matrix")


def test_a_name_that_no_font_has_is_its_number(tmp_path):
    labels = ("a", CAT, THAI, "caf\xe9")
    assert fonts.drawable(labels, "class")[0] == ["a", "class 2", "class 3", "caf\xe9"]
    assert fonts.numbered(labels) == {"class 2": CAT, "class 3": THAI}
    page = draw(labels, tmp_path / "c.png")
    assert "class 2" in page
    assert CAT not in page


def test_an_installed_font_is_used(tmp_path, cat_font):
    labels = ("a", CAT, DOG)
    shown, families = fonts.drawable(labels, "class")
    assert shown == ["a", CAT, "class 3"]
    assert families[-1] == cat_font
    page = draw(labels, tmp_path / "c.png")
    assert CAT in page
    assert cat_font in page


def test_names_of_runs_are_drawn_without_warnings(tmp_path):
    epochs = [{"epoch": 1, "validation": {"main": {"loss": 1.0, "top1": 0.5}}}]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        figure = plots.validation_curves({CAT: epochs, "b": epochs})
        figure.savefig(tmp_path / "v.png")
    legend = figure.axes[0].get_legend().get_texts()
    assert [text.get_text() for text in legend] == ["run 1", "b"]


def test_numbers_are_explained_in_the_log(capsys):
    fonts.warn_of_numbers(("a", CAT))
    assert f"show their numbers: class 2 is {CAT}\n" in capsys.readouterr().err
    fonts.warn_of_numbers(("a", "b"))
    assert capsys.readouterr().err == ""


def test_what_is_no_text_is_drawn_escaped(tmp_path):
    labels = ("caf\udce9", "a\x1b[2Jb")
    assert fonts.drawable(labels, "class")[0] == [r"caf\xe9", r"a\x1b[2Jb"]
    draw(labels, tmp_path / "c.png")
