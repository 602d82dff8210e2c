import pytest

from googlenet_keras.console import run_script
from googlenet_keras.errors import UserError, unknown_choice_error


def test_unknown_names_offer_the_nearest():
    error = unknown_choice_error("variant", "papr", ["bn", "paper"])
    assert str(error) == (
        "variant must be one of bn, paper; received 'papr'. Did you mean 'paper'?"
    )
    assert "mean" not in str(unknown_choice_error("variant", "xyz", ["bn", "paper"]))


@pytest.mark.parametrize(("raised", "status", "shown"), [
    (None, 0, ""),
    (UserError("a rule"), 2, "error: a rule\n"),
    (PermissionError(13, "Permission denied", "/x"), 2,
     "error: [Errno 13] Permission denied: '/x'\n"),
    (KeyboardInterrupt(), 130, "interrupted\n"),
])  # fmt: skip
def test_scripts_end_with_a_status_and_one_message(raised, status, shown, capsys):
    def main():
        if raised:
            raise raised

    with pytest.raises(SystemExit) as stop:
        run_script(main)
    assert stop.value.code == status
    assert capsys.readouterr().err == shown


def test_bugs_keep_their_traceback():
    def main():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_script(main)
