//! The page of `gimlet report`: in a browser, and as the file that it is.
#![cfg(unix)]

mod browser;
mod notes;
mod sound_files;
mod tiny;

use std::path::PathBuf;

use browser::{Browser, Scheme};
use image::{Rgb, RgbImage};
use notes::notes;
use serde_json::Value;
use tiny::{PIPELINE, Tiny};

/// The page of a run, made anew.
fn page(tiny: &Tiny, args: &[&str]) -> PathBuf {
    let (out, _) = tiny.ok("report", args);
    tiny.path(out.trim())
}

/// Every figure of the page that is not folded away, and what is wrong with it.
const FIGURES: &str = r#"(() => {
  const shown = (it) => { const box = it.getBoundingClientRect(); return box.width > 0 && box.height > 0; };
  return [...document.querySelectorAll("figure")].filter((it) => !it.closest("details:not([open])")).map((figure) => {
    const name = figure.querySelector("figcaption")?.textContent ?? "";
    const drawn = [...figure.querySelectorAll("svg, canvas, img, table, [role=img], .look")];
    const wrong = [];
    if (!name.trim()) wrong.push("has no caption");
    if (!drawn.some(shown)) wrong.push("shows nothing");
    for (const image of figure.querySelectorAll("img")) {
      if (!image.complete || !image.naturalWidth) wrong.push("has an image that is not loaded");
      if (!image.alt) wrong.push("has an image without a name");
    }
    return { name, wrong };
  });
})()"#;

/// Text of the page whose contrast with what is behind it is too low (WCAG 2.2, 1.4.3).
const PALE: &str = r#"(() => {
  const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (above, below) => [0, 1, 2].map((i) => above[i] * above[3] + below[i] * (1 - above[3])).concat(1);
  const behind = (element) => {
    const layers = [];
    for (let it = element; it; it = it.parentElement) layers.push(rgba(getComputedStyle(it).backgroundColor));
    return layers.reverse().reduce((below, above) => over(above, below), [255, 255, 255, 1]);
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((it) => it / 255).map((it) => it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const pale = [];
  for (const element of document.querySelectorAll("p, h1, h2, h3, li, a, figcaption, summary, code, strong, .key, th, td")) {
    if (element.closest(".matrix") || !element.textContent.trim() || !element.getBoundingClientRect().width) continue;
    const ground = behind(element);
    const [a, b] = [luminance(over(rgba(getComputedStyle(element).color), ground)), luminance(ground)];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) pale.push(`${contrast.toFixed(2)}: <${element.tagName.toLowerCase()}> ${element.textContent.trim().slice(0, 40)}`);
  }
  return pale;
})()"#;

/// What stands out of a window of this width. What scrolls within its own box does not.
const WIDE: &str = r#"(() => {
  const wide = [];
  if (document.documentElement.scrollWidth > innerWidth) {
    for (const it of document.querySelectorAll("body *")) {
      if (it.getBoundingClientRect().right > innerWidth + 0.5 && !it.closest(".scroll")) wide.push(it.outerHTML.slice(0, 80));
    }
    wide.push(`${document.documentElement.scrollWidth} of ${innerWidth}`);
  }
  return wide;
})()"#;

/// For every chart, where its points lie in the window once it is scrolled there, and what they say.
const CHARTS: &str = r#"[...document.querySelectorAll("figure.chart")].filter((it) => !it.closest("details:not([open])")).length"#;

fn points(chart: u64) -> String {
    format!(
        r#"(() => {{
  const figure = [...document.querySelectorAll("figure.chart")].filter((it) => !it.closest("details:not([open])"))[{chart}];
  figure.scrollIntoView({{ block: "center", behavior: "instant" }});
  const data = JSON.parse(figure.dataset.chart);
  const box = figure.querySelector("svg").getBoundingClientRect();
  const scale = box.width / data.size[0];
  const [left, top, right, bottom] = data.box;
  const up = data.log ? Math.log10 : (value) => value;
  return data.series.flatMap((series) => series.points.map(([x, y]) => ({{
    series: series.name,
    value: data.percent ? 100 * y : y,
    x: box.left + scale * (left + (x - data.x[0]) / (data.x[1] - data.x[0]) * (right - left)),
    y: box.top + scale * (bottom - (up(y) - data.y[0]) / (data.y[1] - data.y[0]) * (bottom - top)),
  }})));
}})()"#
    )
}

