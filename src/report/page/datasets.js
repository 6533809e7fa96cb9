
// Pictures of many places: what is at the pointer.
for (const figure of document.querySelectorAll("figure.sprite")) {
  const { rows, columns } = JSON.parse(figure.dataset.sprite);
  const image = figure.querySelector("img");
  const show = (event) => {
    const box = image.getBoundingClientRect();
    const at = (share, names) => names[Math.min(names.length - 1, Math.max(0, Math.floor(share * names.length)))];
    const content = document.createElement("div");
    const place = document.createElement("b");
    place.textContent = at((event.clientX - box.left) / box.width, columns);
    content.append(place, ` ${at((event.clientY - box.top) / box.height, rows)}`);
    tip.show(content, event);
  };
  image.addEventListener("pointermove", show);
  image.addEventListener("pointerdown", show);
  image.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") tip.hide(); });
}
