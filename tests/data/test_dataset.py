from unicodedata import normalize

import pytest

from googlenet_keras.data.dataset import (
    check_labels,
    list_names,
    match_names,
    unknown_names,
    warn_of_missing_classes,
)
from googlenet_keras.errors import UserError

COMPOSED, DECOMPOSED = (normalize(form, "caf\xe9") for form in ("NFC", "NFD"))


def test_names_are_matched_whatever_their_unicode_form():
    assert match_names((COMPOSED, "a", "x"), ("a", DECOMPOSED)) == [1, 0, None]
    assert unknown_names((COMPOSED, "x"), (DECOMPOSED,)) == ["x"]


def test_a_name_that_is_there_as_it_is_comes_first():
    for known in ((COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)):
        found = match_names((COMPOSED, DECOMPOSED), known)
        assert [known[i] for i in found] == [COMPOSED, DECOMPOSED]


@pytest.mark.parametrize("label", ["caf\udce9", "a\nb", "a\r", "a\x85b", ""])
def test_labels_that_no_text_file_holds(label):
    with pytest.raises(
        UserError, match="must be one line of UTF-8 text; received"
    ) as e:
        check_labels(("a", label))
    assert repr(label) in str(e.value)


def test_any_line_of_text_is_a_label():
    check_labels(("a b", COMPOSED, DECOMPOSED, "\u732b", "\U0001f408", "<b>", " "))


def test_five_names_are_listed_and_the_others_counted():
    assert list_names("abcde") == "a, b, c, d, e"
    assert list_names("abcdefg") == "a, b, c, d, e and 2 more"
    assert list_names(["x\x1b[2J", "caf\udce9"]) == r"x\x1b[2J, caf\xe9"


def test_missing_classes_are_named(capsys):
    warn_of_missing_classes("validation", ("a", "b", "c"), (0, 2, 0))
    shown = capsys.readouterr().err
    assert "no validation images of 2 of the 3 classes" in shown
    assert shown.endswith(": a, c\n")
    warn_of_missing_classes("validation", ("a", "b"), (1, 2))
    assert capsys.readouterr().err == ""
