import signal
import time
from pathlib import Path

import pytest
from making import is_running

from googlenet_keras.errors import UserError
from googlenet_keras.files import cache_folder
from googlenet_keras.webpage import builder


def fake_npm(folder, monkeypatch, script, version="v24.1.0"):
    """npm and node that do `script`, and sources that nothing is installed for."""
    sources = folder / "sources"
    sources.mkdir()
    (sources / "package-lock.json").write_text("{}")
    npm = folder / "npm"
    npm.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && exec echo {version}\n{script}\n'
    )
    npm.chmod(0o755)
    monkeypatch.setattr(builder, "WEB_SOURCE_FOLDER", sources)
    monkeypatch.setattr(builder.shutil, "which", lambda _: str(npm))
    return sources


def test_what_is_missing_is_told_before_any_work(monkeypatch):
    monkeypatch.setattr(builder.shutil, "which", lambda _: None)
    with pytest.raises(UserError, match=r"from 22\.12; there is none\."):
        builder.check_builder()


@pytest.mark.parametrize("version", ["v20.18.3", "v21.7.3", "v22.11.0", "?"])
def test_an_old_node_is_told(tmp_path, monkeypatch, version):
    fake_npm(tmp_path, monkeypatch, "", version)
    with pytest.raises(
        UserError, match=r"there is (20\.18|21\.7|22\.11|none)\. Install both"
    ):
        builder.check_builder()


def test_it_is_installed_once_and_built(tmp_path, monkeypatch):
    sources = fake_npm(tmp_path, monkeypatch, 'echo "$@" >> ../calls')
    builder.build_page(tmp_path / "made", tmp_path / "log")
    installed = sources / builder.INSTALLED_LOCK_FILE
    installed.parent.mkdir()
    installed.write_text("{}")
    builder.build_page(tmp_path / "made", tmp_path / "log")
    first, *builds = (tmp_path / "calls").read_text().splitlines()
    assert first == "ci --omit=dev --ignore-scripts --prefer-offline"
    assert builds == [f"run build -- --outDir {tmp_path / 'made'}"] * 2


def test_an_installed_packages_sources_stay_as_they_are(tmp_path, monkeypatch):
    installed = builder.INSTALLED_LOCK_FILE
    script = f'mkdir -p node_modules; touch {installed}; pwd >> "$RECORD"'
    sources = fake_npm(tmp_path, monkeypatch, script)
    (sources / "src").mkdir()
    (sources / "src" / "main.ts").write_text("first")
    monkeypatch.setattr(builder, "PACKAGED_SOURCE_FOLDER", sources)
    monkeypatch.setenv("RECORD", str(tmp_path / "folders"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = sorted(sources.rglob("*"))
    for _ in range(2):
        builder.build_page(tmp_path / "made", tmp_path / "log")
    (sources / "src" / "main.ts").write_text("second")  # another version
    builder.build_page(tmp_path / "made", tmp_path / "log")
    assert sorted(sources.rglob("*")) == before
    # each is one where npm installs, or builds
    one, *same, _, other = map(Path, (tmp_path / "folders").read_text().splitlines())
    assert same == [one, one]
    assert other != one
    assert one.parent == other.parent == cache_folder() / "webpage"
    assert (one / "src" / "main.ts").read_text() == "first"
    assert (other / "src" / "main.ts").read_text() == "second"


def test_what_npm_refuses_is_told(tmp_path, monkeypatch):
    fake_npm(
        tmp_path,
        monkeypatch,
        "echo going; echo npm error network is down; echo npm error more; exit 1",
    )
    with pytest.raises(
        UserError, match="npm ci could not make the page: npm error network is down"
    ):
        builder.build_page(tmp_path / "made", tmp_path / "log")
    assert "going" in (tmp_path / "log").read_text()


def test_npm_leaves_no_process_behind_if_the_export_is_stopped(tmp_path, monkeypatch):
    fake_npm(tmp_path, monkeypatch, "sleep 600 & echo $! > ../child; wait")

    def stop(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(KeyboardInterrupt):
            builder.build_page(tmp_path / "made", tmp_path / "log")
    finally:
        signal.signal(signal.SIGALRM, before)
    child, end = int((tmp_path / "child").read_text()), time.monotonic() + 10
    while is_running(child):
        assert time.monotonic() < end
        time.sleep(0.05)
