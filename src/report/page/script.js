"use strict";

// Light or dark: what the system says, until the button is pressed.
(() => {
  const root = document.documentElement;
  const dark = () => root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    document.dispatchEvent(new Event("theme"));
  });
})();

// When the page was made, in the reader's time zone.
for (const time of document.querySelectorAll("time[data-made]")) {
  const made = new Date(1000 * Number(time.dataset.made));
  time.dateTime = made.toISOString();
  time.textContent = ` · made ${made.toLocaleString()}`;
}

// The one tip of the page: `content` is a node, beside the pointer.
const tip = (() => {
  const box = document.getElementById("tip");
  return {
    show(content, event) {
      box.replaceChildren(content);
      box.hidden = false;
      const { width, height } = box.getBoundingClientRect();
      const x = event.clientX + 14 + width > innerWidth ? event.clientX - 14 - width : event.clientX + 14;
      const y = event.clientY + 14 + height > innerHeight ? event.clientY - 14 - height : event.clientY + 14;
      box.style.left = `${Math.max(4, x)}px`;
      box.style.top = `${Math.max(4, y)}px`;
    },
    hide() {
      box.hidden = true;
      for (const cross of document.querySelectorAll(".cross")) cross.hidden = true;
    },
  };
})();

// Charts: the point nearest to the pointer.
for (const figure of document.querySelectorAll("figure.chart")) {
  const data = JSON.parse(figure.dataset.chart);
  const plot = figure.querySelector(".plot");
  const cross = document.createElement("span");
  cross.className = "cross";
  cross.hidden = true;
  plot.append(cross);
  const [left, top, right, bottom] = data.box;
  const up = data.log ? Math.log10 : (value) => value;
  const place = ([x, y]) => [
    left + (x - data.x[0]) / (data.x[1] - data.x[0]) * (right - left),
    bottom - (up(y) - data.y[0]) / (data.y[1] - data.y[0]) * (bottom - top),
  ];
  const shown = (value) => Math.abs(value) >= 1e4 || Number.isInteger(value)
    ? value.toLocaleString("en", { maximumFractionDigits: 1 })
    : value.toPrecision(4);
  const show = (event) => {
    const svg = plot.querySelector("svg").getBoundingClientRect();
    const scale = svg.width / data.size[0];
    const at = [(event.clientX - svg.left) / scale, (event.clientY - svg.top) / scale];
    let best = null;
    for (const series of data.series) {
      for (const point of series.points) {
        const [x, y] = place(point);
        const far = Math.hypot(x - at[0], (y - at[1]) / 2);
        if (!best || far < best.far) best = { far, x, y, point, series };
      }
    }
    if (!best) return;
    tip.hide();
    cross.style.left = `${best.x * scale}px`;
    cross.style.top = `${best.y * scale}px`;
    cross.style.borderColor = `var(--c${best.series.colour})`;
    const [x, y] = best.point;
    const content = document.createElement("div");
    const value = document.createElement("b");
    const share = data.log ? (100 * y).toPrecision(3) : (100 * y).toFixed(1);
    value.textContent = data.percent ? `${share} %` : shown(y);
    const where = data.places.length ? data.places[Math.round(x)] : `${data.xname} ${shown(x)}`;
    content.append(value, ` ${best.series.name}, ${where}`);
    tip.show(content, event);
    cross.hidden = false;
  };
  plot.addEventListener("pointermove", show);
  plot.addEventListener("pointerdown", show);
  // A finger that is lifted leaves, too: what it has shown stays until it touches something else.
  plot.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") tip.hide(); });
}