/// Moves the mouse over points of every chart, and compares what the page says with the data.
fn hover_charts(browser: &mut Browser, place: &str) -> usize {
    let charts = browser.evaluate(CHARTS).as_u64().unwrap();
    let mut seen = 0;
    for chart in 0..charts {
        let points = browser.evaluate(&points(chart));
        let points = points.as_array().unwrap();
        let number = |it: &Value, name: &str| it[name].as_f64().unwrap();
        for target in [points.first(), points.get(points.len() / 2)].into_iter().flatten() {
            let (x, y) = (number(target, "x"), number(target, "y"));
            browser.move_mouse(x, y);
            let tip = browser.evaluate("document.getElementById('tip').innerText.trim()");
            let hidden = browser.evaluate("document.getElementById('tip').hidden");
            let said = tip.as_str().unwrap();
            assert_eq!(hidden, false, "{place}, chart {chart}: no tip at {target}");
            let value = browser.evaluate("document.querySelector('#tip b').textContent");
            let value = value.as_str().unwrap().replace([',', '%'], "");
            let value: f64 = value.trim().parse().unwrap_or_else(|_| panic!("{place}: {said}"));
            // Another point may lie as near.
            let near = |it: &&Value| (number(it, "x") - x).hypot(number(it, "y") - y) < 1.5;
            let says = |it: &Value| {
                let right = number(it, "value");
                let close = (right - value).abs() <= 0.051 + 0.006 * right.abs();
                close && said.contains(it["series"].as_str().unwrap())
            };
            let right = points.iter().filter(near).any(says);
            assert!(right, "{place}, chart {chart}: `{said}` at {target}");
            seen += 1;
        }
        browser.move_mouse(1.0, 1.0);
        let hidden = browser.evaluate("document.getElementById('tip').hidden");
        assert_eq!(hidden, true, "{place}, chart {chart}: the tip stays");
    }
    seen
}

/// Whether the tip shows a picture of a sample.
const PICTURED: &str = r#"(() => {
  const tip = document.getElementById("tip");
  const picture = [...tip.querySelectorAll("*")].find((it) => getComputedStyle(it).backgroundImage.startsWith("url("));
  return !tip.hidden && Boolean(picture) && tip.innerText.trim() !== "";
})()"#;

/// Moves the mouse over every map until it meets a point, which shows its sample.
fn hover_maps(browser: &mut Browser, place: &str) {
    let maps = browser.evaluate("document.querySelectorAll('canvas').length").as_u64().unwrap();
    assert!(maps > 0, "{place}: no map");
    for map in 0..maps {
        let found = browser.evaluate(&format!(
            r#"(() => {{
              const canvas = document.querySelectorAll("canvas")[{map}];
              canvas.scrollIntoView({{ block: "center", behavior: "instant" }});
              const box = canvas.getBoundingClientRect();
              const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
              const scale = box.width / canvas.width;
              const at = pixels.findIndex((value, index) => index % 4 === 3 && value > 200) >> 2;
              const place = [box.left + scale * (at % canvas.width), box.top + scale * Math.floor(at / canvas.width)];
              return {{ place, points: Number(canvas.dataset.points), drawn: canvas.dataset.drawn }};
            }})()"#
        ));
        assert_eq!(found["drawn"], "true", "{place}, map {map}");
        assert!(found["points"].as_u64().unwrap() > 0, "{place}, map {map}");
        let [x, y] = [0, 1].map(|axis| found["place"][axis].as_f64().unwrap());
        browser.move_mouse(x, y);
        assert_eq!(browser.evaluate(PICTURED), true, "{place}, map {map}: {found}");
        browser.move_mouse(1.0, 1.0);
        assert_eq!(browser.evaluate(PICTURED), false, "{place}, map {map}: the tip stays");
    }
}

/// Moves the mouse over what a neuron likes, which shows the whole sample.
fn hover_parts(browser: &mut Browser, place: &str) {
    for (section, least) in [("neurons", 4), ("nearest", 4)] {
        let found = browser.evaluate(&format!(
            r##"(() => {{
              const parts = document.querySelectorAll("#{section} .look");
              const box = () => parts[0].getBoundingClientRect();
              parts[0]?.scrollIntoView({{ block: "center", behavior: "instant" }});
              return {{ count: parts.length, place: parts.length ? [box().x + 5, box().y + 5] : [] }};
            }})()"##
        ));
        assert!(found["count"].as_u64().unwrap() >= least, "{place}, {section}: {found}");
        let [x, y] = [0, 1].map(|axis| found["place"][axis].as_f64().unwrap());
        browser.move_mouse(x, y);
        assert_eq!(browser.evaluate(PICTURED), true, "{place}, {section}");
        browser.move_mouse(1.0, 1.0);
    }
}

