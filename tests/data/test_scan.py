"""Scanning a folder: each kind of finding, names of all kinds, and the skip list that training takes."""

import os
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image

import keras_vision.data.scan as scanning
from keras_vision.data import class_folders, image_folder, imagenet_train
from keras_vision.data.masks import image_size, read_mask
from keras_vision.data.scan import scan
from keras_vision.data.skip_list import read_skip_list, write_skip_list
from keras_vision.errors import ImageError, KerasVisionError, KerasVisionWarning
from keras_vision.runtime import list_images, open_image


def noise(seed, size=(20, 30)):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8))


@pytest.fixture
def folder(tmp_path):
    """Two classes of 12 good images each, as training needs them, and one file of each other sort."""
    root = tmp_path / "photographs"
    for label, name in enumerate(("ant", "bee")):
        (root / name).mkdir(parents=True)
        for number in range(12):
            noise(100 * label + number).save(root / name / f"{number}.png")
    return root


@pytest.fixture
def spoilt(folder):
    good = folder / "ant/0.png"
    (folder / "ant/copy of [0].png").write_bytes(good.read_bytes())
    (folder / "ant/empty.jpg").touch()
    (folder / "ant/text.jpg").write_text("hello")
    (folder / "bee/half.png").write_bytes(good.read_bytes()[:1000])
    noise(1000).save(folder / "bee/whole.jpg")
    (folder / "bee/half.jpg").write_bytes((folder / "bee/whole.jpg").read_bytes()[:700])
    noise(1001).convert("CMYK").save(folder / "bee/print ä.jpg")
    noise(1002).save(folder / "bee/really a png.jpg", "PNG")
    noise(1003).save(folder / "bee/nameless", "JPEG")
    damaged = bytearray((folder / "bee/1.png").read_bytes())
    damaged[200:204] = b"\0\0\0\0"
    (folder / "bee/damaged.png").write_bytes(damaged)
    (folder / "notes.txt").write_text("not an image, and not claimed to be one")
    return folder


def kinds(result):
    return {(finding.path, finding.kind) for finding in result.findings}


def test_each_kind_is_found(spoilt):
    result = scan(spoilt)
    assert kinds(result) == {
        ("ant/copy of [0].png", "duplicate"),
        ("ant/empty.jpg", "truncated"),
        ("ant/text.jpg", "corrupt"),
        ("bee/half.png", "truncated"),
        ("bee/half.jpg", "truncated"),
        ("bee/print ä.jpg", "cmyk"),
        ("bee/really a png.jpg", "misnamed"),
        ("bee/nameless", "misnamed"),
        ("bee/damaged.png", "corrupt"),
    }
    assert result.files == 24 + 10
    assert result.of_kind("duplicate")[0].reason == "same bytes as ant/0.png"
    assert [finding.path for finding in result.findings] == sorted(finding.path for finding in result.findings)


def test_good_images_have_no_findings_whatever_their_format(tmp_path):
    for seed, name in enumerate(
        ("1.jpg", "2.JPEG", "3.png", "4.gif", "5.bmp", "6.tif", "7.tiff", "8.webp", "蜂 é.jpg")
    ):
        noise(seed).save(tmp_path / name)
    result = scan(tmp_path)
    assert (result.files, result.findings) == (9, ())


def test_real_photographs(shared):
    assert scan(shared / "data/voc_samples").findings == ()
    assert [f.kind for f in scan(shared / "data/planet_sample").findings] == ["cmyk"] * 5


def test_links_are_followed_once_and_pipes_do_not_hang(folder):
    (folder / "wasp").mkdir()
    os.symlink(folder, folder / "wasp/loop")
    os.symlink(folder / "ant/0.png", folder / "wasp/link.png")
    os.symlink(folder / "nowhere.png", folder / "wasp/dangling.png")
    os.mkfifo(folder / "wasp/pipe.png")
    result = scan(folder)
    assert kinds(result) == {
        ("wasp/dangling.png", "corrupt"),
        ("wasp/link.png", "duplicate"),
        ("wasp/pipe.png", "corrupt"),
    }
    assert result.files == 24 + 3


def test_names_that_are_not_utf_8(tmp_path):
    raw = os.fsencode(tmp_path) + b"/\xff.jpg"
    with open(raw, "wb") as stream:
        stream.write(b"x")
    result = scan(tmp_path)
    write_skip_list(tmp_path / "skip.txt", [(f.path, f.reason) for f in result.findings])
    assert list(read_skip_list(tmp_path / "skip.txt")) == [os.fsdecode(b"\xff.jpg")]


def png_with(path, kind, data, before=b"IEND"):
    """A PNG with one more chunk."""
    noise(7).convert("L").save(path)
    content = path.read_bytes()
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    at = content.index(before) - 4
    path.write_bytes(content[:at] + chunk + content[at:])
    return path


def test_damage_of_which_pillow_knows_no_better_does_not_end_the_scan(folder):
    path = png_with(folder / "ant/empty profile.png", b"iCCP", b"")  # an IndexError in Pillow
    assert kinds(scan(folder)) == {("ant/empty profile.png", "corrupt")}
    for read in (open_image, read_mask):
        with pytest.raises(ImageError, match=r"empty profile\.png: damaged"):
            read(path)
    assert len(image_folder(folder)) == 24


