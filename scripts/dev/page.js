// The page of a flame graph: makes the tree that is shown, and gives it to d3-flame-graph, which draws it. The profile
// is what scripts/run/flames.py has put into the page.
"use strict";

const profile = JSON.parse(document.getElementById("profile").textContent);
const { frames, files, nodes, weights } = profile;
const sides = weights ? 2 : 1;  // a difference has samples of two profiles
const PYTHON = "python", NATIVE = "native", ALL = "all";
const VIEWS = [[PYTHON, "Python"], [NATIVE, "Python, C and kernel"], [ALL, "all, also what runs Python"]];
const MODULE = "<module>", LOADING = "finding and loading modules";
const NAMES = 3;  // of programs, in the title
const HOW = "Each function stands below the one that called it, and is as wide as its share of the " + profile.unit +
  ". A click on a function zooms in, one on the top zooms out. Point at a function for its file and its times.";
// [what the legend says, the colour's hue, saturation and lightness]
const COLOURS = {
  own: ["the program's files", 24, 95, 64],
  package: ["installed packages", 44, 90, 68],
  standard: ["standard library", 62, 55, 76],
  importer: ["imports", 275, 40, 84],
  c: ["C", 130, 38, 76],
  kernel: ["kernel", 210, 65, 80],
  inner: ["what runs Python, or has no name", 0, 0, 80],
  waiting: ["waiting", 200, 10, 74],
  without: ["no Python function", 130, 15, 86],
  process: ["processes and threads", 0, 0, 90],
};
const LIGHTEST = 90;

const element = (id) => document.getElementById(id);
const state = { view: PYTHON, side: sides - 1, term: null, root: null };

// The tree

// A frame of the tree that is shown. "n", "v" and "c" are d3-flame-graph's: name, own value, called frames.
class Shown {
  constructor(kind, name, file, line) {
    Object.assign(this, { kind, name, file, line, own: new Array(sides).fill(0), c: [], called: new Map() });
  }

  child(key, make) {
    let one = this.called.get(key);
    if (!one) {
      one = make();
      this.called.set(key, one);
      this.c.push(one);
    }
    return one;
  }
}

// The file of the module in which a process begins, where that is shown.
function programOf(process) {
  const modules = process.c.filter(({ name }) => name === MODULE);
  modules.sort((a, b) => Math.max(...b.total) - Math.max(...a.total));
  return modules.length ? modules[0].file[1].split("/").pop() : "";
}

function shownFrame(number) {
  const [kind, name, file, line] = frames[number];
  return new Shown(kind, name, files[file], line);
}

const isNative = (kind) => kind === "c" || kind === "kernel" || kind === "inner";
const isHidden = (kind) => kind === "inner" || (state.view === PYTHON && isNative(kind));

// Where a frame of the profile leads to: "at" is the frame that is shown, "importing" whether functions that import
// modules are left out below it, "held" are functions of C that were called by these.
function step(up, number) {
  const [kind, name, file] = frames[number];
  if (state.view === ALL || kind === "process") {
    return { at: up.at.child(number, () => shownFrame(number)), importing: false, held: [] };
  }
  if (kind === "importer") return { at: up.at, importing: true, held: [] };
  if (isHidden(kind)) return up;
  if (isNative(kind) && up.importing) return { at: up.at, importing: true, held: up.held.concat(number) };
  if (up.importing && name === MODULE) return { at: imported(up.at, number), importing: false, held: [] };
  return { at: place(up).child(number, () => shownFrame(number)), importing: false, held: [] };
}

function imported(at, number) {
  return at.child(number, () => {
    const one = shownFrame(number);
    one.kind = "importer";
    one.name = "import of " + one.file[2];
    return one;
  });
}

// The frame to which samples belong that end here.
function place({ at, importing, held }) {
  if (importing) at = at.child(LOADING, () => new Shown("importer", LOADING));
  for (const number of held) at = at.child(number, () => shownFrame(number));
  return at;
}

function build() {
  const root = new Shown("process", profile.command || "all processes");
  const stride = 2 + sides, path = [];
  for (let i = 0; i < nodes.length; i += stride) {
    const depth = nodes[i];
    path[depth] = step(depth ? path[depth - 1] : { at: root, importing: false, held: [] }, nodes[i + 1]);
    const own = nodes.slice(i + 2, i + stride);
    if (own.some((value) => value)) add(path[depth], own);
  }
  finish(root);
  return root;
}

