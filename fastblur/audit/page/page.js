// The page put together: galleries, viewer, progress, the estimate, judgements.jsonl.

const account = JSON.parse(document.getElementById("account").textContent);
const judgements = new Judgements(account.identity, account.images);
const galleries = galleriesOf(account.images);
const at = (id) => document.getElementById(id);
let shown = null; // the gallery in the document

const viewer = new Viewer(at("viewer"), judgements, { judge, undo, closed: (index) => gallery.focus(index) });
const gallery = new Gallery(at("grid"), at("pager"), judgements, { open: (index) => viewer.open(shown.items, index), judge });

function say(text) {
  at("said").textContent = text;
  if (at("viewer").open) viewer.say(text);
}

/** Judge an item; returns whether to go on to the next one. */
function judge(item, verdict) {
  const { image, key, kind } = item;
  if (kind === "image" && verdict === "no face" && judgements.added(image).length > 0) {
    say("This picture has boxes that say it shows a face: delete them or judge them first.");
    return false;
  }
  if (image.isMissing && verdict === "no face") {
    say(NOT_LOADED);
    return false;
  }
  judgements.record([[key, verdict]]);
  if (kind === "image" && verdict === "face" && judgements.added(image).length === 0) {
    say("Judged: a face. Draw a box around it, so that it can be hidden, or go on.");
    return false;
  }
  say(`Judged: ${verdict === "face" ? "a face" : "no face"}.`);
  return true;
}

function undo() {
  const step = judgements.undo();
  if (!step) return say("There is nothing to undo.");
  const [, , id] = OF_IMAGE.exec(step[step.length - 1][0]) ?? [];
  let index = shown.items.findIndex((item) => step.some(([key]) => key === item.key));
  if (index < 0 && id) index = shown.items.findIndex((item) => item.image.id === Number(id));
  if (index >= 0 && at("viewer").open) viewer.show(index);
  else if (index >= 0) gallery.focus(index);
  say("The last step was undone.");
}

function select(name) {
  shown = galleries.find((one) => one.name === name);
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const isShown = tab.dataset.gallery === name;
    tab.setAttribute("aria-selected", isShown);
    tab.tabIndex = isShown ? 0 : -1;
    if (isShown) at("gallery").setAttribute("aria-labelledby", tab.id);
    at(`about-${tab.dataset.gallery}`).hidden = !isShown;
  }
  at("empty").hidden = shown.items.length > 0;
  at("judge").hidden = shown.items.length === 0;
  gallery.set(shown);
  refresh();
}

function refresh() {
  for (const { name, items } of galleries) {
    const done = gallery.judged(items);
    const text = `${numeral(done)} of ${numeral(items.length)}`;
    at(`tab-${name}`).querySelector(".count").textContent = text;
    if (shown?.name === name) for (const one of document.querySelectorAll(".progress")) one.textContent = `${text} judged`;
  }
  const { judged, shown: faces } = judgements.sampled();
  const total = galleries[3].items.length;
  at("progress").max = Math.max(1, total);
  at("progress").value = judged;
  at("judged").textContent = `${numeral(judged)} of ${numeral(total)} judged, ${numeral(faces)} ${faces === 1 ? "shows" : "show"} a face`;
  const bound = upperBound(faces, judged);
  const most = judged === 0 ? "No estimate yet" : `At most ${inWords(bound)} images`;
  at("bound").textContent = judged === 0 ? most : `${most} (${percent(bound)})`;
  for (const one of document.querySelectorAll(".estimate")) one.textContent = judged === 0 ? most : `${most} show a face`;
  at("bound").dataset.value = bound;
  const missing = judgements.withoutBox().length;
  const one = missing === 1;
  const who = one ? "image shows a face and has" : "images show a face and have";
  at("without-box").textContent = missing === 0 ? "" : `${numeral(missing)} ${who} no box yet: without one it cannot be hidden.`;
  at("not-kept").hidden = judgements.kept;
  setEnabled(at("undo"), judgements.steps.length > 0);
  setEnabled(viewer.part("undo"), judgements.steps.length > 0);
  gallery.refresh();
  viewer.refresh();
}

function percent(share) {
  return `${(Math.ceil(share * 10000 - 1e-9) / 100).toLocaleString("en", { maximumFractionDigits: 2 })} %`;
}

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([toFile(judgements)], { type: "application/x-ndjson" }));
  link.download = "judgements.jsonl";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  say("judgements.jsonl was saved: “fastblur correct SRC OUT judgements.jsonl” applies it.");
}

async function load(event) {
  const [file] = event.target.files;
  event.target.value = "";
  if (!file) return;
  try {
    const { step, here } = fromFile(await file.text(), judgements);
    if (step.length > 0) judgements.record(step);
    say(`Judgements of ${here} images of this report were loaded.`);
  } catch (error) {
    say(`Nothing was loaded. ${error.message}`);
  }
}

judgements.changed = refresh;
for (const tab of document.querySelectorAll("[role=tab]")) {
  tab.addEventListener("click", () => select(tab.dataset.gallery));
  tab.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    const tabs = [...document.querySelectorAll("[role=tab]")];
    const next = tabs[(tabs.indexOf(tab) + by + tabs.length) % tabs.length];
    next.focus();
    select(next.dataset.gallery);
  });
}
at("undo").addEventListener("click", undo);
at("save").addEventListener("click", save);
at("load").addEventListener("change", load);
at("judge").addEventListener("click", () => {
  const index = shown.items.findIndex((item) => gallery.verdict(item) === null);
  viewer.open(shown.items, Math.max(0, index));
});
window.addEventListener("beforeunload", (event) => {
  if (!judgements.kept && judgements.steps.length > 0) event.preventDefault();
});
select((galleries.find((one) => one.items.length > 0) ?? galleries[0]).name);
