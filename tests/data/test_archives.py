"""Archives: whole or nothing, inside the folder, within the limit."""

import io
import tarfile
import zipfile

import pytest

from keras_vision.data import unpack
from keras_vision.errors import KerasVisionError

CONTENT = {"ant/ä 1.jpg": b"one" * 1000, "蜂/2.jpg": b"two" * 2000}


def make(path, content=CONTENT):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in content.items():
                archive.writestr(name, data)
        return path
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture(params=["a.tar", "a.tar.gz", "a.zip"])
def archive(request, tmp_path):
    return make(tmp_path / request.param)


def test_contents(archive, tmp_path):
    folder = unpack(archive, tmp_path / "out")
    assert {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.jpg")} == CONTENT
    with pytest.raises(KerasVisionError, match="exists already"):
        unpack(archive, folder)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9, 0.99])
def test_truncated_archives_leave_nothing(archive, tmp_path, part):
    whole = archive.read_bytes()
    end = len(whole) if archive.suffix != ".tar" else 512 * 22  # the rest of a tar file is padding
    archive.write_bytes(whole[: int(end * part)])
    with pytest.raises(KerasVisionError, match=r"truncated|damaged"):
        unpack(archive, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]


def test_a_tar_cut_between_two_members_is_truncated(tmp_path):
    archive = make(tmp_path / "a.tar", {"1.jpg": bytes(512), "2.jpg": bytes(512)})
    archive.write_bytes(archive.read_bytes()[: 2 * 512])
    with pytest.raises(KerasVisionError, match="lacks the end of a tar"):
        unpack(archive, tmp_path / "out")


def test_more_than_the_limit_is_refused(archive, tmp_path):
    with pytest.raises(KerasVisionError, match="9000 bytes or more; there is room for 8999"):
        unpack(archive, tmp_path / "out", limit=8999)
    unpack(archive, tmp_path / "out", limit=9000)


@pytest.mark.parametrize("name", ["a.tar", "a.zip"])
def test_nothing_is_written_outside(tmp_path, name):
    archive = make(tmp_path / name, {"../evil.jpg": b"x"})
    with pytest.raises(KerasVisionError, match=r"outside|evil"):
        unpack(archive, tmp_path / "deep/out")
    assert not list(tmp_path.rglob("evil.jpg"))


def test_what_is_no_archive_is_one_error(tmp_path):
    with pytest.raises(KerasVisionError, match="no such file"):
        unpack(tmp_path / "none.tar", tmp_path / "out")
    for name in ("text.tar", "text.zip"):
        (tmp_path / name).write_text("hello")
        with pytest.raises(KerasVisionError, match="no archive"):
            unpack(tmp_path / name, tmp_path / "out")
