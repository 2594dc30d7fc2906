// Boxes over pictures, as SVG in upright px of the full-size image.

const SVG = "http://www.w3.org/2000/svg";

function svgElement(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/** An HTML element: its class, its text and its children. Text never becomes HTML. */
function element(name, className = "", ...content) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

const NOT_LOADED = "This picture cannot be loaded: is the folder “pictures” next to index.html?";

/** Call `failed` where a picture, an img or SVG image element, cannot be loaded; what is not seen is not judged clean. */
function watchLoading(picture, image, failed) {
  picture.addEventListener("error", () => {
    image.isMissing = true;
    failed();
  });
  picture.addEventListener("load", () => {
    image.isMissing = false;
  });
}

/** A button that can do nothing keeps the focus, else keys would go nowhere. */
function setEnabled(button, enabled) {
  button.setAttribute("aria-disabled", !enabled);
}

/** The boxes of an image: what they are, their keys, what to say of them. */
function boxesOf(image, judgements) {
  const found = [];
  const list = (kind, entries, text) => {
    entries.forEach((entry, index) => {
      const key = `${kind} ${image.id} ${index}`;
      found.push({ key, kind, box: entry.box, text: text(entry), verdict: judgements.get(key) });
    });
  };
  const covered = ({ coverage }) => (coverage === null ? "" : `, ${Math.floor(coverage * 100)}\u00a0% covered`);
  list("region", image.regions, (one) => `hidden region${scored(one)}${covered(one)}`);
  list("near miss", image.near_misses, (one) => `near miss${scored(one)}`);
  list("suspect", image.suspects, (one) => `suspect${scored(one)}, found by ${one.found_by}`);
  for (const [key, box] of judgements.drawn(image)) found.push({ key, kind: "drawn", box, text: "drawn box", verdict: "face" });
  return found;
}

function scored({ score }) {
  return score === null ? "" : `, score\u00a0${score.toFixed(3)}`;
}

/** What an image's pictures are made of, SVG elements in upright px: a picture of all of it, under crops in full size. */
function cropsOf(entries) {
  return entries
    .filter((entry) => entry.crop)
    .map(({ crop: { picture, box: [x, y, x1, y1] } }) =>
      svgElement("image", { x, y, width: x1 - x, height: y1 - y, preserveAspectRatio: "none", href: picture, class: "crop" }),
    );
}

/** Draw boxes into an SVG element: a dark line under a bright one, so that they are seen on every picture. */
function drawBoxes(svg, boxes, activeKey) {
  for (const { key, kind, box, verdict } of boxes) {
    const [x, y, x1, y1] = box;
    const group = svgElement("g", { class: `box ${kind.replace(" ", "-")}${key === activeKey ? " active" : ""}` });
    if (verdict) group.dataset.verdict = verdict;
    group.dataset.key = key;
    for (const part of ["under", "over"]) group.append(svgElement("rect", { class: part, x, y, width: x1 - x, height: y1 - y }));
    svg.append(group);
  }
}

/** The part of an image around a box, `times` as long as it, width over height = `shape`: [x, y, width, height], upright px. */
function around(image, box, shape, times = 2.5) {
  if (!box) {
    const width = Math.max(image.width, image.height * shape);
    return [(image.width - width) / 2, (image.height - width / shape) / 2, width, width / shape];
  }
  const longer = Math.max(box[2] - box[0], box[3] - box[1], 12);
  const width = Math.min(times * longer * Math.max(1, shape), Math.max(image.width, image.height * shape));
  const height = width / shape;
  const start = (middle, length, whole) =>
    length > whole ? (whole - length) / 2 : Math.max(0, Math.min(whole - length, middle - length / 2));
  const [x, y] = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
  return [start(x, width, image.width), start(y, height, image.height), width, height];
}
