import hashlib
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from googlenet_keras.data.checks import cache_folder
from googlenet_keras.errors import UserError
from googlenet_keras.weights import catalog
from googlenet_keras.weights.catalog import CAFFE_WEIGHTS

DATA = b"weights " * 100_000


class Server(SimpleHTTPRequestHandler):
    asked: list = []

    def do_GET(self):
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A published file that a server of this machine has."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(Server, "asked", [])
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "net.caffemodel").write_bytes(DATA)
    handler = partial(Server, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield replace(
            CAFFE_WEIGHTS,
            url=f"http://127.0.0.1:{server.server_port}/net.caffemodel",
            sha256=hashlib.sha256(DATA).hexdigest(),
        )
        server.shutdown()


def test_fetched_once_and_kept(source, capsys):
    path = source.download()
    assert path.read_bytes() == DATA
    assert path.is_relative_to(cache_folder())
    assert f"downloading {source.url} to {path}" in capsys.readouterr().out
    assert source.download() == path
    assert Server.asked == ["/net.caffemodel"]


def test_a_damaged_copy_is_fetched_again(source):
    source.download().write_bytes(DATA[:-1])
    assert source.download().read_bytes() == DATA
    assert len(Server.asked) == 2


def test_a_checksum_of_which_the_beginning_is_known(source):
    assert replace(source, sha256=source.sha256[:8]).download().read_bytes() == DATA


def test_another_file_is_refused_and_not_kept(source):
    with pytest.raises(
        UserError, match=r"published with a SHA-256 of 0000.*download has"
    ):
        replace(source, sha256="0000").download()
    assert not list((cache_folder() / "weights").iterdir())


def test_more_than_any_network_has(source, monkeypatch):
    monkeypatch.setattr(catalog, "MAX_FILE_BYTES", 1000)
    with pytest.raises(UserError, match="sends more than any GoogLeNet has"):
        source.download()
    assert not list((cache_folder() / "weights").iterdir())


def test_no_network(source):
    nowhere = replace(source, url="http://127.0.0.1:9/net.caffemodel")
    with pytest.raises(UserError) as caught:
        nowhere.download()
    assert "http://127.0.0.1:9/net.caffemodel cannot be downloaded" in str(caught.value)
    assert "import-weights caffe net.caffemodel CLASSIFIER" in str(caught.value)


def test_a_file_that_is_gone(source):
    with pytest.raises(UserError, match="404"):
        replace(source, url=source.url + "x").download()