function add(reached, own) {
  let at = place(reached);
  if (at.kind === "process") at = at.child(profile.without, () => new Shown("without", profile.without));
  own.forEach((value, side) => { at.own[side] += value; });
}

// Sums, and what d3-flame-graph reads.
function finish(root) {
  const all = [root];
  for (const one of all) all.push(...one.c);
  for (const one of all) one.total = one.own.slice();
  for (let i = all.length - 1; i >= 0; i--) {
    for (const called of all[i].c) called.total.forEach((value, side) => { all[i].total[side] += value; });
  }
  for (const process of root.c) process.program = programOf(process);
  const whole = weights || root.total;
  for (const one of all) {
    one.share = one.total.map((value, side) => value / (whole[side] || 1));
    one.ownShare = one.own.map((value, side) => value / (whole[side] || 1));
    one.v = one.own[state.side];
    one.n = label(one);
    one.text = [one.name, one.file ? one.file[0] + " " + one.file[1] : "", one.line || ""].join(" ").toLowerCase();
    delete one.called;
  }
}

// Words

const percent = (share) => (100 * share).toFixed(1) + " %";
const signed = (share) => (share < 0 ? "-" : "+") + (100 * Math.abs(share)).toFixed(1);
const where = ({ file, line }, which) => file ? file[which] + (line ? ":" + line : "") : "";

function label(one) {
  const share = weights ? percent(one.share[0]) + " \u2192 " + percent(one.share[1]) : percent(one.share[0]);
  const behind = one.kind === "importer" && state.view !== ALL ? "" : one.program || where(one, 0);
  return `${one.name}  (${share})  ${behind}`;
}

function amount(one, which) {
  if (weights) return one[which].map(percent).join(" \u2192 ") + " (" + signed(one[which][1] - one[which][0]) + ")";
  const samples = which === "share" ? one.total[0] : one.own[0];
  const time = profile.seconds ? (samples * profile.seconds).toFixed(2) + " s, " : "";
  return time + percent(one[which][0]) + ", " + samples.toLocaleString("en") + " samples";
}

function details({ data: one }) {
  const own = state.view === PYTHON ? "own (with C that it called)" : "own";
  const amounts = `total ${amount(one, "share")}; ${own} ${amount(one, "ownShare")}`;
  return [one.name, where(one, 1), amounts].join("\n");
}

// Colours

function colour({ data: one, highlight }) {
  if (highlight) return "#e600e6";
  if (weights) return changed(one.share[1] - one.share[0]);
  const [, hue, saturation, lightness] = COLOURS[one.kind];
  // A file has one shade.
  let hash = 0;
  for (const letter of one.file ? one.file[0] : one.name) hash = (hash * 31 + letter.charCodeAt(0)) % 997;
  return `hsl(${hue}, ${saturation}%, ${Math.min(lightness + hash % 7 * 1.6, LIGHTEST)}%)`;
}

// Red where the share has become larger, blue where smaller; a change of 20 points has the full colour.
function changed(change) {
  if (Math.abs(change) < 0.001) return "rgb(235, 235, 235)";
  const weak = 235 - Math.floor(170 * Math.sqrt(Math.min(Math.abs(change) / 0.2, 1)));
  return change > 0 ? `rgb(255, ${weak}, ${weak})` : `rgb(${weak}, ${weak}, 255)`;
}

function showLegend() {
  const seen = new Set();
  const all = [state.root];
  for (const one of all) {
    seen.add(one.kind);
    all.push(...one.c);
  }
  const rows = weights ? [["larger share", changed(0.1)], ["smaller share", changed(-0.1)]] :
    Object.keys(COLOURS).filter((kind) => seen.has(kind)).map((kind) => {
      const [text, hue, saturation, lightness] = COLOURS[kind];
      return [text, `hsl(${hue}, ${saturation}%, ${lightness}%)`];
    });
  element("legend").replaceChildren(...rows.map(([text, fill]) => {
    const row = document.createElement("span"), box = document.createElement("i");
    box.style.background = fill;
    row.append(box, text);
    return row;
  }));
}

// The chart

// One element as d3.select() has it, which is not among what d3-flame-graph gives others.
function selected(node) {
  return {
    each(call) { call.call(node, node.__data__); return this; },
    datum(value) {
      node.__data__ = typeof value === "function" ? value.call(node, node.__data__) : value;
      return this;
    },
  };
}

const width = () => Math.max(element("chart").clientWidth - 32, 200);
let chart = null;

