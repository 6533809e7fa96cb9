
// Galleries: the whole picture beside the pointer, and sounds.
const whole = (tile, frame, sheet, wide) => {
  const look = document.createElement("div");
  look.className = `look whole ${sheet}${wide ? " wide" : ""}`;
  const style = { "--i": tile[0], "--j": tile[1], "--x": 0, "--y": 0, "--w": 1, "--h": 1 };
  for (const [name, value] of Object.entries(style)) look.style.setProperty(name, value);
  if (frame) {
    const inner = document.createElement("i");
    const [x, y, w, h] = frame.map((it) => `${100 * it}%`);
    Object.assign(inner.style, { left: x, top: y, width: w, height: h });
    look.append(inner);
  }
  return look;
};

const sounds = (() => {
  const audio = new Audio();
  const lists = {};
  let button = null;
  const ended = () => { button?.classList.remove("playing"); button = null; };
  audio.addEventListener("ended", ended);
  return {
    play(pressed) {
      if (button === pressed) {
        audio.pause();
        return ended();
      }
      const { sounds: list, sound } = pressed.dataset;
      lists[list] ??= JSON.parse(document.getElementById(list).textContent);
      ended();
      audio.src = `data:audio/wav;base64,${lists[list][sound]}`;
      button = pressed;
      pressed.classList.add("playing");
      // A browser without sound says so by a rejection.
      audio.play().catch(() => { if (button === pressed) ended(); });
    },
  };
})();

for (const look of document.querySelectorAll("main .look")) {
  const sheet = [...look.classList].find((it) => it.startsWith("sheet-"));
  const number = (name) => Number(look.style.getPropertyValue(name));
  const show = (event) => {
    const heard = look.classList.contains("heard");
    const frame = heard ? [number("--from"), 0, number("--long"), 1] : ["--x", "--y", "--w", "--h"].map(number);
    const content = document.createElement("div");
    const worth = document.createElement("b");
    worth.textContent = look.dataset.worth;
    content.append(whole([number("--i"), number("--j")], frame, sheet, heard), worth, ` ${look.dataset.text}`);
    tip.show(content, event);
  };
  look.addEventListener("pointermove", show);
  look.addEventListener("pointerdown", show);
  // A finger that is lifted leaves, too: what it has shown stays until it touches something else.
  look.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") tip.hide(); });
  if (look.dataset.sound) look.addEventListener("click", () => sounds.play(look));
}
document.addEventListener("pointerdown", (event) => {
  if (event.pointerType === "touch" && !event.target.closest(".look, canvas, .plot, .sprite img")) tip.hide();
}, true);
