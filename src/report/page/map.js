
// Maps: points on canvases, all coloured by the one legend.
(() => {
  const script = document.getElementById("map-data");
  if (!script) return;
  const data = JSON.parse(script.textContent);
  const canvases = [...document.querySelectorAll("canvas[data-map]")];
  const buttons = [...document.querySelectorAll(".map-legend button")];
  const shown = new Set();
  const style = () => getComputedStyle(document.documentElement);
  const colours = () => {
    const page = style();
    const dark = page.colorScheme === "dark" || parseInt(page.getPropertyValue("--ground").trim().slice(1, 3), 16) < 128;
    return data.names.map((_, at) => data.names.length <= 10
      ? page.getPropertyValue(`--c${at}`).trim()
      : `hsl(${(137.508 * at) % 360} 65% ${dark ? 65 : 45}%)`);
  };
  const reach = 12;
  const place = (canvas, [x, y]) => {
    const size = canvas.clientWidth - 2 * reach;
    return [reach + x / 1000 * size, reach + (1 - y / 1000) * size];
  };
  const isShown = (tile) => !shown.size || shown.has(data.labels[tile]);

  const draw = (canvas, marked) => {
    const map = data.maps[canvas.dataset.map];
    const ratio = devicePixelRatio || 1;
    const size = canvas.clientWidth;
    canvas.width = Math.round(size * ratio);
    canvas.height = Math.round(size * ratio);
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.clearRect(0, 0, size, size);
    const of = colours();
    const plain = style().getPropertyValue("--c0").trim();
    const faint = style().getPropertyValue("--faint").trim();
    const radius = map.points.length > 600 ? 2.2 : 3.2;
    // Points that are not shown lie below the others.
    for (const front of [false, true]) {
      map.points.forEach((point, at) => {
        const tile = map.tiles[at];
        if (isShown(tile) !== front) return;
        const [x, y] = place(canvas, point);
        context.fillStyle = front ? of[data.labels[tile]] ?? plain : faint;
        context.globalAlpha = front ? 0.85 : 0.6;
        context.beginPath();
        context.arc(x, y, radius, 0, 2 * Math.PI);
        context.fill();
      });
    }
    context.globalAlpha = 1;
    if (marked !== undefined) {
      const [x, y] = place(canvas, map.points[marked]);
      context.strokeStyle = style().getPropertyValue("--ink").trim();
      context.lineWidth = 2;
      context.beginPath();
      context.arc(x, y, radius + 3, 0, 2 * Math.PI);
      context.stroke();
    }
    canvas.dataset.drawn = "true";
  };

  const drawAll = () => {
    const of = colours();
    for (const button of buttons) {
      button.style.setProperty("--c", of[button.dataset.label]);
      button.setAttribute("aria-pressed", shown.has(Number(button.dataset.label)));
    }
    canvases.forEach((canvas) => draw(canvas));
  };

  for (const canvas of canvases) {
    const map = data.maps[canvas.dataset.map];
    const find = (event) => {
      const box = canvas.getBoundingClientRect();
      const at = [event.clientX - box.left - canvas.clientLeft, event.clientY - box.top - canvas.clientTop];
      let best = null;
      map.points.forEach((point, index) => {
        if (!isShown(map.tiles[index])) return;
        const [x, y] = place(canvas, point);
        const far = Math.hypot(x - at[0], y - at[1]);
        if (far < (event.pointerType === "touch" ? 2 * reach : reach) && (!best || far < best.far)) {
          best = { far, index };
        }
      });
      draw(canvas, best?.index);
      if (!best) return tip.hide();
      const tile = map.tiles[best.index];
      const content = document.createElement("div");
      const name = document.createElement("b");
      const label = data.labels[tile];
      name.textContent = label === null ? `sample ${data.ids[tile]}` : data.names[label];
      content.append(
        whole([tile % data.columns, Math.floor(tile / data.columns)], null, data.sheet, false),
        name,
        label === null ? "" : `, sample ${data.ids[tile]}`,
      );
      tip.show(content, event);
    };
    canvas.addEventListener("pointermove", find);
    canvas.addEventListener("pointerdown", find);
    canvas.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "touch") return;
      draw(canvas);
      tip.hide();
    });
  }
  for (const button of buttons) {
    button.addEventListener("click", () => {
      const label = Number(button.dataset.label);
      if (!shown.delete(label)) shown.add(label);
      drawAll();
    });
  }
  new ResizeObserver(drawAll).observe(document.querySelector(".maps"));
  document.addEventListener("theme", drawAll);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  drawAll();
})();
