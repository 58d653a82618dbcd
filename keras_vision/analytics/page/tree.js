"use strict";
// Ward's tree: nodes below `count` are images, node count + i is the i-th join.

const treeCanvas = document.getElementById("dendrogram");
const treeContext = treeCanvas.getContext("2d");
const top_ = 2 * count - 2; // the node of all images
const order = []; // images from top to bottom of the tree
const first = new Array(Math.max(0, 2 * count - 1)).fill(0); // place in `order` of a node's first image
let root = top_;
const ROW = 18; // pixels of an image, where names are shown
const NAMED = 150; // most images of a branch with names

const join = (node) => data.tree[node - count];
const height = (node) => (node < count ? 0 : join(node)[2]);
const size = (node) => (node < count ? 1 : join(node)[3]);
const images = (node) => order.slice(first[node], first[node] + size(node));

function arrange() {
  const todo = count ? [top_] : [];
  while (todo.length) {
    const node = todo.pop();
    first[node] = order.length;
    if (node < count) order.push(node);
    else todo.push(join(node)[1], join(node)[0]);
  }
}

function cutTree(clusters) {
  const parts = count ? [top_] : [];
  while (parts.length < Math.min(clusters, count)) {
    parts.sort((a, b) => height(a) - height(b));
    const node = parts.pop();
    if (node < count) {
      parts.push(node);
      break;
    }
    parts.push(join(node)[0], join(node)[1]);
  }
  parts.sort((a, b) => first[a] - first[b]);
  parts.forEach((node, number) => images(node).forEach((image) => { state.cluster[image] = number; }));
}

function treeGeometry() {
  const leaves = count ? size(root) : 0;
  const named = leaves <= NAMED;
  const rows = named ? leaves * ROW : Math.max(360, treeCanvas.parentElement.clientHeight - 6);
  const width = treeCanvas.clientWidth;
  const right = named ? 190 : 14;
  return { leaves, named, rows, width, branch: Math.max(60, width - right), scale: height(root) || 1 };
}

function drawTree() {
  const { leaves, named, rows, width, branch, scale } = treeGeometry();
  const ratio = window.devicePixelRatio || 1;
  treeCanvas.style.height = `${rows}px`;
  treeCanvas.width = Math.round(width * ratio);
  treeCanvas.height = Math.round(rows * ratio);
  treeContext.setTransform(ratio, 0, 0, ratio, 0, 0);
  if (!leaves) return;
  const across = (node) => 4 + (1 - height(node) / scale) * (branch - 8);
  const row = rows / leaves;
  const down = (node) => (first[node] - first[root] + size(node) / 2) * row;
  const todo = [root];
  while (todo.length) {
    const node = todo.pop();
    if (node < count) continue;
    const [a, b] = join(node);
    const x = across(node);
    treeContext.strokeStyle = colourOfNode(node);
    treeContext.beginPath();
    treeContext.moveTo(across(a), down(a));
    treeContext.lineTo(x, down(a));
    treeContext.lineTo(x, down(b));
    treeContext.lineTo(across(b), down(b));
    treeContext.stroke();
    for (const child of [a, b]) if (size(child) * row > 1) todo.push(child); // finer ones would not be seen
  }
  for (let place = 0; place < leaves; place++) drawLeaf(order[first[root] + place], (place + 0.5) * row, row, branch, named);
}

function drawLeaf(image, y, row, x, named) {
  const faint = state.selected.size > 0 && !state.selected.has(image);
  treeContext.globalAlpha = faint ? 0.3 : 1;
  treeContext.fillStyle = colourOf(image);
  treeContext.fillRect(x, y - row / 2, 8, Math.max(row, 1));
  if (named) {
    const found = bitmap(image);
    if (found) {
      const shrink = (ROW - 2) / Math.max(found.width, found.height);
      treeContext.drawImage(found, x + 12, y - (found.height * shrink) / 2, found.width * shrink, found.height * shrink);
    }
    treeContext.fillStyle = "#1d2730";
    treeContext.font = "11px system-ui, 'DejaVu Sans', sans-serif";
    treeContext.textBaseline = "middle";
    treeContext.fillText(shortened(data.names[image], 26), x + 32, y);
  }
  treeContext.globalAlpha = 1;
}

function shortened(name, most) {
  return name.length <= most ? name : `…${name.slice(1 - most)}`;
}

function colourOfNode(node) {
  const last = first[node] + size(node) - 1;
  const cluster = state.cluster[order[first[node]]];
  return state.cluster[order[last]] === cluster ? paletteColour(cluster) : "#5b6770";
}

function branchAt(x, y) {
  // The largest branch that holds the row and joins to the right of the place.
  const { leaves, rows, branch, scale } = treeGeometry();
  if (!leaves) return -1;
  const cut = (1 - (x - 4) / (branch - 8)) * scale;
  const leaf = first[root] + Math.min(leaves - 1, Math.floor((y / rows) * leaves));
  let node = root;
  while (node >= count && height(node) > cut) {
    const [a, b] = join(node);
    node = leaf < first[b] ? a : b;
  }
  return node;
}

treeCanvas.addEventListener("click", (event) => {
  const node = branchAt(event.offsetX, event.offsetY);
  if (node < 0) return;
  if (node < count) state.picked = node;
  select(images(node), "in the branch");
});
treeCanvas.addEventListener("dblclick", (event) => {
  const node = branchAt(event.offsetX, event.offsetY);
  if (node < count) return;
  root = node;
  drawTree();
});
document.getElementById("up").addEventListener("click", () => {
  root = top_;
  drawTree();
});
