"use strict";
// What is shown, and who wants to know when it changes.

const data = JSON.parse(document.getElementById("data").textContent);
const count = data.names.length;
const state = {
  layout: "points", // or "grid"
  colour: data.classes.length ? "class" : "cluster", // or "outlier"
  clusters: Math.min(8, Math.max(1, count)),
  cluster: new Array(count).fill(0), // of each image, by the tree
  selected: new Set(),
  why: "", // how the selection was made
  picked: -1, // the image that was clicked
};
const listeners = [];

function changed() {
  for (const listener of listeners) listener();
}

function select(images, why) {
  state.selected = new Set(images);
  state.why = why;
  changed();
}

function pick(image) {
  state.picked = image;
  changed();
}

function element(name, properties, ...children) {
  const made = document.createElement(name);
  Object.assign(made, properties);
  made.append(...children); // strings become text, never HTML
  return made;
}

function className(image) {
  return data.label[image] < 0 ? "" : data.classes[data.label[image]];
}

function predicted(image) {
  const found = data.scores ? data.scores.predicted[image] : -1;
  return found < 0 ? "" : data.classes[found];
}

function wrong(image) {
  return predicted(image) !== "" && predicted(image) !== className(image);
}

const PALETTE = ["#1f77b4", "#e1812c", "#3a923a", "#c03d3e", "#8c6bb1", "#845b53", "#d684bd", "#7f7f7f", "#a9aa35", "#2eabb8"];

function paletteColour(number) {
  return number < PALETTE.length ? PALETTE[number] : `hsl(${(number * 137.5) % 360} 55% ${40 + (number % 3) * 10}%)`;
}

function outlierColour(factor) {
  const share = Math.min(1, Math.max(0, (factor - 1) / 1)); // from 1, as dense as its neighbours, to 2
  return `hsl(8 ${5 + 80 * share}% ${78 - 33 * share}%)`;
}

function colourOf(image) {
  if (state.colour === "outlier") return outlierColour(data.outliers[image]);
  const number = state.colour === "class" ? data.label[image] : state.cluster[image];
  return number < 0 ? "#9aa4ac" : paletteColour(number);
}
