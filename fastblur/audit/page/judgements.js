// What was judged, in steps that can be taken back, kept by the browser after each one.
//
// A step is a list of [key, value]. Keys are "image ID", "near miss ID INDEX", "suspect ID INDEX", "region ID INDEX"
// (values "face", "no face" or null), "drawn ID INDEX" (a box in upright px, or null) and "line SHARD IMAGE" (a line of a
// loaded file about an image that is not in this report). The last value of a key counts.

const OF_IMAGE = /^(image|near miss|suspect|region|drawn) (\d+)(?: (\d+))?$/;

class Judgements {
  constructor(identity, images) {
    this.place = `fastblur audit ${identity}`;
    this.images = images;
    this.kept = true; // whether the browser keeps what is judged
    this.changed = () => {};
    this.text = null;
    this.steps = [];
    this.values = new Map();
    this.drawnCounts = new Map();
    this.touched = new Set(); // identifiers of the images of which anything was judged: few, where there are many images
    this.read();
    window.addEventListener("storage", (event) => {
      if (event.key === this.place && this.read()) this.changed();
    });
  }

  /** Take over what the browser keeps: another tab may have judged too. Returns whether that is new. */
  read() {
    let text = null;
    try {
      text = localStorage.getItem(this.place);
    } catch {
      this.kept = false;
    }
    if (!this.kept || text === this.text) return false;
    let steps = [];
    try {
      steps = JSON.parse(text ?? "[]");
    } catch {
      steps = [];
    }
    this.text = text;
    this.steps = Array.isArray(steps) ? steps.filter(Array.isArray) : [];
    this.replay();
    return true;
  }

  replay() {
    this.values.clear();
    this.drawnCounts.clear();
    this.touched.clear();
    for (const step of this.steps) this.apply(step);
  }

  apply(step) {
    for (const [key, value] of step) {
      this.values.set(key, value);
      const found = OF_IMAGE.exec(key);
      if (!found) continue;
      const [id, index] = [Number(found[2]), Number(found[3])];
      this.touched.add(id);
      if (found[1] === "drawn") this.drawnCounts.set(id, Math.max(this.drawnCounts.get(id) ?? 0, index + 1));
    }
  }

  write() {
    const text = JSON.stringify(this.steps);
    try {
      localStorage.setItem(this.place, text);
      this.text = text;
    } catch {
      this.kept = false;
    }
    this.changed();
  }

  /** Record a step: a list of [key, value]. */
  record(step) {
    this.read();
    this.steps.push(step);
    this.apply(step);
    this.write();
  }

  /** Take the last step back; returns it, or undefined where there is none. */
  undo() {
    this.read();
    const step = this.steps.pop();
    if (step) {
      this.replay();
      this.write();
    }
    return step;
  }

  get(key) {
    return this.values.get(key) ?? null;
  }

  /** The boxes drawn on an image and not deleted: [key, box]. */
  drawn(image) {
    const found = [];
    for (let index = 0; index < (this.drawnCounts.get(image.id) ?? 0); index++) {
      const key = `drawn ${image.id} ${index}`;
      if (this.get(key)) found.push([key, this.get(key)]);
    }
    return found;
  }

  newDrawnKey(image) {
    return `drawn ${image.id} ${this.drawnCounts.get(image.id) ?? 0}`;
  }

  /** The boxes that an image shall get: near misses and suspects that are faces, and drawn ones. */
  added(image) {
    const found = this.drawn(image).map(([, box]) => box);
    for (const [kind, entries] of [["near miss", image.near_misses], ["suspect", image.suspects]]) {
      entries.forEach((entry, index) => {
        if (this.get(`${kind} ${image.id} ${index}`) === "face") found.push(entry.box);
      });
    }
    return found;
  }

  /** Whether the output still shows a face: "face", "no face", or null where nobody has said. */
  verdict(image) {
    if (!this.touched.has(image.id)) return null;
    const whole = this.get(`image ${image.id}`);
    return whole === "face" || this.added(image).length > 0 ? "face" : whole;
  }

  /**
   * Of the random sample: how many were judged, and how many of these show a face. One that was seen to show a face in another gallery counts
   * at once, so that a half-judged sample gives a bound that is too high, not too low.
   */
  sampled() {
    let judged = 0;
    let shown = 0;
    for (const image of this.images) {
      const verdict = image.sampled ? this.verdict(image) : null;
      if (verdict !== null) judged++;
      if (verdict === "face") shown++;
    }
    return { judged, shown };
  }

  /** The images that show a face and have no box there yet, so that nothing can be corrected. */
  withoutBox() {
    return this.images.filter((image) => this.touched.has(image.id) && this.get(`image ${image.id}`) === "face" && this.added(image).length === 0);
  }
}
