// One picture enlarged, in a dialog: judged, its boxes judged one by one, boxes drawn with mouse, finger or keyboard.

class Viewer {
  constructor(dialog, judgements, { judge, undo, closed }) {
    Object.assign(this, { dialog, judgements, judge, closed });
    this.part = (name) => dialog.querySelector(`.${name}`);
    this.svg = this.part("stage").querySelector("svg");
    this.hasShards = judgements.images.some((image) => image.shard !== judgements.images[0].shard);
    this.drawing = false; // whether a finger draws instead of scrolling
    this.sketch = null; // the box that is being drawn
    const press = (name, act) => this.part(name).addEventListener("click", act);
    press("previous", () => this.step(-1));
    press("next", () => this.step(1));
    press("face", () => this.decide("face"));
    press("no-face", () => this.decide("no face"));
    press("undo", undo);
    press("draw", (event) => (event.detail === 0 ? this.sketchByKeyboard() : this.setDrawing(!this.drawing)));
    press("zoom", () => this.zoomTo(this.view ? null : this.closeUp()));
    press("close", () => dialog.close());
    dialog.addEventListener("close", () => this.closed(this.index));
    dialog.addEventListener("keydown", (event) => this.key(event));
    this.svg.addEventListener("pointerdown", (event) => this.begin(event));
    this.svg.addEventListener("pointermove", (event) => this.move(event));
    this.svg.addEventListener("pointerup", (event) => this.end(event));
    this.svg.addEventListener("pointercancel", () => this.dropSketch());
    this.svg.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  open(items, index) {
    this.items = items;
    this.setDrawing(false);
    this.dialog.showModal();
    this.show(index);
    this.part("name").focus();
  }

  show(index) {
    this.index = index;
    this.item = this.items[index];
    this.view = this.firstView();
    this.sketch = null;
    this.refresh();
    this.part("announced").textContent = `${index + 1} of ${this.items.length}, ${this.item.image.image}. ${this.part("state").textContent}`;
    const next = this.items[index + 1];
    if (next) new Image().src = next.image.picture;
  }

  step(by) {
    const index = this.index + by;
    if (index >= 0 && index < this.items.length) {
      this.say("");
      this.show(index);
    } else this.say(by > 0 ? "This is the last picture." : "This is the first picture.");
  }

  say(text) {
    this.part("said").textContent = text;
  }

  decide(verdict) {
    if (!this.judge(this.item, verdict)) return;
    if (this.index + 1 < this.items.length) this.show(this.index + 1);
    else this.say(`${this.part("said").textContent} This was the last picture.`);
  }

  /** Bring everything up to date with the judgements. */
  refresh() {
    if (!this.item) return;
    const { image, key, kind } = this.item;
    const boxes = boxesOf(image, this.judgements);
    boxes.sort((one, other) => (other.key === key) - (one.key === key));
    this.part("name").textContent = image.image;
    this.part("place").textContent = `${this.index + 1} of ${this.items.length}`;
    const verdict = kind === "image" ? this.judgements.verdict(image) : this.judgements.get(key);
    const judged = verdict === null ? "Not judged." : `Judged: ${verdict === "face" ? "a face" : "no face"}.`;
    this.part("state").textContent = `${QUESTIONS[kind]} ${judged}`;
    this.part("face").setAttribute("aria-pressed", verdict === "face");
    this.part("no-face").setAttribute("aria-pressed", verdict === "no face");
    setEnabled(this.part("previous"), this.index > 0);
    setEnabled(this.part("next"), this.index + 1 < this.items.length);
    this.part("facts").textContent = [
      image.fate,
      `${image.width} × ${image.height} px`,
      ...(image.picture_width < image.width ? [`shown at ${image.picture_width} × ${image.picture_height}`] : []),
      ...(this.hasShards ? [`shard ${image.shard}`] : []),
    ].join(", ");
    this.drawPicture(boxes);
    this.listBoxes(boxes);
  }

  drawPicture(boxes = boxesOf(this.item.image, this.judgements)) {
    const { image, key } = this.item;
    const whole = [0, 0, image.width, image.height];
    this.svg.setAttribute("viewBox", (this.view ?? whole).join(" "));
    const crops = this.svg.querySelectorAll("image.crop"); // of the same image, if its picture is there
    const picture = this.pictureOf(image);
    const all = [...image.regions, ...image.near_misses, ...image.suspects];
    this.svg.replaceChildren(picture, ...(picture.isConnected ? crops : cropsOf(all)));
    drawBoxes(this.svg, boxes, key);
    if (this.sketch) drawBoxes(this.svg, [{ key: "sketch", kind: "drawn", box: ordered(this.sketch) }], "sketch");
  }

  /** The SVG image element, loaded once. */
  pictureOf(image) {
    const there = this.svg.querySelector("image:not(.crop)");
    if (there?.getAttribute("href") === image.picture) return there;
    this.part("missing").textContent = "";
    const made = svgElement("image", { width: image.width, height: image.height, preserveAspectRatio: "none" });
    watchLoading(made, image, () => {
      this.part("missing").textContent = NOT_LOADED;
    });
    made.setAttribute("href", image.picture);
    return made;
  }

  listBoxes(boxes) {
    const focused = document.activeElement?.dataset.key;
    const rows = boxes.map(({ key, kind, text, verdict }) => {
      const row = element("li", kind.replace(" ", "-"), element("span", "swatch"), element("span", "text", text));
      if (key === this.item.key) row.classList.add("current");
      const button = (label, value) => {
        const made = element("button", "", label);
        made.type = "button";
        made.dataset.key = `${key} ${value}`;
        made.setAttribute("aria-label", `${label}: ${text}`);
        if (kind !== "drawn") made.setAttribute("aria-pressed", verdict === value);
        made.addEventListener("click", () => this.judgements.record([[key, verdict === value ? null : value]]));
        return made;
      };
      if (kind === "drawn") row.append(button("delete", null));
      else row.append(button("a face", "face"), button("no face", "no face"));
      const mark = (on) => this.svg.querySelector(`g[data-key="${key}"]`)?.classList.toggle("marked", on);
      row.addEventListener("pointerenter", () => mark(true));
      row.addEventListener("pointerleave", () => mark(false));
      row.addEventListener("focusin", () => mark(true));
      row.addEventListener("focusout", () => mark(false));
      return row;
    });
    this.part("boxes").replaceChildren(...rows);
    if (focused) this.part("boxes").querySelector(`[data-key="${focused}"]`)?.focus();
  }

  /** A box that would be hard to find is shown with what is around it, anything else in the whole picture (null). */
  firstView() {
    const { image, box } = this.item;
    if (!box || Math.max(box[2] - box[0], box[3] - box[1]) >= Math.max(image.width, image.height) / 5) return null;
    const shape = image.width / image.height;
    const shown = Math.min(this.svg.clientWidth / Math.max(1, shape), this.svg.clientHeight * Math.min(1, shape));
    return around(image, box, shape, Math.max(2, Math.min(8, shown / FACE)));
  }

  closeUp() {
    const { image, box } = this.item;
    const shape = this.svg.clientWidth / this.svg.clientHeight;
    if (box) return around(image, box, shape);
    return [image.width / 4, image.height / 4, image.width / 2, image.height / 2];
  }

  zoomTo(view) {
    this.view = view;
    this.drawPicture();
  }

  /** Enlarge by a factor; the point (x, y), upright px, stays where it is. */
  zoomBy(factor, x, y) {
    const { width, height } = this.item.image;
    const [left, top, wide, high] = this.view ?? [0, 0, width, height];
    const scale = Math.max(1 / factor, 16 / Math.max(wide, high));
    if (wide * scale >= width && high * scale >= height) this.zoomTo(null);
    else this.zoomTo([x + (left - x) * scale, y + (top - y) * scale, wide * scale, high * scale]);
  }

  wheel(event) {
    event.preventDefault();
    this.zoomBy(event.deltaY < 0 ? 1.25 : 0.8, ...this.place(event));
  }

  /** Where a pointer is, upright px. */
  place(event) {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    return [point.x, point.y];
  }

  setDrawing(on) {
    this.drawing = on;
    this.sketch = null;
    this.part("draw").setAttribute("aria-pressed", on);
    this.svg.classList.toggle("drawing", on);
  }

  begin(event) {
    if (event.button !== 0 || (event.pointerType === "touch" && !this.drawing)) return;
    event.preventDefault();
    this.svg.setPointerCapture(event.pointerId);
    const [x, y] = this.place(event);
    this.pressed = [event.clientX, event.clientY];
    this.sketch = [x, y, x, y];
  }

  move(event) {
    if (!this.sketch || !this.pressed) return;
    this.sketch.splice(2, 2, ...this.place(event));
    this.drawPicture();
  }

  end(event) {
    if (!this.sketch || !this.pressed) return;
    const far = Math.max(Math.abs(event.clientX - this.pressed[0]), Math.abs(event.clientY - this.pressed[1]));
    this.pressed = null;
    if (far < 4) this.dropSketch(); // a click
    else this.keepSketch();
  }

  dropSketch() {
    this.sketch = null;
    this.pressed = null;
    this.drawPicture();
  }

  keepSketch() {
    const { image } = this.item;
    const [x0, y0, x1, y1] = ordered(this.sketch);
    const [left, top] = [Math.max(0, Math.floor(x0)), Math.max(0, Math.floor(y0))];
    const box = [left, top, Math.min(image.width, Math.ceil(x1)), Math.min(image.height, Math.ceil(y1))];
    this.setDrawing(false);
    if (box[2] - box[0] < 2 || box[3] - box[1] < 2) {
      this.drawPicture();
      this.say("The box is too small or outside the picture, and was not kept.");
      return;
    }
    const step = [[this.judgements.newDrawnKey(image), box]];
    if (this.item.kind === "image") step.push([this.item.key, "face"]);
    this.judgements.record(step);
    this.say(`Box kept: ${box[2] - box[0]} × ${box[3] - box[1]} px.`);
  }

  /** Begin a box that the arrow keys move. */
  sketchByKeyboard() {
    const { width, height } = this.item.image;
    const [left, top, wide, high] = this.view ?? [0, 0, width, height];
    this.sketch = [left + wide * 0.4, top + high * 0.4, left + wide * 0.6, top + high * 0.6];
    this.drawPicture();
    this.say("A box in the middle: arrows move it, Shift and arrows change its size, Enter keeps it, Escape drops it.");
  }

  moveSketch(key, resize) {
    const length = Math.max(1, (this.view?.[2] ?? this.item.image.width) / 50);
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    for (const i of resize ? [2] : [0, 2]) {
      this.sketch[i] += dx * length;
      this.sketch[i + 1] += dy * length;
    }
    this.drawPicture();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (this.sketch && !this.pressed) {
      if (key.startsWith("Arrow")) this.moveSketch(key, event.shiftKey);
      else if (key === "Enter") this.keepSketch();
      else if (key === "Escape") this.dropSketch();
      else return;
      event.preventDefault();
      return;
    }
    const { width, height } = this.item.image;
    const [left, top, wide, high] = this.view ?? [0, 0, width, height];
    const middle = [left + wide / 2, top + high / 2];
    if (event.shiftKey && key.startsWith("Arrow")) this.pan(key);
    else if (key === "ArrowLeft") this.step(-1);
    else if (key === "ArrowRight") this.step(1);
    else if (key === "f") this.decide("face");
    else if (key === "n") this.decide("no face");
    else if (key === "u") this.part("undo").click();
    else if (key === "b") this.sketchByKeyboard();
    else if (key === "z") this.part("zoom").click();
    else if (key === "+" || key === "=") this.zoomBy(1.5, ...middle);
    else if (key === "-") this.zoomBy(1 / 1.5, ...middle);
    else if (key === "0") this.zoomTo(null);
    else return;
    event.preventDefault();
  }

  pan(key) {
    if (!this.view) return;
    const [left, top, wide, high] = this.view;
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    this.zoomTo([left + (dx * wide) / 5, top + (dy * high) / 5, wide, high]);
  }
}

const FACE = 160; // px at which a box is shown at least

const QUESTIONS = {
  "near miss": "The detector was not sure about the marked box. Is it a face?",
  suspect: "The harder search found the marked box. Is it a face?",
  region: "The marked region was hidden. Was it a face?",
  image: "Does this picture still show a face?",
};

function ordered([x0, y0, x1, y1]) {
  return [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)];
}
