"use strict";
// The map: images as points of a plane of 10,000 units, seen through a window that moves and zooms.

const WORLD = 10000;
const canvas = document.getElementById("map");
const context = canvas.getContext("2d");
const view = { scale: 1, x: 0, y: 0 }; // screen = world * scale + (x, y), in CSS pixels
const side = Math.max(1, Math.ceil(Math.sqrt(count)));
const cell = WORLD / side;
let drawing = false;
let painted = -1; // thumbnails that were decoded when the first picture was on the screen
let box = null; // of a selection: [x0, y0, x1, y1] on the screen

function place(image) {
  if (state.layout === "grid") return [(data.grid[2 * image] + 0.5) * cell, (data.grid[2 * image + 1] + 0.5) * cell];
  return [data.points[2 * image], data.points[2 * image + 1]];
}

function pictureSize() {
  const world = state.layout === "grid" ? cell * 0.94 : Math.min(cell * 0.7, WORLD / 8);
  return Math.min(world * view.scale, state.layout === "grid" ? 400 : 130);
}

function showAll() {
  const margin = state.layout === "grid" ? 10 : 35;
  const width = canvas.clientWidth - document.getElementById("legend").offsetWidth - 2 * margin; // nothing hidden
  const height = canvas.clientHeight - document.getElementById("help").offsetHeight - 2 * margin;
  view.scale = Math.max(0.001, Math.min(width, height) / WORLD);
  view.x = margin + Math.max(0, (width - WORLD * view.scale) / 2);
  view.y = margin + Math.max(0, (height - WORLD * view.scale) / 2);
  drawMapSoon();
}

function drawMapSoon() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    drawMap();
    if (painted < 0) {
      painted = decoded;
      performance.mark("painted");
    }
  });
}

function drawMap() {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const size = pictureSize();
  const some = state.selected.size > 0;
  const late = [];
  for (let image = 0; image < count; image++) {
    if (image === state.picked || (some && state.selected.has(image))) late.push(image);
    else drawImageAt(image, size, some ? 0.16 : 1, width, height);
  }
  for (const image of late) drawImageAt(image, size, 1, width, height);
  if (box) {
    context.strokeStyle = "#1f5f8b";
    context.strokeRect(box[0], box[1], box[2] - box[0], box[3] - box[1]);
  }
}

function drawImageAt(image, size, alpha, width, height) {
  const [wx, wy] = place(image);
  const x = wx * view.scale + view.x;
  const y = wy * view.scale + view.y;
  if (x < -size || y < -size || x > width + size || y > height + size) return;
  context.globalAlpha = alpha;
  context.fillStyle = colourOf(image);
  const found = size >= 9 ? bitmap(image) : null;
  if (!found) {
    const dot = Math.min(Math.max(size * 0.6, 3), 14);
    context.fillRect(x - dot / 2, y - dot / 2, dot, dot);
  } else {
    const shrink = (size - 2) / Math.max(found.width, found.height);
    const [w, h] = [found.width * shrink, found.height * shrink];
    const edge = size > 24 ? 2 : 1;
    context.fillRect(x - w / 2 - edge, y - h / 2 - edge, w + 2 * edge, h + 2 * edge);
    context.drawImage(found, x - w / 2, y - h / 2, w, h);
  }
  if (image === state.picked) {
    context.lineWidth = 3;
    context.strokeStyle = "#111";
    context.strokeRect(x - size / 2 - 2, y - size / 2 - 2, size + 4, size + 4);
    context.lineWidth = 1;
  }
  context.globalAlpha = 1;
}

function imageAt(x, y) {
  const reach = Math.max(pictureSize() / 2, 5);
  let best = -1;
  let least = Infinity;
  for (let image = 0; image < count; image++) {
    const [wx, wy] = place(image);
    const dx = Math.abs(wx * view.scale + view.x - x);
    const dy = Math.abs(wy * view.scale + view.y - y);
    if (dx <= reach && dy <= reach && dx * dx + dy * dy < least) {
      least = dx * dx + dy * dy;
      best = image;
    }
  }
  return best;
}

function imagesIn([x0, y0, x1, y1]) {
  const found = [];
  for (let image = 0; image < count; image++) {
    const [wx, wy] = place(image);
    const x = wx * view.scale + view.x;
    const y = wy * view.scale + view.y;
    if (x >= Math.min(x0, x1) && x <= Math.max(x0, x1) && y >= Math.min(y0, y1) && y <= Math.max(y0, y1)) found.push(image);
  }
  return found;
}

function zoom(x, y, factor) {
  const scale = Math.min(Math.max(view.scale * factor, 0.005), 8);
  view.x = x - ((x - view.x) * scale) / view.scale;
  view.y = y - ((y - view.y) * scale) / view.scale;
  view.scale = scale;
  drawMapSoon();
}

let drag = null;

canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(event.offsetX, event.offsetY, Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)));
}, { passive: false });

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  drag = { x: event.offsetX, y: event.offsetY, moved: false, selecting: event.shiftKey };
});

canvas.addEventListener("pointermove", (event) => {
  if (!drag) return showTip(event);
  const [dx, dy] = [event.offsetX - drag.x, event.offsetY - drag.y];
  if (!drag.moved && Math.hypot(dx, dy) < 4) return;
  drag.moved = true;
  if (drag.selecting) box = [drag.x, drag.y, event.offsetX, event.offsetY];
  else {
    view.x += dx;
    view.y += dy;
    drag.x = event.offsetX;
    drag.y = event.offsetY;
  }
  drawMapSoon();
});

canvas.addEventListener("pointerup", (event) => {
  const ended = drag;
  drag = null;
  if (box) {
    const found = imagesIn(box);
    box = null;
    select(found, "in the frame");
  } else if (ended && !ended.moved) {
    pick(imageAt(event.offsetX, event.offsetY));
    showTab("selection");
  }
});

canvas.addEventListener("dblclick", showAll);
canvas.addEventListener("pointerleave", () => { document.getElementById("tip").hidden = true; });
canvas.addEventListener("keydown", (event) => {
  const step = { "+": 1.3, "=": 1.3, "-": 1 / 1.3 }[event.key];
  if (step) zoom(canvas.clientWidth / 2, canvas.clientHeight / 2, step);
  const move = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
  if (move) {
    view.x += move[0];
    view.y += move[1];
    drawMapSoon();
    event.preventDefault();
  }
});

function showTip(event) {
  const tip = document.getElementById("tip");
  const image = imageAt(event.offsetX, event.offsetY);
  tip.hidden = image < 0;
  if (image < 0) return;
  tip.textContent = data.names[image];
  tip.style.left = `${Math.min(event.offsetX + 14, canvas.clientWidth - tip.offsetWidth - 4)}px`;
  tip.style.top = `${Math.min(event.offsetY + 14, canvas.clientHeight - tip.offsetHeight - 4)}px`;
}