/// Whatever the page has, at both widths, light and dark.
fn looks_right(tiny: &Tiny, what: &str) {
    let file = page(tiny, &[]);
    let Some(mut browser) = Browser::start(what) else { return };
    for width in [360, 1400] {
        for scheme in Scheme::BOTH {
            let place = format!("{what}, {width} wide, {scheme:?}");
            browser.open(&file, width, scheme);
            assert_eq!(browser.evaluate("innerWidth"), width, "{place}");
            assert_eq!(browser.evaluate(WIDE), Value::Array(vec![]), "{place}");
            assert_eq!(browser.evaluate(PALE), Value::Array(vec![]), "{place}");
            let figures = browser.evaluate(FIGURES);
            let figures = figures.as_array().unwrap();
            assert!(!figures.is_empty(), "{place}");
            for figure in figures {
                assert_eq!(figure["wrong"], Value::Array(vec![]), "{place}: {figure}");
            }
            let untitled = "[...document.querySelectorAll('main section')].filter((it) => !it.querySelector('h2')?.textContent.trim() || !it.id).length";
            assert_eq!(browser.evaluate(untitled), 0, "{place}");
            assert!(hover_charts(&mut browser, &place) > 0, "{place}: no chart");
            hover_maps(&mut browser, &place);
            hover_parts(&mut browser, &place);
            assert_eq!(browser.complaints(), Vec::<String>::new(), "{place}");
            if let Some(folder) = std::env::var_os("GIMLET_SCREENSHOTS") {
                let name = format!("{what}-{width}-{scheme:?}.png").replace(' ', "-");
                std::fs::write(PathBuf::from(folder).join(name), browser.screenshot()).unwrap();
            }
        }
    }
}

#[test]
fn a_run_of_images_looks_right() {
    let tiny = Tiny::new();
    tiny.ok("run", &[]);
    looks_right(&tiny, "the page of images");
}

#[test]
fn a_run_of_sound_looks_right() {
    let tiny = notes();
    tiny.ok("run", &[]);
    looks_right(&tiny, "the page of sound");
}

#[test]
fn pictures_of_channels_say_which_they_are() {
    let tiny = Tiny::new();
    tiny.ok("run", &[]);
    let file = page(&tiny, &[]);
    let Some(mut browser) = Browser::start("hover over channel maps") else { return };
    browser.open(&file, 1400, Scheme::Light);
    let sprites = r#"[...document.querySelectorAll("figure.sprite")].map((figure) => {
      const image = figure.querySelector("img");
      image.scrollIntoView({ block: "center", behavior: "instant" });
      const box = image.getBoundingClientRect();
      return { ...JSON.parse(figure.dataset.sprite), name: figure.innerText, width: box.width };
    })"#;
    let sprites = browser.evaluate(sprites);
    let sprites = sprites.as_array().unwrap();
    assert_eq!(sprites.len(), 3, "the samples, and what two modules make of them: {sprites:?}");
    assert_eq!(sprites[1]["columns"][0], "the sample");
    assert_eq!(sprites[1]["columns"].as_array().unwrap().len(), 1 + 4, "all channels of `a`");
    assert_eq!(sprites[2]["columns"].as_array().unwrap().len(), 1 + 8);
    let place = r#"(() => {
      const image = document.querySelectorAll("figure.sprite img")[1];
      image.scrollIntoView({ block: "center", behavior: "instant" });
      const box = image.getBoundingClientRect();
      return [box.left + 0.95 * box.width, box.top + 0.05 * box.height];
    })()"#;
    let place = browser.evaluate(place);
    browser.move_mouse(place[0].as_f64().unwrap(), place[1].as_f64().unwrap());
    let said = browser.evaluate("document.getElementById('tip').innerText");
    let said = said.as_str().unwrap();
    let (channel, sample) = (&sprites[1]["columns"][4], &sprites[1]["rows"][0]);
    assert_eq!(said, format!("{} {}", channel.as_str().unwrap(), sample.as_str().unwrap()));
}

