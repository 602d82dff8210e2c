import pytest
from making import small_run, write_photos

from googlenet_keras.errors import UserError
from googlenet_keras.tuning.config import SearchConfig
from googlenet_keras.tuning.job import prepare_search


def test_class_names_that_cannot_be_exported_are_refused_first(tmp_path):
    data = write_photos(tmp_path / "data", {"a": 2, "caf\udce9": 2})
    folder = tmp_path / "search"
    config = SearchConfig(small_run(None, data), max_macs="3M", run_folder=folder)
    with pytest.raises(UserError, match="must be one line of UTF-8 text; received"):
        prepare_search(config)
    assert not folder.exists()
