"use strict";
// What stands beside the map: pictures of the selection, classes, copies and outliers.

const SHOWN = 200; // pictures at first
const WIDEST = 30; // classes of a confusion matrix

function pictureButton(image, note) {
  const shown = element("button", { className: `picture${wrong(image) ? " wrong" : ""}`, title: data.names[image] }, pictureElement(image));
  const name = data.names[image].split("/").pop();
  shown.append(element("span", {}, note || name));
  const label = className(image);
  if (label) shown.append(element("span", { className: "class" }, wrong(image) ? `${label} → ${predicted(image)}` : label));
  shown.addEventListener("click", () => {
    pick(image);
    showTab("selection");
  });
  return shown;
}

function gallery(found, notes) {
  const shown = element("div", { className: "pictures" });
  const whole = element("div", {}, shown);
  const add = (from) => {
    const to = Math.min(found.length, from + SHOWN);
    for (let i = from; i < to; i++) shown.append(pictureButton(found[i], notes && notes[i]));
    if (to < found.length) {
      const more = element("button", { className: "more" }, `${found.length - to} more`);
      more.addEventListener("click", () => {
        more.remove();
        add(to);
      });
      whole.append(more);
    }
  };
  add(0);
  return whole;
}

function showSelection() {
  const picked = document.getElementById("picked");
  picked.replaceChildren();
  if (state.picked >= 0) picked.append(...details(state.picked));
  const found = [...state.selected];
  document.getElementById("what").textContent = found.length ? `${found.length} images ${state.why}` : state.why && state.why !== "all" ? `No images ${state.why}` : "";
  const here = document.getElementById("gallery");
  here.replaceChildren();
  if (found.length) here.append(gallery(found));
  else if (state.picked < 0) here.append(element("p", { className: "note" }, "Click an image, select some with Shift and the mouse, choose a branch of the tree or a cell of the confusion matrix."));
}

function details(image) {
  const rows = [["file", data.names[image]], ["class", className(image)], ["predicted", predicted(image)], ["cluster", String(state.cluster[image] + 1)], ["outlier factor", data.outliers[image].toFixed(2)]];
  if (data.scores && className(image)) rows.push(["silhouette", data.silhouettes[image].toFixed(2)]);
  const list = element("dl", {});
  for (const [name, value] of rows) if (value) list.append(element("dt", {}, name), element("dd", {}, value));
  const large = element("div", { className: "large" }, pictureElement(image), list);
  const notes = data.apart[image].map((distance) => `distance ${distance.toFixed(3)}`);
  return [large, element("h2", {}, "Nearest images"), gallery(data.neighbours[image], notes)];
}

function showBranch() {
  const here = document.getElementById("branch");
  if (document.getElementById("tree").hidden) return;
  const found = [...state.selected];
  here.replaceChildren();
  if (found.length) here.append(element("h2", {}, `${found.length} images ${state.why}`), gallery(found));
}

function showClasses() {
  const here = document.getElementById("classes");
  here.replaceChildren();
  const scores = data.scores;
  if (!scores) {
    const why = "There are no two classes of two images. Put the images of each class into a folder of its name.";
    here.append(element("p", { className: "note" }, why));
    return;
  }
  const figures = `AUC ${scores.auc.toFixed(3)}, accuracy ${(100 * scores.ca).toFixed(1)} %, F1 ${scores.f1.toFixed(3)}`;
  here.append(element("p", {}, `${figures}: logistic regression, ${scores.folds}-fold cross-validation${scores.left_out ? `, ${scores.left_out} images left out` : ""}.`));
  const mistakes = element("button", {}, "All mistakes");
  mistakes.addEventListener("click", () => chooseMistakes((truth, guess) => truth !== guess, "classified wrongly"));
  here.append(element("p", {}, mistakes));
  here.append(element("h2", {}, "Rows: class. Columns: predicted. Click a cell for its images."));
  here.append(scores.classes.length <= WIDEST ? matrix(scores) : pairs(scores));
}

function chooseMistakes(wanted, why) {
  const found = [];
  for (let image = 0; image < count; image++) {
    const guess = data.scores.predicted[image];
    if (guess >= 0 && wanted(data.label[image], guess)) found.push(image);
  }
  select(found, why);
  showTab("selection");
}