#[test]
fn the_button_changes_the_colours() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    let file = page(&tiny, &[]);
    let Some(mut browser) = Browser::start("the button for light and dark") else { return };
    browser.open(&file, 1400, Scheme::Dark);
    let ground =
        |browser: &mut Browser| browser.evaluate("getComputedStyle(document.body).backgroundColor");
    let dark = ground(&mut browser);
    let button = "(() => { const box = document.getElementById('theme').getBoundingClientRect(); return [box.x + 9, box.y + 9]; })()";
    let at = browser.evaluate(button);
    browser.click(at[0].as_f64().unwrap(), at[1].as_f64().unwrap());
    let light = ground(&mut browser);
    assert_ne!(dark, light);
    browser.open(&file, 1400, Scheme::Light);
    assert_eq!(ground(&mut browser), light);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// A browser that is told of what is wrong says it: else the checks above would be empty.
#[test]
fn the_browser_sees_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.html");
    let page = r#"<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><style>p { color: #999; background: #fff; width: 500px }</style>
        <p>pale</p><figure><figcaption>x</figcaption><img alt="y" src="data:image/png;base64,AAAA"></figure>
        <script src="http://127.0.0.1:9/none.js"></script><script>console.error("no"); missing();</script>"#;
    std::fs::write(&file, page).unwrap();
    let Some(mut browser) = Browser::start("the browser itself") else { return };
    browser.open(&file, 360, Scheme::Light);
    let complaints = browser.complaints().join("\n");
    assert!(complaints.contains("a request for http://127.0.0.1:9/none.js"), "{complaints}");
    assert!(complaints.contains("missing is not defined"), "{complaints}");
    assert!(complaints.contains(r#""value":"no""#), "{complaints}");
    assert_eq!(browser.evaluate(PALE).as_array().unwrap().len(), 1);
    assert!(!browser.evaluate(WIDE).as_array().unwrap().is_empty());
    let figures = browser.evaluate(FIGURES);
    assert!(figures[0]["wrong"].to_string().contains("not loaded"), "{figures}");
    assert_eq!(browser.evaluate("1 + 1"), 2);
}

/// The values of an attribute, wherever it is.
fn attributes<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!(" {name}=\"");
    html.split(start.as_str()).skip(1).filter_map(|it| it.split('"').next()).collect()
}

/// Whether the page says that a step is missing.
fn lacks(html: &str, step: &str) -> bool {
    html.contains(&format!("<code>{step}</code> is missing"))
}

/// One file that fetches nothing.
fn needs_nothing(html: &str) {
    for name in ["src", "href", "action", "poster", "srcset"] {
        for value in attributes(html, name) {
            // The numbers of the curves lie beside the page.
            let beside = name == "href" && ["curves.parquet", "curves.jsonl"].contains(&value);
            let inside = value.starts_with("data:") || value.starts_with('#') || beside;
            assert!(inside, "{name}={}", &value[..value.len().min(80)]);
        }
    }
    for fetching in ["@import", "fetch(", "XMLHttpRequest", "import(", "<iframe", "<object"] {
        assert!(!html.contains(fetching), "{fetching}");
    }
    for picture in html.split("url(").skip(1) {
        assert!(picture.trim_start_matches('"').starts_with("data:"), "{}", &picture[..40]);
    }
    // Pictures have any letters.
    let mut text = html.to_string();
    for data in attributes(html, "src") {
        text = text.replace(data, "");
    }
    assert!(!text.contains("NaN"), "not a number");
}

#[test]
fn the_page_is_one_file_and_names_are_no_markup() {
    let (_, rest) = PIPELINE.split_once("[view]").unwrap();
    let head =
        "name = \"<script>alert(1)\"\nseed = 5\n\n[data]\ntrain = \"train\"\ntest = \"test\"\n";
    let tiny = Tiny::with(&format!("{head}\n[view]\nresize = 16{rest}"));
    for (split, count) in [("train", 8), ("test", 3)] {
        for (class, name) in ["<img src=x onerror=alert(2)>", "a\"b'c&d"].iter().enumerate() {
            let folder = tiny.path(&format!("{split}/{name}"));
            std::fs::create_dir_all(&folder).unwrap();
            for index in 0..count {
                let tone = (40 * index + 90 * class) as u8;
                let image = RgbImage::from_fn(16, 16, |x, y| Rgb([tone, 9 * x as u8, 7 * y as u8]));
                image.save(folder.join(format!("</script>{index}.png").replace('/', "_"))).unwrap();
            }
        }
    }
    tiny.ok("run", &[]);
    let file = page(&tiny, &[]);
    assert!(file.parent().unwrap().join("index.html").is_file());
    let html = std::fs::read_to_string(&file).unwrap();
    needs_nothing(&html);
    let written = |name: &str| {
        // As references by name or by number.
        let (named, numbered) = ([("<", "&lt;"), (">", "&gt;")], [("<", "&#60;"), (">", "&#62;")]);
        [named, numbered].iter().any(|references| {
            let replace = |text: String, it: &(&str, &str)| text.replace(it.0, it.1);
            html.contains(&references.iter().fold(name.to_string(), replace))
        })
    };
    assert!(written("<script>alert(1)"), "the name of the pipeline");
    assert!(!html.contains("<script>alert") && !html.contains("<img src=x"));
    assert!(written("<img src=x onerror=alert(2)>"), "the name of a label");
    assert_eq!(html.matches("<script").count(), html.matches("</script>").count());
}

