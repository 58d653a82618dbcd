"""The page of `explore` in a browser: what is shown, what runs, what is selected."""

import base64
import csv
import hashlib
import html
import io
import json
import re
import shutil
import threading
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_vision.analytics import Embeddings, Skipped, explore, page_data, thumbnails, write_page
from keras_vision.analytics.exploration import LARGEST
from keras_vision.analytics.report import page
from keras_vision.analytics.serve import page_server
from keras_vision.errors import KerasVisionError

CLASSES = ("one", "<b>two</b>", "drei ü")
EVIL = "<img src=x onerror=window.run=1>.png"


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


def images(folder, count):
    """Files, vectors of three groups, and their classes; the last two of one group are copies."""
    rng = np.random.default_rng(0)
    paths, labels = [], []
    for i in range(count):
        labels.append(CLASSES[i % 3])
        name = EVIL if i == 4 else f"image {i}.png"
        (folder / str(i % 3)).mkdir(exist_ok=True, parents=True)
        paths.append(str(folder / str(i % 3) / name))
        Image.new("RGB", (60, 40), tuple(rng.integers(0, 255, 3).tolist())).save(paths[-1])
    vectors = np.eye(3, 16)[np.arange(count) % 3] * 3 + rng.normal(0, 0.5, (count, 16))
    content = [hashlib.sha256(Path(path).read_bytes()).digest() for path in paths]
    if count > 10:
        vectors[-1], content[-1] = vectors[-4], content[-4]
    return Embeddings(
        paths, vectors.astype(np.float32), content, [Skipped(str(folder / "<i>bad</i>.png"), "empty")]
    ), labels


@pytest.fixture(scope="module")
def explored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    found, labels = images(folder, 90)
    result = explore(found, labels, folder)
    file = folder / "page.html"
    write_page(file, page_data(result, "<b>title</b>", "SqueezeNetV1_1"), thumbnails(found.paths, 96))
    return result, file


def until(tab, expression):
    """Wait; the page's policy forbids what Playwright's own waiting does."""
    for _ in range(1500):
        if tab.evaluate(expression):
            return
        tab.wait_for_timeout(20)
    raise TimeoutError(expression)


def opened(browser, file):
    """A tab with the page, and what it complained of or asked for."""
    tab = browser.new_page(viewport={"width": 1300, "height": 800})
    troubles = []
    tab.on("console", lambda message: troubles.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    tab.on(
        "request", lambda each: None if each.url.startswith(("file:", "data:", "blob:")) else troubles.append(each.url)
    )
    tab.on("dialog", lambda dialog: troubles.append(dialog.message))
    tab.goto(file.as_uri())
    until(tab, "painted >= 0")
    return tab, troubles


@pytest.fixture
def tab(browser, explored):
    made, troubles = opened(browser, explored[1])
    yield made
    assert troubles == []
    made.close()


def selected(tab):
    return sorted(tab.evaluate("[...state.selected]"))


def test_names_are_shown_and_never_run(tab, explored):
    assert tab.inner_text("#title") == "<b>title</b>"
    tab.fill("#filter", "onerror")
    assert selected(tab) == [4]
    tab.evaluate("pick(4)")
    assert f"1/{EVIL}" in tab.inner_text("#picked")
    tab.click("#tabs >> text=Copies and outliers")
    assert "<i>bad</i>.png" in tab.inner_text("#quality")
    assert tab.evaluate("window.run") is None
    source = explored[1].read_text()
    assert "<img src=x" not in source
    assert "<b>" not in source.split("<script", 1)[1].split("</script", 1)[0]


def test_a_foreign_script_is_refused(browser, explored):
    tab, troubles = opened(browser, explored[1])
    tab.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.run = 1'}))"
    )
    assert tab.evaluate("window.run") is None
    assert any("Content Security Policy" in each for each in troubles)
    tab.close()


def test_thumbnails_come_after_the_first_picture(tab):
    assert tab.evaluate("painted") < 9
    until(tab, "decoded > 60 && bitmap(7) !== null")
    assert tab.evaluate("bitmap(7).width") == 60
    colour = tab.evaluate(
        "(() => { const [x, y] = place(7); const at = [x * view.scale + view.x, y * view.scale + view.y];"
        " return [...context.getImageData(...at.map((each) => each * devicePixelRatio), 1, 1).data]; })()"
    )
    assert colour[3] == 255  # something is drawn there


def test_neighbours_of_a_clicked_image(tab, explored):
    result, _ = explored
    tab.click("[data-layout=grid]")
    x, y = tab.evaluate("[place(12)[0] * view.scale + view.x, place(12)[1] * view.scale + view.y]")
    tab.click("#map", position={"x": x, "y": y})
    assert tab.evaluate("state.picked") == 12
    names = [each.get_attribute("title") for each in tab.query_selector_all("#picked .picture")]
    assert names == [result.names[i] for i in result.places[12]]


def test_a_frame_selects_what_it_holds(tab, explored):
    tab.click("[data-layout=grid]")
    frame = tab.locator("#map").bounding_box()
    left, top, right, bottom = tab.evaluate(
        "[view.x, view.y, 3 * cell * view.scale + view.x, 2 * cell * view.scale + view.y]"
    )
    tab.keyboard.down("Shift")
    tab.mouse.move(frame["x"] + left - 1, frame["y"] + top - 1)
    tab.mouse.down()
    tab.mouse.move(frame["x"] + right - 2, frame["y"] + bottom - 2, steps=3)
    tab.mouse.up()
    tab.keyboard.up("Shift")
    grid = explored[0].grid
    assert selected(tab) == [i for i in range(90) if grid[i, 0] < 3 and grid[i, 1] < 2]


