"""`segment` and `edges` as a user runs them."""

import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from dense_networks import dense_network, expected_probabilities
from PIL import Image
from test_cli import COMMAND, run

from keras_vision.data import CAMVID_PALETTE, read_mask, voc_palette
from keras_vision.data.palettes import class_palette
from keras_vision.data.readers.camvid import CAMVID_CLASSES
from keras_vision.edges import suppress_non_maxima
from keras_vision.export import to_litert


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Of classes and of edges, each as `model.keras` and `model.tflite` in a folder."""
    folder = tmp_path_factory.mktemp("networks")
    made = {"segment": dense_network(maps=12), "edges": dense_network(maps=1)}
    made["segment"].labels = [*CAMVID_CLASSES, "Void"]
    for name, model in made.items():
        (folder / name).mkdir()
        model.save(folder / name / "model.keras")
        to_litert(model, folder / name / "model.tflite")
    return folder, made


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    (folder / "more").mkdir(parents=True)
    for number, (name, size) in enumerate({"a.png": (90, 140), "b [1].png": (1, 1), "more/c.jpg": (70, 64)}.items()):
        coarse = np.random.default_rng(number).integers(0, 256, (size[0] // 8 + 1, size[1] // 8 + 1, 3))
        fine = coarse.repeat(8, 0).repeat(8, 1)[: size[0], : size[1]].astype(np.uint8)
        Image.fromarray(fine).save(folder / name, quality=95)
    Image.fromarray(np.arange(4800, dtype=np.uint8).reshape(60, 80)).save(folder / "grey.png")
    (folder / "empty.jpg").write_bytes(b"")
    Image.new("RGB", (9, 9)).save(folder / "a.bmp")  # its mask has the place of a.png's
    return folder


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("form", ["model.keras", "model.tflite", ""])
def test_masks_and_overlays_of_a_folder(networks, photographs, tmp_path, form):
    folder, made = networks
    arguments = ("segment", photographs, "--out", tmp_path / "masks", "--model", folder / "segment" / form, "--overlay")
    done = run(*arguments, env={"COLUMNS": "300", "PATH": ""})
    assert done.returncode == 0, done.stderr
    assert "4 of 6 images written" in done.stdout
    assert "the file is empty" in done.stdout
    assert "its result has the place of that of" in done.stdout
    written = sorted(path.relative_to(tmp_path / "masks").as_posix() for path in (tmp_path / "masks").rglob("*.*"))
    stems = ["a", "b [1]", "grey", "more/c"]
    assert written == sorted(f"{stem}{end}.png" for stem in stems for end in ("", "_overlay"))
    for stem in ("b [1]", "grey", "more/c"):
        source = next(photographs.glob(f"{stem.replace('[1]', '[[]1]')}.*"))
        scores = expected_probabilities(made["segment"], pixels(source))
        mask = read_mask(tmp_path / f"masks/{stem}.png")
        chosen = np.take_along_axis(scores, mask[..., None].astype(int), -1)[..., 0]
        assert (scores.max(-1) - chosen).max() < 1e-4  # the best class, but for ties
        with Image.open(tmp_path / f"masks/{stem}.png") as image:
            assert image.mode == "P"
            np.testing.assert_array_equal(np.asarray(image.convert("RGB")), CAMVID_PALETTE[mask])
        drawn = pixels(tmp_path / f"masks/{stem}_overlay.png").astype(float)
        assert np.abs(drawn - (pixels(source) / 2 + CAMVID_PALETTE[mask] / 2)).max() <= 0.5
    if form == "model.tflite":  # again, over its own files
        assert run(*arguments).returncode == 0


def test_edges_are_probabilities_and_tiles_leave_no_trace(networks, photographs, tmp_path):
    folder, made = networks
    maps = {}
    for name, options in {"whole": (), "tiles": ("--tile", 64), "small": ("--size", 48), "thin": ("--thin",)}.items():
        arguments = (photographs / "a.png", "--out", tmp_path / name, "--model", folder / "edges/model.tflite")
        done = run("edges", *arguments, *options)
        assert done.returncode == 0, done.stderr
        with Image.open(tmp_path / name / "a.png") as image:
            assert image.mode == "L"
            maps[name] = np.asarray(image).astype(int)
    expected = 255 * expected_probabilities(made["edges"], pixels(photographs / "a.png"))[..., 0]
    assert np.abs(maps["whole"] - expected).max() < 0.51
    assert np.abs(maps["thin"] - 255 * suppress_non_maxima(expected / 255)).max() < 0.51
    assert 0 < (maps["thin"] > 0).mean() < 0.5 < (maps["whole"] > 0).mean()
    assert np.ptp(maps["whole"]) > 20
    assert np.abs(maps["tiles"] - maps["whole"])[8:-8, 8:-8].max() <= 0.1 * np.ptp(maps["whole"])
    assert maps["small"].shape == (90, 140)
    assert (maps["small"] != maps["whole"]).any()


def test_the_command_never_imports_tensorflow_for_litert(networks, photographs, tmp_path):
    blocked = "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None; sys.argv[0] = 'keras-vision';"
    arguments = ["segment", photographs / "a.png", "-o", tmp_path, "-m", networks[0] / "segment/model.tflite"]
    code = f"{blocked} from keras_vision.cli.main import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments), "--overlay", "--tile", "64"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["segment", "{photos}/more", "-o", "{out}", "-m", "{edges}"], "for edges there is `keras-vision edges`"),
        (["edges", "{photos}/more", "-o", "{out}", "-m", "{segment}"], "gives 12 maps, and edges are one"),
        (["segment", "{photos}/more", "-o", "{out}", "-m", "{out}"], "a folder without model.tflite and model.keras"),
        (
            ["segment", "{photos}/more", "-o", "{out}", "-m", "SqueezeNet", "--weights", "none"],
            "gives one (n, h, w, k)",
        ),
        (["segment", "{photos}/more", "-o", "{out}", "-m", "{segment}", "--weights", "x.h5"], "leave --weights out"),
        (
            ["segment", "{out}", "-o", "{out}", "-m", "{segment}"],
            "is one of the photographs and would be replaced",
        ),
        (
            ["segment", "{photos}/a.png", "-o", "{out}", "-m", "{segment}"],
            "there already, not made by this command; pass --overwrite",
        ),
        (["segment", "{photos}/more/none", "-o", "{out}", "-m", "{segment}"], "no such file or folder"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_lost(arguments, message, networks, photographs, tmp_path, call):
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(photographs / "a.png", out)
    before = (out / "a.png").read_bytes()
    folder = networks[0]
    names = dict(photos=photographs, out=out, segment=folder / "segment/model.tflite", edges=folder / "edges")
    done = call(*(argument.format(**names) for argument in arguments))
    assert done.returncode == 1
    assert message in done.stderr
    assert (out / "a.png").read_bytes() == before
    assert len(list(out.iterdir())) == 1


def test_overwrite_replaces_others_and_failures_alone_exit_1(networks, photographs, tmp_path):
    shutil.copytree(photographs, tmp_path / "out")
    command = ("-o", tmp_path / "out", "-m", networks[0] / "segment/model.tflite")
    assert run("segment", photographs / "a.png", *command, "--overwrite").returncode == 0
    assert read_mask(tmp_path / "out/a.png").shape == (90, 140)
    done = run("segment", photographs / "empty.jpg", *command)
    assert done.returncode == 1
    assert "0 of 1 images written" in done.stdout


def test_ctrl_c_leaves_whole_files_only(networks, tmp_path):
    folder, out = tmp_path / "many", tmp_path / "out"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (400, 500, 3), dtype=np.uint8)
    for number in range(200):
        Image.fromarray(noise).save(folder / f"{number:03}.bmp")
    arguments = ["segment", folder, "-o", out, "-m", networks[0] / "segment/model.tflite", "--overlay"]
    process = subprocess.Popen([*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until = time.monotonic() + 60
    while len(list(out.glob("*.png"))) < 4 and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    left = sorted(path for path in out.iterdir())
    assert 4 <= len(left) < 400
    assert {path.suffix for path in left} == {".png"}
    for path in left:
        with Image.open(path) as image:
            image.load()
            assert image.size == (500, 400)


def test_colours_are_camvids_for_its_classes_and_vocs_for_others():
    np.testing.assert_array_equal(class_palette(CAMVID_CLASSES), CAMVID_PALETTE)
    for labels in (None, ("a", "b"), (*CAMVID_CLASSES, "Void", "More")):
        np.testing.assert_array_equal(class_palette(labels), voc_palette())
