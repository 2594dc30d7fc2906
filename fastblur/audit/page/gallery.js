// The galleries: lists of items, of which one page of tiles is in the document.

const TILES = 48;
const SHAPE = 4 / 3; // of a tile's picture

/** The four galleries; an item is { image, kind, key, box, score, crop }. */
function galleriesOf(images) {
  const items = (kind, list) =>
    images.flatMap((image) =>
      image[list].map((entry, index) => ({
        image,
        kind,
        key: `${kind} ${image.id} ${index}`,
        box: entry.box,
        score: entry.score,
        crop: entry.crop,
      })),
    );
  const down = (one, other) => other.score - one.score;
  const hidden = items("region", "regions").filter((item) => item.score !== null);
  return [
    { name: "near-misses", title: "Near misses", items: items("near miss", "near_misses").sort(down) },
    { name: "suspects", title: "Suspects", items: items("suspect", "suspects").sort(down) },
    { name: "lowest", title: "Lowest scores", items: hidden.sort((one, other) => one.score - other.score) },
    { name: "sample", title: "Random sample", items: mixed(images.filter((image) => image.sampled)).map(itemOfImage) },
  ];
}

function itemOfImage(image) {
  return { image, kind: "image", key: `image ${image.id}`, box: null, score: null };
}

/** The images in an order that is always the same and has nothing to do with their names: its beginning is a random sample too. */
function mixed(images) {
  const order = (id) => {
    let hash = Math.imul(id ^ (id >>> 16), 0x45d9f3b);
    hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
    return (hash ^ (hash >>> 16)) >>> 0;
  };
  return [...images].sort((one, other) => order(one.id) - order(other.id));
}

class Gallery {
  constructor(grid, pager, judgements, { open, judge }) {
    Object.assign(this, { grid, pager, judgements, open, judge });
    this.first = 0; // of the tiles that are shown
    this.current = 0; // the tile that the keyboard is at
    grid.addEventListener("click", (event) => {
      const tile = event.target.closest(".tile");
      if (tile) this.open(Number(tile.dataset.index));
    });
    grid.addEventListener("keydown", (event) => this.key(event));
    grid.addEventListener("focusin", (event) => {
      if (event.target.dataset.index !== undefined) this.setCurrent(Number(event.target.dataset.index));
    });
    for (const [name, step] of [["earlier", -1], ["later", 1]])
      pager.querySelector(`.${name}`).addEventListener("click", () => this.turn(step));
  }

  set(gallery) {
    this.items = gallery.items;
    const unjudged = this.items.findIndex((item) => this.verdict(item) === null);
    this.show(Math.max(0, unjudged));
  }

  /** Show the page of tiles that has the item `index`. */
  show(index) {
    this.current = Math.max(0, Math.min(index, this.items.length - 1));
    this.first = this.current - (this.current % TILES);
    const shown = this.items.slice(this.first, this.first + TILES);
    this.grid.replaceChildren(...shown.map((item, i) => this.tile(item, this.first + i)));
    const last = this.first + shown.length;
    this.pager.hidden = this.items.length <= TILES;
    this.pager.querySelector(".place").textContent = `${[this.first + 1, last].map(numeral).join(" to ")} of ${numeral(this.items.length)}`;
    setEnabled(this.pager.querySelector(".earlier"), this.first > 0);
    setEnabled(this.pager.querySelector(".later"), last < this.items.length);
    this.setCurrent(this.current);
  }

  /** Show the next page of tiles, or the one before. */
  turn(step) {
    const first = this.first + step * TILES;
    if (first >= 0 && first < this.items.length) this.show(first);
  }

  focus(index) {
    if (index < this.first || index >= this.first + TILES) this.show(index);
    this.tileAt(index)?.focus();
  }

  tileAt(index) {
    return this.grid.querySelector(`[data-index="${index}"]`);
  }

  setCurrent(index) {
    const before = this.tileAt(this.current);
    if (before) before.tabIndex = -1;
    this.current = index;
    const now = this.tileAt(index);
    if (now) now.tabIndex = 0;
  }

  /** How many items were judged. */
  judged(items) {
    return items.filter((item) => this.verdict(item) !== null).length;
  }

  verdict(item) {
    if (!this.judgements.touched.has(item.image.id)) return null;
    return item.kind === "image" ? this.judgements.verdict(item.image) : this.judgements.get(item.key);
  }

  tile(item, index) {
    const { image } = item;
    const [x, y, width, height] = around(image, item.box, SHAPE);
    const picture = element("img");
    picture.loading = "lazy";
    picture.decoding = "async";
    picture.alt = "";
    picture.style.left = `${(-x / width) * 100}%`;
    picture.style.top = `${(-y / height) * 100}%`;
    picture.style.width = `${(image.width / width) * 100}%`;
    picture.style.height = `${(image.height / height) * 100}%`;
    watchLoading(picture, image, () => picture.replaceWith(element("span", "missing", NOT_LOADED)));
    picture.src = image.picture;
    const svg = svgElement("svg", { viewBox: `${x} ${y} ${width} ${height}`, "aria-hidden": "true" });
    const tile = element("button", "tile", element("span", "frame", picture, svg), element("span", "badge"), element("span", "caption"));
    tile.type = "button";
    tile.tabIndex = -1;
    tile.dataset.index = index;
    this.refreshTile(tile, item, index);
    return element("li", "", tile);
  }

  /** Bring a tile's boxes, badge and label up to date. */
  refreshTile(tile, item, index) {
    const verdict = this.verdict(item);
    const svg = tile.querySelector("svg");
    svg.replaceChildren(...(svg.querySelector("image.crop") ? svg.querySelectorAll("image.crop") : cropsOf([item])));
    drawBoxes(svg, boxesOf(item.image, this.judgements), item.key);
    tile.dataset.verdict = verdict ?? "";
    tile.querySelector(".badge").textContent = verdict === "face" ? "● a face" : verdict === "no face" ? "○ no face" : "";
    const text = item.kind === "image" ? item.image.fate : `score ${item.score === null ? "unknown" : item.score.toFixed(3)}`;
    tile.querySelector(".caption").textContent = text;
    const place = `${index + 1} of ${this.items.length}`;
    tile.setAttribute("aria-label", `${place}, ${item.kind}, ${text}, ${verdict ?? "not judged"}, ${item.image.image}`);
  }

  refresh() {
    for (const tile of this.grid.querySelectorAll(".tile")) {
      const index = Number(tile.dataset.index);
      this.refreshTile(tile, this.items[index], index);
    }
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !event.target.closest(".tile")) return;
    const columns = getComputedStyle(this.grid).gridTemplateColumns.split(" ").length;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -TILES, PageDown: TILES };
    const last = this.items.length - 1;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key in steps) this.focus(Math.max(0, Math.min(last, this.current + steps[key])));
    else if (key === "Home") this.focus(0);
    else if (key === "End") this.focus(last);
    else if (key === "f" || key === "n") {
      const goesOn = this.judge(this.items[this.current], key === "f" ? "face" : "no face");
      this.focus(Math.min(last, this.current + (goesOn ? 1 : 0)));
    } else return;
    event.preventDefault();
  }
}
