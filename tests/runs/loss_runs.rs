//! A pipeline under every loss.

use crate::tiny;
use gimlet::loss::{Losses, Sizes};
use tiny::Tiny;

#[test]
fn every_loss_trains_a_pipeline_and_is_reported() {
    let tiny = Tiny::new();
    let losses = Losses::default();
    for name in losses.names() {
        // The grid has three rows.
        let reach = format!("loss={{{name}={{prediction_steps=1}}}}");
        let set = match name {
            "supervised" => vec!["--set", "loss=supervised"],
            _ => vec!["--set", reach.as_str()],
        };
        if name == "infonce1d" {
            let err = tiny.fails(2, "run", &["--run-dir", name, "--set", "loss=infonce1d"]);
            assert!(err.contains("it needs sound"), "{err}");
            continue;
        }
        let mut args = vec!["--run-dir", name];
        args.extend(set);
        let (_, err) = tiny.ok("run", &args);
        let recipe = losses.named(name).unwrap();
        let guess = recipe.of_a_guess(Sizes { classes: 3, ..Sizes::grid(8, [3, 3]) });
        let shown = match guess {
            Some(_) => format!("{} ", recipe.accuracy_is()),
            None => "steps, loss ".to_owned(),
        };
        assert!(err.contains(&shown), "{name}: {err}");
        let run = tiny.json("run", &args);
        for probe in run["probes"].as_array().unwrap() {
            let chance = &probe["chance_loss"];
            assert_eq!(chance.is_null(), guess.is_none(), "{name}: {probe}");
            assert!(probe["loss"].as_f64().unwrap().is_finite(), "{name}: {probe}");
        }
    }
}

#[test]
fn a_pixelcnn_is_trained_with_the_module_below_it() {
    let tiny = Tiny::new();
    let args = ["--set", "split=end-to-end", "--set", "loss.infonce.context=pixelcnn"];
    tiny.ok("run", &args);
    let weights = tiny.weights("runs/tiny", "m0");
    let header = String::from_utf8_lossy(&weights[..8000]);
    for name in ["encoder.2.conv1.weight", "loss.predictor.0", "loss.context.3.vertical.weight"] {
        assert!(header.contains(name), "{name}: {header}");
    }
}

#[test]
fn labels_that_are_missing_are_an_error_where_they_are_read_and_nowhere_else() {
    let tiny = Tiny::new();
    let folder = tiny.path("images");
    std::fs::create_dir_all(&folder).unwrap();
    for index in 0..12u8 {
        let image = image::GrayImage::from_fn(16, 16, |x, y| {
            image::Luma([index.wrapping_mul(7).wrapping_add((x * y) as u8)])
        });
        image.save(folder.join(format!("{index}.png"))).unwrap();
    }
    let pipeline = tiny::PIPELINE.replace(
        "[data.textures]\nclasses = 3\nsize = 16\ntrain = 48\ntest = 24",
        "[data]\ntrain = \"images\"\ntest = \"images\"\nlabel = false",
    );
    std::fs::write(tiny.path("tiny.toml"), pipeline).unwrap();
    tiny.ok("run", &["--run-dir", "infonce"]);
    let err = tiny.fails(1, "run", &["--run-dir", "supervised", "--set", "loss=supervised"]);
    assert!(
        err.contains("the loss `supervised` reads labels, and 12 of 12 samples have none"),
        "{err}"
    );
}

#[test]
fn every_label_of_images_is_probed_and_shown() {
    let tiny = Tiny::new();
    for index in 0..24u8 {
        let (slope, tone) = (index % 2, index % 3);
        let image = image::GrayImage::from_fn(16, 16, |x, y| {
            let along = if slope == 0 { x } else { y };
            image::Luma([(along as u8 * 9) ^ (tone * 40) ^ index])
        });
        let split = if index < 16 { "train" } else { "test" };
        std::fs::create_dir_all(tiny.path(split)).unwrap();
        image.save(tiny.path(&format!("{split}/{slope}_{tone}_{index}.png"))).unwrap();
    }
    let pipeline = tiny::PIPELINE.replace(
        "[data.textures]\nclasses = 3\nsize = 16\ntrain = 48\ntest = 24",
        "[data]\ntrain = \"train\"\ntest = \"test\"\nlabel = [\"slope\", \"tone\"]\n\
         names = \"{slope}_{tone}_{index}\"",
    );
    std::fs::write(tiny.path("tiny.toml"), pipeline).unwrap();
    let (out, _) = tiny.ok("run", &[]);
    assert!(out.lines().next().unwrap().contains(" tone "), "{out}");
    for probe in tiny.json("run", &[])["probes"].as_array().unwrap() {
        let tone = &probe["further"][0];
        assert_eq!(tone["label"], "tone");
        assert!((0.0..=1.0).contains(&tone["accuracy"].as_f64().unwrap()), "{probe}");
    }
}
