"use strict";
// Buttons, and the first picture: points at once, thumbnails as they are decoded.

function showTab(name) {
  for (const tab of document.querySelectorAll(".tab")) tab.hidden = tab.id !== name;
  for (const button of document.querySelectorAll("#tabs button")) button.classList.toggle("on", button.dataset.tab === name);
  if (name !== "tree") return;
  showBranch();
  drawTree();
}

function on(id, event, action) {
  document.getElementById(id).addEventListener(event, action);
}

on("tabs", "click", (event) => event.target.dataset.tab && showTab(event.target.dataset.tab));
on("layouts", "click", (event) => {
  if (!event.target.dataset.layout) return;
  state.layout = event.target.dataset.layout;
  for (const button of document.querySelectorAll("#layouts button")) button.classList.toggle("on", button === event.target);
  showAll();
});
on("colour", "change", (event) => {
  state.colour = event.target.value;
  changed();
});
on("cut", "input", (event) => {
  state.clusters = Number(event.target.value);
  document.getElementById("cuts").textContent = event.target.value;
  cutTree(state.clusters);
  changed();
});
on("filter", "input", (event) => {
  const wanted = event.target.value.trim().toLowerCase();
  const matches = (image) => `${data.names[image]}\n${className(image)}`.toLowerCase().includes(wanted);
  select(wanted ? [...data.names.keys()].filter(matches) : [], wanted ? `that match “${wanted}”` : "");
  showTab("selection");
});
on("clear", "click", () => {
  document.getElementById("filter").value = "";
  state.picked = -1;
  select([], "");
});
on("download", "click", () => {
  const address = URL.createObjectURL(new Blob(["\ufeff", csv()], { type: "text/csv" }));
  element("a", { href: address, download: "images.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
});
window.addEventListener("resize", () => {
  drawMapSoon();
  if (!document.getElementById("tree").hidden) drawTree();
});

function begin() {
  document.getElementById("title").textContent = data.title;
  const parts = [`${count} images`, data.model];
  if (data.classes.length) parts.splice(1, 0, `${data.classes.length} classes`);
  document.getElementById("counts").textContent = parts.join(" · ");
  document.getElementById("colour").value = state.colour;
  const cut = document.getElementById("cut");
  cut.max = Math.max(1, Math.min(20, count));
  cut.value = state.clusters;
  document.getElementById("cuts").textContent = String(state.clusters);
  arrange();
  cutTree(state.clusters);
  listeners.push(drawMapSoon, showSelection, showBranch, showLegend, () => document.getElementById("tree").hidden || drawTree());
  showLegend();
  showAll();
}

begin();
document.addEventListener("DOMContentLoaded", () => {
  showSelection();
  showClasses();
  showQuality();
  drawMapSoon();
});