def test_wheel_zooms_about_the_mouse(tab):
    frame = tab.locator("#map").bounding_box()
    before = tab.evaluate("[(300 - view.x) / view.scale, (200 - view.y) / view.scale, view.scale]")
    tab.mouse.move(frame["x"] + 300, frame["y"] + 200)
    tab.mouse.wheel(0, -500)
    until(tab, f"view.scale > {before[2]} * 1.5")
    after = tab.evaluate("[(300 - view.x) / view.scale, (200 - view.y) / view.scale]")
    assert after == pytest.approx(before[:2], abs=1)


def test_a_branch_of_the_tree_selects_its_images(tab, explored):
    tree = explored[0].tree
    tab.click("#tabs >> text=Tree")
    tab.click("#dendrogram", position={"x": 7, "y": 5})  # right of the root's join, at the top
    found = selected(tab)
    child = int(tree[-1, 0])
    members, todo = [], [child]
    while todo:
        node = todo.pop()
        if node < 90:
            members.append(node)
        else:
            todo += tree[node - 90, :2].astype(int).tolist()
    assert found == sorted(members)
    assert 0 < len(found) < 90
    tab.evaluate("cutTree(3)")
    kinds = tab.evaluate("state.cluster")
    assert all(len({kinds[i] for i in range(k, 90, 3)}) == 1 for k in range(3))


def test_a_cell_of_the_confusion_matrix_selects_its_images(tab, explored):
    scores = explored[0].scores
    tab.click("#tabs >> text=Classes")
    assert f"accuracy {100 * scores.ca:.1f} %" in tab.inner_text("#classes")
    cells = tab.query_selector_all(".matrix td button")
    assert [int(each.inner_text() or 0) for each in cells] == scores.confusion.ravel().tolist()
    cells[0].click()
    assert selected(tab) == scores.misclassified(scores.classes[0], scores.classes[0])
    tab.click("#tabs >> text=Classes")
    tab.click("text=All mistakes")
    assert selected(tab) == scores.misclassified()


def test_the_selection_as_csv(tab, explored):
    result, _ = explored
    tab.fill("#filter", "drei")
    with tab.expect_download() as waiting:
        tab.click("#download")
    text = Path(waiting.value.path()).read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["file"] for row in rows] == [result.names[i] for i in range(2, 90, 3)]
    assert {row["class"] for row in rows} == {"drei ü"}
    assert [float(row["outlier_factor"]) for row in rows] == pytest.approx(result.outliers[2::3], abs=1e-3)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_pages_of_few_images(browser, tmp_path, count):
    found, labels = images(tmp_path, count)
    write_page(tmp_path / "page.html", page_data(explore(found, labels), "few", "m"), thumbnails(found.paths, 96))
    tab, troubles = opened(browser, tmp_path / "page.html")
    for name in ("Tree", "Classes", "Copies and outliers"):
        tab.click(f"#tabs >> text={name}")
    tab.click("[data-layout=grid]")
    assert tab.inner_text("#counts").startswith(f"{count} images")
    until(tab, f"decoded === {count}")
    assert troubles == []
    tab.close()


def test_a_page_of_identical_images(tmp_path):
    found, labels = images(tmp_path, 12)
    same = Embeddings(found.paths, np.ones((12, 5), np.float32), [b"x"] * 12, [])
    data = page_data(explore(same, labels), "same", "m")
    assert data["same"] == data["near"] == [list(range(12))]
    assert set(data["outliers"]) == {1.0}
    json.dumps(data, allow_nan=False)


def test_too_many_images_are_refused():
    many = Embeddings(["x"] * (LARGEST + 1), np.zeros((LARGEST + 1, 1)), [], [])
    with pytest.raises(KerasVisionError, match="at most 10000"):
        explore(many)


def test_the_policy_names_the_script(explored):
    source = explored[1].read_text()
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', source)[1])
    script = re.search(r"<script>(.*?)</script>", source, re.DOTALL)[1]
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_thumbnails_keep_their_shape(tmp_path):
    Image.new("RGB", (4000, 1000), "red").save(tmp_path / "wide.jpg")
    Image.new("L", (10, 20), 90).save(tmp_path / "small.png")
    exif = Image.Exif()
    exif[274] = 6  # lies on its side
    Image.new("RGB", (400, 100), "blue").save(tmp_path / "turned.jpg", exif=exif)
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff bad")
    found = thumbnails([tmp_path / name for name in ("wide.jpg", "small.png", "turned.jpg", "bad.jpg", "gone.jpg")], 96)
    sizes = [Image.open(io.BytesIO(each)).size for each in found[:3]]
    assert sizes == [(96, 24), (10, 20), (24, 96)]
    assert found[3:] == [b"", b""]


def test_the_page_is_served_to_this_machine_alone():
    server = page_server(page(page_data(explore(Embeddings([], np.zeros((0, 3)), [], [])), "t", "m"), []))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        assert server.server_address[0] == "127.0.0.1"
        address = f"http://127.0.0.1:{server.server_port}/"
        with urllib.request.urlopen(address) as answer:
            assert b"<title>t</title>" in answer.read()
        foreign = urllib.request.Request(address, headers={"Host": "evil.example"})
        for request, code in ((foreign, 403), (f"{address}etc/passwd", 404)):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request)
            assert refused.value.code == code
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