#[test]
fn a_run_that_is_half_done_says_what_is_missing_and_how_to_get_it() {
    let tiny = Tiny::new();
    let err = tiny.fails(5, "report", &[]);
    assert!(err.contains("hint: run `gimlet run`"), "{err}");
    let read = || {
        let html = std::fs::read_to_string(page(&tiny, &[])).unwrap();
        needs_nothing(&html);
        html
    };
    tiny.ok("ingest", &[]);
    let html = read();
    assert!(html.contains("class=\"missing\""), "{html}");
    assert!(html.contains("run <code>gimlet run tiny.toml</code>"), "a command that can be pasted");
    assert!(lacks(&html, "encode a") && lacks(&html, "encode b"));
    assert!(html.contains("ingest: values of image"), "what is there is shown");

    tiny.ok("train", &["a"]);
    read();
    tiny.ok("encode", &["a"]);
    let html = read();
    assert!(html.contains("a: channel maps") && !html.contains("b: channel maps"));
    assert!(!lacks(&html, "encode a") && lacks(&html, "encode b"));

    // A training that was stopped on its way has left a checkpoint.
    let every_step =
        ["b", "--set", "training.checkpoint_seconds=0", "--set", "modules.b.epochs=2000"];
    if let Some(stopped) = tiny.held("remove checkpoint", "train", &every_step) {
        stopped.kill();
    }
    let changed = ["--set", "modules.b.epochs=2000"];
    let html = std::fs::read_to_string(page(&tiny, &changed)).unwrap();
    assert!(html.contains("--set modules.b.epochs=2000"), "the same settings: {html}");

    tiny.ok("run", &[]);
    let html = read();
    assert_eq!(html.matches("class=\"missing\"").count(), 1, "but for a twin: {html}");
    assert!(html.contains("an end-to-end twin") && html.contains("--set split=end-to-end"));
    // Other settings make the old generations superseded.
    let html = std::fs::read_to_string(page(&tiny, &["--set", "modules.a.epochs=3"])).unwrap();
    assert!(html.contains("superseded or earlier generations"), "{html}");
}

#[test]
fn damage_is_said_and_the_rest_shown() {
    let tiny = Tiny::new();
    tiny.ok("run", &[]);
    let mut parts = Vec::new();
    tiny::walk(&tiny.path("runs/tiny/datasets/b/test"), &mut |path| {
        if path.extension().is_some_and(|it| it == "parquet") {
            parts.push(path.to_path_buf());
        }
    });
    let mut bytes = std::fs::read(&parts[0]).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    std::fs::write(&parts[0], bytes).unwrap();
    let html = std::fs::read_to_string(page(&tiny, &[])).unwrap();
    assert!(html.contains("class=\"missing\"") && html.contains("damaged"), "{html}");
    assert!(
        html.contains("run <code>gimlet verify tiny.toml</code>, which notes the damage"),
        "{html}"
    );
    assert!(html.contains("a: channel maps") && !html.contains("b: channel maps"));
    needs_nothing(&html);
}

#[test]
fn what_is_not_stored_is_said() {
    let tiny = Tiny::new();
    for (run_dir, set) in [
        ("recomputed", "store.activations=\"recompute\""),
        ("simultaneous", "schedule=\"simultaneous\""),
        ("rounds", "schedule=\"rounds\""),
        ("int8", "store.dtype=\"int8\""),
    ] {
        let args = ["--run-dir", run_dir, "--set", set];
        tiny.ok("run", &args);
        let html = std::fs::read_to_string(page(&tiny, &args)).unwrap();
        needs_nothing(&html);
        let stored = !matches!(run_dir, "recomputed" | "simultaneous");
        assert_eq!(html.contains("The activations of a are not stored"), !stored, "{run_dir}");
        assert_eq!(html.contains("a: values of activation"), stored, "{run_dir}");
        assert!(html.contains("a: channel maps"), "{run_dir}");
        assert_eq!(html.contains("round 1 of 2"), run_dir == "rounds", "{run_dir}");
    }
}
