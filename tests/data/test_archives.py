"""Archives: whole or nothing, inside the folder, within the limit."""

import errno
import gzip
import io
import tarfile
import tracemalloc
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
    kind = {".tar": "", ".tgz": "gz"}.get(path.suffix, path.suffix[1:])
    with tarfile.open(path, f"w:{kind}") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture(params=["a.tar", "a.tar.gz", "a.tgz", "a.tar.bz2", "a.tar.xz", "a.zip"])
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


def write_members(path, *members):
    with tarfile.open(path, "w") as archive:
        for kind, name, target in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            archive.addfile(member)
    return path


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
@pytest.mark.parametrize("target", ["ant.jpg", "/etc/passwd"])
def test_links_and_devices_are_refused(tmp_path, kind, target):
    archive = write_members(tmp_path / "a.tar", (tarfile.REGTYPE, "ant.jpg", ""), (kind, "other.jpg", target))
    with pytest.raises(KerasVisionError, match=r"other\.jpg is a link, or neither a file nor a folder"):
        unpack(archive, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_a_link_in_a_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        entry = zipfile.ZipInfo("other.jpg")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(KerasVisionError, match=r"other\.jpg is a link"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def header(kind, size, name="x"):
    """A tar header by hand: `tarfile` does not write the wrong ones."""
    fields = bytearray(name.encode().ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2)
    fields += b"%011o\0" % size if size >= 0 else (size & ((1 << 96) - 1)).to_bytes(12, "big")
    fields += b"0" * 11 + b"\0" + b" " * 8 + kind + bytes(100) + b"ustar\0" + b"00" + bytes(247)
    fields[148:156] = b"%06o\0 " % sum(fields)
    return bytes(fields)


@pytest.mark.parametrize("kind", [b"L", b"K", b"x", b"g", b"X"])
@pytest.mark.parametrize("headers", [1, 64])  # one long one, or a chain of them
def test_a_bomb_of_headers_takes_no_memory(tmp_path, kind, headers):
    size = (64 << 20) // headers - 512
    with gzip.open(tmp_path / "a.tar.gz", "wb", compresslevel=1) as stream:
        for _ in range(headers):
            stream.write(header(kind, size) + b"%d path=" % size + b"a" * (size - len(b"%d path=" % size)))
        stream.write(header(b"0", 0) + bytes(1024))
    tracemalloc.start()
    with pytest.raises(KerasVisionError, match="a header of"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_many_members_with_headers_of_their_own_take_no_memory(tmp_path):
    value = b"300011 c=" + b"a" * 300001 + b"\n"
    with gzip.open(tmp_path / "a.tar.gz", "wb", compresslevel=1) as stream:
        for number in range(50):
            stream.write(header(b"x", len(value)) + value + bytes(-len(value) % 512) + header(b"0", 0, f"{number}.jpg"))
        stream.write(bytes(1024))
    tracemalloc.start()
    folder = unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(list(folder.iterdir())) == 50
    assert peak < 8 << 20


@pytest.mark.parametrize("content", [
    header(b"0", -512) * 2,  # would be read again and again
    header(b"x", 14) + b"14 size=-1024\n".ljust(512, b"\0") + header(b"0", 0),
    header(b"S", 0),
    header(b"x", 0) * 5000,
])  # fmt: skip
def test_headers_that_make_no_sense_are_one_error(tmp_path, content):
    (tmp_path / "a.tar").write_bytes(content + bytes(1024))
    with pytest.raises(KerasVisionError, match=r"a\.tar: "):
        unpack(tmp_path / "a.tar", tmp_path / "out")


def test_long_names_are_read(tmp_path):
    names = ["/".join(["folder"] * 40) + "/1.jpg", "ä" * 110 + ".jpg", "/root.jpg"]
    for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / f"{kind}.tar", "w", format=kind) as archive:
            for name in names:
                archive.addfile(tarfile.TarInfo(name))
        folder = unpack(tmp_path / f"{kind}.tar", tmp_path / f"out{kind}")
        assert {p.relative_to(folder).as_posix() for p in folder.rglob("*.jpg")} == {n.lstrip("/") for n in names}


@pytest.mark.parametrize(("offset", "value", "message"), [
    (6, 1, r"ä 1\.jpg is encrypted"),  # the flags, of which the first is encryption
    (8, 9, r"ä 1\.jpg is compressed by method 9"),  # Deflate64, as Windows packs large files
])  # fmt: skip
def test_zips_that_python_does_not_read_are_one_error(tmp_path, offset, value, message):
    archive = make(tmp_path / "a.zip")
    content = bytearray(archive.read_bytes())
    for start, shift in ((content.index(b"PK\3\4"), 0), (content.index(b"PK\1\2"), 2)):
        content[start + offset + shift] |= value
    archive.write_bytes(content)
    with pytest.raises(KerasVisionError, match=message):
        unpack(archive, tmp_path / "out")


def test_a_full_disk_is_not_called_damage(archive, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(KerasVisionError, match=r"cannot be unpacked into .*: No space left"):
        unpack(archive, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]
