"use strict";
// Thumbnails are text in the page until they are looked at.

const DECODING = 12; // at once
const KEPT = 6000; // decoded: 64 MB with those of a large page
const bitmaps = new Map(); // image to ImageBitmap, or null while it is decoded or where there is none
const pending = [];
let texts = null;
let decoding = 0;
let decoded = 0;

function pictureText(image) {
  if (texts === null) {
    if (document.readyState === "loading") return ""; // the texts are the last part of the page
    texts = document.getElementById("pictures").textContent.split("\n");
  }
  return texts[image] || "";
}

function bitmap(image) {
  if (bitmaps.has(image)) return bitmaps.get(image);
  if (pictureText(image)) {
    bitmaps.set(image, null);
    pending.push(image);
    setTimeout(decodeNext, 0); // after what is being drawn
  }
  return null;
}

async function decodeNext() {
  while (decoding < DECODING && pending.length) {
    decoding++;
    const image = pending.pop(); // what is looked at now comes first
    decode(image).finally(() => {
      decoding--;
      decodeNext();
    });
  }
}

async function decode(image) {
  const bytes = Uint8Array.from(atob(pictureText(image)), (letter) => letter.charCodeAt(0));
  try {
    bitmaps.set(image, await createImageBitmap(new Blob([bytes], { type: "image/jpeg" })));
  } catch {
    return; // stays a coloured square
  }
  decoded++;
  if (bitmaps.size > KEPT) forget();
  drawMapSoon();
}

function forget() {
  for (const [image, found] of bitmaps) {
    if (bitmaps.size <= KEPT * 0.8) return;
    if (found === null) continue;
    found.close();
    bitmaps.delete(image);
  }
}

function pictureElement(image) {
  const text = pictureText(image);
  const shown = element("img", { alt: "", loading: "lazy", decoding: "async" });
  if (text) shown.src = `data:image/jpeg;base64,${text}`;
  return shown;
}
