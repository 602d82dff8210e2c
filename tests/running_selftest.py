"""Judges answers as examples/selftest.py does."""

from importlib.util import module_from_spec, spec_from_file_location

from making import ROOT

EXAMPLE = spec_from_file_location("selftest", ROOT / "examples" / "selftest.py")
example = module_from_spec(EXAMPLE)
EXAMPLE.loader.exec_module(example)


def find_difference(test, file, labels, probabilities):
    """What examples/selftest.py says of these answers."""
    if wrong := example.wrong_labels(labels, test["labels"]):
        return wrong
    return example.wrong_answers(test["files"][file], probabilities, test["mistakes"])