function chooseCell(truth, guess) {
  const why = `of class ${data.classes[truth]}, predicted ${data.classes[guess]}`;
  chooseMistakes((t, g) => t === truth && g === guess, why);
}

function matrix(scores) {
  const table = element("table", { className: "matrix" });
  const head = element("tr", {}, element("th", {}));
  for (const name of scores.classes) head.append(element("th", { className: "down", title: data.classes[name] }, data.classes[name]));
  table.append(head);
  scores.confusion.forEach((counts, row) => {
    const whole = counts.reduce((sum, each) => sum + each, 0) || 1;
    const line = element("tr", {}, element("th", { title: data.classes[scores.classes[row]] }, data.classes[scores.classes[row]]));
    counts.forEach((each, column) => {
      const cell_ = element("button", {}, String(each || ""));
      cell_.addEventListener("click", () => chooseCell(scores.classes[row], scores.classes[column]));
      const place_ = element("td", {}, cell_);
      place_.style.background = `rgba(${row === column ? "31,119,180" : "194,59,34"},${Math.min(0.75, each / whole)})`;
      line.append(place_);
    });
    table.append(line);
  });
  return element("div", { className: "scroll" }, table);
}

function pairs(scores) {
  const found = [];
  scores.confusion.forEach((counts, row) => counts.forEach((each, column) => {
    if (each && row !== column) found.push([each, row, column]);
  }));
  found.sort((a, b) => b[0] - a[0]);
  const table = element("table", {});
  for (const [each, row, column] of found.slice(0, 200)) {
    const [truth, guess] = [scores.classes[row], scores.classes[column]];
    const shown = element("button", {}, String(each));
    shown.addEventListener("click", () => chooseCell(truth, guess));
    table.append(element("tr", {}, element("td", {}, shown), element("td", {}, data.classes[truth]), element("td", {}, data.classes[guess])));
  }
  return table;
}

function showQuality() {
  const here = document.getElementById("quality");
  here.replaceChildren();
  for (const [title, groups] of [["Copies of one file", data.same], ["Nearly the same", data.near]]) {
    here.append(element("h2", {}, `${title}: ${groups.length || "none"}`));
    for (const group of groups.slice(0, 30)) {
      const chosen = element("button", {}, `${group.length} images`);
      chosen.addEventListener("click", () => {
        select(group, title.toLowerCase());
        showTab("selection");
      });
      here.append(element("p", {}, chosen), gallery(group.slice(0, 4)));
    }
  }
  const apart = [...data.outliers.keys()].sort((a, b) => data.outliers[b] - data.outliers[a]).slice(0, 12);
  here.append(element("h2", {}, "Least like the others"), gallery(apart, apart.map((i) => `factor ${data.outliers[i].toFixed(2)}`)));
  here.append(element("h2", {}, `Files that could not be read: ${data.skipped.length || "none"}`));
  const table = element("table", {});
  for (const [name, reason] of data.skipped.slice(0, 500)) table.append(element("tr", {}, element("td", {}, name), element("td", {}, reason)));
  here.append(table);
}

function showLegend() {
  const here = document.getElementById("legend");
  here.replaceChildren();
  if (state.colour === "outlier") return;
  const byClass = state.colour === "class";
  const names = byClass ? data.classes : Array.from({ length: state.clusters }, (_, i) => `cluster ${i + 1}`);
  const numbers = byClass ? data.label : state.cluster;
  names.slice(0, 60).forEach((name, number) => {
    const square = element("i", {});
    square.style.background = paletteColour(number);
    const shown = element("button", { title: name }, square, element("span", {}, name));
    shown.addEventListener("click", () => {
      select([...numbers.keys()].filter((image) => numbers[image] === number), `of ${name}`);
      showTab("selection");
    });
    here.append(shown);
  });
}

function csv() {
  const chosen = state.selected.size ? [...state.selected] : [...data.names.keys()];
  const quoted = (value) => `"${String(value).replaceAll('"', '""')}"`;
  const rows = chosen.map((i) => [data.names[i], className(i), predicted(i), state.cluster[i] + 1, data.outliers[i]]);
  return [["file", "class", "predicted", "cluster", "outlier_factor"], ...rows].map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n";
}