def test_a_damaged_exif_block_hides_neither_the_image_nor_its_size(tmp_path):
    path = png_with(tmp_path / "a.png", b"eXIf", b"no TIFF file at all", before=b"IDAT")
    assert open_image(path).size == (30, 20)
    assert image_size(path) == (20, 30)


@pytest.mark.parametrize("closed", ["bee", "."])
def test_folders_that_cannot_be_read_are_findings(folder, monkeypatch, closed):
    listing = os.scandir

    def scandir(path):
        if os.path.samefile(path, folder / closed):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return listing(path)

    monkeypatch.setattr(os, "scandir", scandir)  # the tests may run as root, for whom nothing is closed
    result = scan(folder)
    assert [(f.path, f.kind, f.reason) for f in result.findings] == [
        (closed, "corrupt", "a folder that cannot be read: permission denied")
    ]
    assert result.files == (12 if closed == "bee" else 0)


def test_hidden_files_are_left_out_everywhere(folder):
    (folder / "ant/._0.png").write_bytes(b"what macOS adds")
    (folder / "bee/.thumbnails/small").mkdir(parents=True)
    noise(1).save(folder / "bee/.thumbnails/small/0.png")
    assert scan(folder).files == len(class_folders(folder)) == len(list(list_images([folder]))) == 24
    assert len(imagenet_train(folder)) == len(image_folder(folder)) == 24
    assert image_folder(folder).skipped == ()
    assert list(list_images([folder / "ant/._0.png"])) == [folder / "ant/._0.png"]  # a file that is asked for


def test_progress_counts_every_file(folder):
    seen = []
    scan(folder, lambda done, total: seen.append((done, total)), threads=2)
    assert seen[-1] == (24, 24)
    assert seen == sorted(seen)


def test_an_interruption_drops_what_waits(folder, monkeypatch):
    started, look = [], scanning._look_at

    def counted(path):
        started.append(path)
        return look(path)

    def interrupt(done, total):
        raise KeyboardInterrupt

    monkeypatch.setattr(scanning, "_look_at", counted)
    monkeypatch.setattr(scanning, "_BATCH", 1)
    with pytest.raises(KeyboardInterrupt):
        scan(folder, interrupt, threads=1)
    assert len(started) < 24
    assert threading.active_count() < 10


def test_what_is_no_folder_of_images_is_one_error(tmp_path):
    with pytest.raises(KerasVisionError, match=r"no such folder\. Give a folder of images"):
        scan(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(KerasVisionError, match="no images"):
        scan(tmp_path)


def test_training_takes_the_skip_list(spoilt, tmp_path):
    entries = [(finding.path, finding.reason) for finding in scan(spoilt).findings]
    assert write_skip_list(tmp_path / "skip.txt", [*entries, ("ant/empty.jpg", "and for\nanother reason")]) == 9
    assert len((tmp_path / "skip.txt").read_text().splitlines()) == 9
    images = image_folder(spoilt, skip=tmp_path / "skip.txt")
    assert len(images) == 25  # 24 good ones and whole.jpg
    reasons = {path.removeprefix(f"{spoilt}/"): reason for path, reason in images.skipped}
    assert reasons["ant/copy of [0].png"] == "same bytes as ant/0.png"
    assert reasons["ant/empty.jpg"] == "the file is empty; and for another reason"
    assert reasons["bee/print ä.jpg"] == "CMYK colours"
    assert len(image_folder(spoilt)) == 28


@pytest.mark.parametrize("name", ["a\tb.jpg", "a\nb.jpg", 'a "b".jpg', "ä.jpg", "a,b.jpg"])
def test_every_name_comes_back_from_the_list(tmp_path, name):
    write_skip_list(tmp_path / "skip.txt", [(name, "a reason")])
    assert read_skip_list(tmp_path / "skip.txt") == {name: "a reason"}


def test_lists_by_hand_and_of_other_folders(folder, tmp_path):
    (tmp_path / "skip.txt").write_text("ant/1.png\n\n./ant/2.png\n")
    assert read_skip_list(tmp_path / "skip.txt").keys() == {"ant/1.png", "ant/2.png"}
    assert len(image_folder(folder, skip=tmp_path / "skip.txt")) == 22
    (tmp_path / "skip.txt").write_text("wasp/1.png\n")
    with pytest.warns(KerasVisionWarning, match="names 1 files and none of them"):
        image_folder(folder, skip=tmp_path / "skip.txt")
    for wrong in ("/ant/1.png", "../ant/1.png"):
        (tmp_path / "skip.txt").write_text(wrong)
        with pytest.raises(KerasVisionError, match="expected a path relative"):
            image_folder(folder, skip=tmp_path / "skip.txt")
    with pytest.raises(KerasVisionError, match="cannot be read as a skip list"):
        image_folder(folder, skip=tmp_path / "none.txt")
    with pytest.raises(KerasVisionError, match="exists already"):
        write_skip_list(tmp_path / "skip.txt", [])
