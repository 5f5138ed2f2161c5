// How is a series of figures drawn? The geometry is pure; `Chart` puts it into an SVG that keeps its size.

const NS = "http://www.w3.org/2000/svg";
const WIDTH = 320;
const HEIGHT = 96;
const TOP = 6;

/** A round number at or above the largest value: 1, 2 or 5 times a power of ten. */
export function ceiling(values) {
  const most = Math.max(0, ...values.filter((value) => value !== null && Number.isFinite(value)));
  if (most === 0) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  const step = [1, 2, 5, 10].find((each) => each * power >= most * 0.999999);
  return Number((step * power).toPrecision(3));
}

/**
 * The path of a line through values; null leaves a gap, and a value between gaps is a dot.
 * The newest value is at the right edge; `slots` is how many values fit.
 */
export function path(values, slots, top, width = WIDTH, height = HEIGHT) {
  const step = width / Math.max(1, slots - 1);
  const first = width - (values.length - 1) * step;
  let drawn = "";
  let pen = false;
  values.forEach((value, index) => {
    if (value === null || value === undefined) {
      pen = false;
      return;
    }
    const x = (first + index * step).toFixed(1);
    const y = (height - (Math.min(value, top) / top) * (height - TOP)).toFixed(1);
    drawn += pen ? `L${x} ${y}` : `M${x} ${y}l0.1 0`;
    if (!pen) drawn += `M${x} ${y}`;
    pen = true;
  });
  return drawn;
}

/** A chart of one or two lines, with the largest value of its scale and the newest of each line in words. */
export class Chart {
  constructor(title, lines, unit) {
    this._lines = lines;
    this._unit = unit;
    this.root = document.createElement("figure");
    this.root.className = "chart";
    const caption = document.createElement("figcaption");
    const heading = document.createElement("span");
    heading.className = "chart-title";
    heading.textContent = title;
    this._now = document.createElement("span");
    this._now.className = "chart-now";
    caption.append(heading, this._now);
    this._svg = document.createElementNS(NS, "svg");
    this._svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this._svg.setAttribute("preserveAspectRatio", "none");
    this._svg.setAttribute("role", "img");
    for (const share of [0, 0.5, 1]) {
      const grid = document.createElementNS(NS, "path");
      grid.setAttribute("class", "grid");
      const y = HEIGHT - share * (HEIGHT - TOP) - (share === 0 ? 0.5 : 0);
      grid.setAttribute("d", `M0 ${y}H${WIDTH}`);
      this._svg.append(grid);
    }
    this._paths = lines.map((_, index) => {
      const line = document.createElementNS(NS, "path");
      line.setAttribute("class", `line line-${index}`);
      this._svg.append(line);
      return line;
    });
    this._top = document.createElement("span");
    this._top.className = "chart-top";
    const legend = document.createElement("ul");
    legend.className = "legend";
    this._values = lines.map(({ label }, index) => {
      const item = document.createElement("li");
      item.className = `key-${index}`;
      const value = document.createElement("b");
      item.append(`${label} `, value);
      legend.append(item);
      return value;
    });
    const plot = document.createElement("div");
    plot.className = "plot";
    plot.append(this._svg, this._top);
    this.root.append(caption, plot, legend);
    this._title = title;
  }

  /** Draw the samples; `format` writes a value for people. */
  show(samples, slots, format) {
    const series = this._lines.map(({ of }) => samples.map(of));
    const top = ceiling(series.flat());
    series.forEach((values, index) => {
      this._paths[index].setAttribute("d", path(values, slots, top));
      const newest = values.findLast((value) => value !== null && value !== undefined);
      this._values[index].textContent = newest === undefined ? "–" : `${format(newest)}${this._unit}`;
    });
    this._top.textContent = `${format(top)}${this._unit}`;
    const said = this._lines.map(({ label }, index) => `${label} ${this._values[index].textContent}`);
    this._svg.setAttribute("aria-label", `${this._title}: ${said.join(", ")}`);
  }
}
