// judgements.jsonl: a line for each image of which something was judged, its boxes in stored px.

/** A box, upright px, in stored px; `matrix` is [a, b, c, d, e, f] with x' = a x + b y + c, y' = d x + e y + f. */
function mapped(box, [a, b, c, d, e, f]) {
  const xs = [a * box[0] + b * box[1] + c, a * box[2] + b * box[3] + c];
  const ys = [d * box[0] + e * box[1] + f, d * box[2] + e * box[3] + f];
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

function inverse([a, b, c, d, e, f]) {
  const det = a * e - b * d;
  return [e / det, -b / det, (b * f - c * e) / det, -d / det, a / det, (c * d - a * f) / det];
}

const KINDS = { "near miss": "near_misses", suspect: "suspects", region: "regions" };

function lineOf(image, judgements) {
  if (!judgements.touched.has(image.id)) return null;
  const stored = (box) => mapped(box, image.to_stored);
  const judged = [];
  const kept = [];
  const removed = [];
  for (const [kind, list] of Object.entries(KINDS)) {
    image[list].forEach(({ box }, index) => {
      const verdict = judgements.get(`${kind} ${image.id} ${index}`);
      if (verdict) judged.push({ kind, box: stored(box), verdict });
      if (kind === "region") (verdict === "no face" ? removed : kept).push(stored(box));
    });
  }
  const whole = judgements.get(`image ${image.id}`);
  if (whole) judged.push({ kind: "image", verdict: whole });
  const added = judgements.added(image).map(stored);
  if (judged.length === 0 && added.length === 0) return null;
  return {
    image: image.image,
    shard: image.shard,
    width: image.stored_width,
    height: image.stored_height,
    coordinates: "stored",
    sampled: image.sampled,
    verdict: judgements.verdict(image),
    boxes: [...kept, ...added],
    add: added,
    remove: removed,
    judged,
  };
}

/** The content of judgements.jsonl. */
function toFile(judgements) {
  const lines = judgements.images.map((image) => lineOf(image, judgements)).filter(Boolean);
  for (const [key, line] of judgements.values) if (key.startsWith("line ") && line) lines.push(line);
  // Some programs end a line at these characters too.
  const escaped = (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return lines.map((line) => `${JSON.stringify(line).replace(/[\u0085\u2028\u2029]/g, escaped)}\n`).join("");
}

/** The step that takes over a file's judgements, and how many of its lines are of images in this report; throws Error. */
function fromFile(text, judgements) {
  const byName = new Map(judgements.images.map((image) => [JSON.stringify([image.shard, image.image]), image]));
  const step = [];
  let here = 0;
  text.split("\n").forEach((source, number) => {
    if (!source.trim()) return;
    const line = checkedLine(source, number + 1);
    const name = JSON.stringify([line.shard, line.image]);
    const image = byName.get(name);
    if (image) {
      here++;
      step.push(...changesOf(line, image, judgements, number + 1));
    } else step.push([`line ${name}`, line]);
  });
  return { step, here };
}

const isBox = (box) =>
  Array.isArray(box) && box.length === 4 && box.every(Number.isFinite) && box[0] < box[2] && box[1] < box[3];

function checkedLine(source, number) {
  let line;
  try {
    line = JSON.parse(source);
  } catch {
    throw new Error(`Line ${number} is no JSON: expected a file that this page saved.`);
  }
  const boxes = (list) => Array.isArray(list) && list.every(isBox);
  const isVerdict = ["face", "no face", null].includes(line?.verdict);
  if (!isVerdict || typeof line.image !== "string" || line.coordinates !== "stored" || !boxes(line.add) || !boxes(line.remove))
    throw new Error(`Line ${number} is no judgement: expected image, verdict, coordinates, add and remove.`);
  return line;
}

function changesOf(line, image, judgements, number) {
  if (line.width !== image.stored_width || line.height !== image.stored_height)
    throw new Error(`Line ${number} is of an image of ${line.width} x ${line.height} px, expected ${image.stored_width} x ${image.stored_height}.`);
  const upright = inverse(image.to_stored);
  const isSame = (one, other) => one.every((value, i) => Math.abs(value - other[i]) < 0.01);
  const find = (list, box) => image[list].findIndex((entry) => isSame(mapped(entry.box, image.to_stored), box));
  const changes = new Map();
  const judged = Array.isArray(line.judged) ? line.judged : [{ kind: "image", verdict: line.verdict }];
  for (const entry of judged) {
    if (entry?.verdict !== "face" && entry?.verdict !== "no face") continue;
    if (entry.kind === "image") changes.set(`image ${image.id}`, entry.verdict);
    if (!Object.hasOwn(KINDS, entry.kind) || !isBox(entry.box)) continue;
    const index = find(KINDS[entry.kind], entry.box);
    if (index >= 0) changes.set(`${entry.kind} ${image.id} ${index}`, entry.verdict);
  }
  for (const box of line.remove) {
    const index = find("regions", box);
    if (index >= 0) changes.set(`region ${image.id} ${index}`, "no face");
  }
  let next = judgements.drawnCounts.get(image.id) ?? 0;
  for (const box of line.add) {
    const kind = ["near miss", "suspect"].find((one) => find(KINDS[one], box) >= 0);
    const drawn = mapped(box, upright);
    if (kind) changes.set(`${kind} ${image.id} ${find(KINDS[kind], box)}`, "face");
    else if (!judgements.drawn(image).some(([, there]) => isSame(there, drawn))) changes.set(`drawn ${image.id} ${next++}`, drawn);
  }
  return [...changes];
}