function draw() {
  state.root = build();
  element("chart").replaceChildren();
  chart = flamegraph().width(width()).cellHeight(19).minFrameSize(2).inverted(true).selfValue(true)
    .resetHeightOnZoom(true).transitionDuration(300).sort((a, b) => b.value - a.value)
    .setColorMapper(colour).setLabelHandler(details).setDetailsHandler(showDetails)
    .setSearchMatch(({ data }, is) => is(data)).setSearchHandler(showFound);
  selected(element("chart")).datum(state.root);
  chart(selected(element("chart")));
  showAtOnce();
  showLegend();
  if (state.term) search(state.term);
}

// d3 gives frames their width and text some time later, which is too late for a browser that only takes a picture.
function showAtOnce() {
  for (const frame of document.querySelectorAll("#chart g.frame")) {
    frame.querySelector("rect").setAttribute("width", frame.getAttribute("width"));
    frame.querySelector(".d3-flame-graph-label").textContent = frame.getAttribute("name");
  }
}

function showDetails(text) {
  element("details").textContent = text || HOW;
}

function search(is) {
  state.term = is;
  if (is) {
    try {
      chart.search(is);
    } catch (error) {
      // It calls itself for each frame of a stack.
      if (!(error instanceof RangeError)) throw error;
      element("found").textContent = "the stacks are too deep for a search";
    }
  } else {
    element("found").textContent = "";
    chart.clear();
  }
}

function showFound(found, sum, total) {
  element("found").textContent = found.length ? `in ${percent(sum / total)}` : "not found";
}

// Each of the words is in a name or path.
function searchText() {
  const words = element("search").value.toLowerCase().split(/\s+/).filter((word) => word);
  search(words.length ? ({ text }) => words.every((word) => text.includes(word)) : null);
}

// What stands above it

function radios(form, text, choices, chosen, choose) {
  form.append(text + " ");
  for (const [value, text] of choices) {
    const name = document.createElement("label"), button = document.createElement("input");
    Object.assign(button, { type: "radio", name: form.id, value, checked: value === chosen });
    button.addEventListener("change", () => choose(value));
    name.append(button, " " + text);
    form.append(name);
  }
}

// The command, or what the processes run.
function title() {
  const processes = state.root.c.slice().sort((a, b) => Math.max(...b.total) - Math.max(...a.total));
  const programs = [...new Set(processes.map((one) => one.program).filter((name) => name))];
  const names = programs.length ? programs : profile.processes;
  return profile.command || names.slice(0, NAMES).join(", ");
}

function showHeader() {
  const code = document.createElement("code");
  code.textContent = title();
  element("title").textContent = weights ? "What differs: " : "Where the time goes: ";
  element("title").append(code);
  document.title = title() + " \u2013 flame graph";
  element("heading").textContent = profile.heading.join("\n");
  if (profile.hottest.length) element("hottest").append(weights ? "Changed most: " : "Most own time: ");
  for (const [number, share] of profile.hottest) {
    const button = document.createElement("button"), [, name, file, line] = frames[number];
    button.type = "button";
    const place = (which) => where({ file: files[file], line }, which);
    // Of <module> and <lambda> there are many.
    const behind = name[0] === "<" ? " " + place(0) : profile.lines ? ":" + line : "";
    button.textContent = (weights ? signed(share) : percent(share)) + "  " + name + behind;
    button.title = place(1);
    button.addEventListener("click", () => {
      element("search").value = "";
      search((one) => one.name === name && one.file === files[file] && one.line === line);
    });
    element("hottest").append(button);
  }
}

function showControls() {
  const kinds = new Set(frames.map(([kind]) => kind));
  const has = (...some) => some.some((kind) => kinds.has(kind));
  const choices = { [PYTHON]: true, [NATIVE]: has("c", "kernel"), [ALL]: has("inner", "importer") };
  const views = VIEWS.filter(([view]) => choices[view]);
  if (views.length > 1) {
    radios(element("views"), "Show:", views, state.view, (view) => { state.view = view; draw(); });
  }
  if (weights) {
    radios(element("sides"), "As wide as:", [[0, "before"], [1, "after"]], state.side, (side) => {
      state.side = side;
      draw();
    });
  }
  element("search-form").addEventListener("submit", (event) => event.preventDefault());
  element("search").addEventListener("input", searchText);
  element("reset").addEventListener("click", () => chart.resetZoom());
  window.addEventListener("resize", () => chart.width(width()).update());
}

showControls();
showDetails(null);
draw();
showHeader();
if (profile.search) {
  element("search").value = profile.search;
  searchText();
}
