//! Loss and accuracy on rows of the test split while modules train, and the curves that come of them.

use crate::tiny;
use std::fs::File;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type, UInt64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use tiny::{PIPELINE, Tiny};

fn with<'a>(args: &[&[&'a str]], run_dir: &'a str) -> Vec<&'a str> {
    [&args.concat()[..], &["--run-dir", run_dir]].concat()
}

fn entries(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The log of the one training of a module.
fn log(tiny: &Tiny, run_dir: &str, module: &str) -> Vec<Value> {
    let path = tiny.find(&format!("{run_dir}/modules/{module}"), "log.jsonl");
    entries(&std::fs::read_to_string(path).unwrap())
}

/// The tiny pipeline whose test split is one batch: spread over the split or not, its rows are the same.
fn one_batch() -> Tiny {
    Tiny::with(&PIPELINE.replace("test = 24", "test = 8"))
}

/// That the loss which probes report is the held-out loss after the last step, where the test split is one batch.
fn check_with_probes(tiny: &Tiny, args: &[&str], last_of: impl Fn(&str) -> Value) {
    let probes = tiny.json("probe", args);
    let trained = probes.as_array().unwrap().iter().filter(|it| it["kind"] == "trained");
    let mut modules = 0;
    for probe in trained {
        let module = probe["module"].as_str().unwrap();
        let last = last_of(module);
        let difference = probe["loss"].as_f64().unwrap() - last["held_out"].as_f64().unwrap();
        assert!(difference.abs() < 1e-5, "{module}: off by {difference}");
        let accuracy = last["held_out_accuracy"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&accuracy), "{module}: {accuracy}");
        modules += 1;
    }
    assert_eq!(modules, 2);
}

#[test]
fn held_out_rows_are_looked_at_after_every_epoch_and_change_neither_weights_nor_keys() {
    let tiny = one_batch();
    let none = ["--set", "training.held_out=0"];
    tiny.ok("run", &with(&[], "looked"));
    tiny.ok("run", &with(&[&none], "blind"));
    for module in ["a", "b"] {
        assert!(tiny.tensors("looked", module) == tiny.tensors("blind", module), "{module}");
        for (step, entry) in log(&tiny, "looked", module).iter().enumerate() {
            let at_end = step % 6 == 5;
            assert_eq!(entry["held_out"].is_number(), at_end, "{module}, step {step}");
            assert_eq!(entry["held_out_accuracy"].is_number(), at_end, "{module}, step {step}");
        }
        let blind = log(&tiny, "blind", module);
        assert!(blind.iter().all(|it| it.get("held_out").is_none()), "{module}");
        assert!(blind.iter().all(|it| it.get("held_out_accuracy").is_none()), "{module}");
    }
    let status = tiny.json("status", &with(&[&none], "looked"));
    assert!(status["stages"].as_array().unwrap().iter().all(|it| it["state"] == "done"));
    check_with_probes(&tiny, &["--run-dir", "looked"], |module| {
        log(&tiny, "looked", module).last().unwrap().clone()
    });
}

#[test]
fn fewer_held_out_rows_are_fewer_batches() {
    let tiny = Tiny::new();
    // Of the three that there are: one, and all.
    for (run_dir, rows) in [("one", "training.held_out=1"), ("all", "training.held_out=24")] {
        tiny.ok("run", &with(&[&["--set", rows]], run_dir));
    }
    let [one, all] = ["one", "all"].map(|it| log(&tiny, it, "a").last().unwrap().clone());
    assert!(one["held_out"].is_number());
    assert_ne!(one["held_out"], all["held_out"]);
    assert_eq!(one["loss"], all["loss"]);
}

/// A folder lists its classes one after another, so that rows that follow each other are of one class, and a
/// guess that it is always this one would be right of all of them.
#[test]
fn held_out_rows_are_of_all_classes() {
    let (_, rest) = PIPELINE.split_once("[view]").unwrap();
    let head = "name = \"tiny\"\nseed = 5\nloss = \"supervised\"\n[data]\ntrain = \"train\"\ntest = \"test\"\n[view]";
    let (before, after) = rest.split_once("[loss.infonce]").unwrap();
    let after = &after[after.find("[training]").unwrap()..];
    let tiny = Tiny::with(&format!("{head}{before}{after}"));
    for (split, count) in [("train", 12), ("test", 8)] {
        for class in 0..4 {
            let folder = tiny.path(&format!("{split}/{class}"));
            std::fs::create_dir_all(&folder).unwrap();
            for index in 0..count {
                // What the classes are cannot be told from the pixels.
                let image = image::GrayImage::from_pixel(16, 16, image::Luma([index as u8]));
                image.save(folder.join(format!("{index}.png"))).unwrap();
            }
        }
    }
    tiny.ok("run", &["--set", "training.held_out=8", "--set", "training.learning_rate=1e-6"]);
    for entry in log(&tiny, "runs/tiny", "a").iter().filter(|it| it["held_out"].is_number()) {
        // Two rows of each of four classes, whatever is guessed.
        assert_eq!(entry["held_out_accuracy"], 0.25, "{entry}");
    }
}

#[test]
fn modules_in_rounds_and_at_once_are_looked_at_too() {
    let tiny = one_batch();
    let rounds = ["--set", "schedule.kind=rounds", "--set", "schedule.rounds=2"];
    tiny.ok("run", &with(&[&rounds], "rounds"));
    let args = with(&[&rounds], "rounds");
    let lines = tiny.ok("curves", &[&args[..], &["--output", "rounds.jsonl"]].concat());
    assert!(lines.0.lines().next().unwrap().contains("round"), "{}", lines.0);
    let all = entries(&std::fs::read_to_string(tiny.path("rounds.jsonl")).unwrap());
    assert_eq!(all.len(), 24);
    for (place, entry) in all.iter().enumerate() {
        let step = place as u64 % 12;
        assert_eq!((&entry["step"], &entry["round"]), (&step.into(), &(step / 6 + 1).into()));
        assert_eq!(entry["held_out_loss"].is_number(), step % 6 == 5);
    }
    check_with_probes(&tiny, &args, |module| {
        let last = all.iter().rfind(|it| it["module"] == module).unwrap();
        serde_json::json!({
            "held_out": last["held_out_loss"], "held_out_accuracy": last["held_out_accuracy"],
        })
    });

    let at_once = ["--set", "schedule.kind=simultaneous"];
    tiny.ok("run", &with(&[&at_once], "at-once"));
    let blind = ["--set", "training.held_out=0"];
    tiny.ok("run", &with(&[&at_once, &blind], "blind"));
    for module in ["a", "b"] {
        assert!(tiny.tensors("at-once", module) == tiny.tensors("blind", module), "{module}");
    }
    check_with_probes(&tiny, &with(&[&at_once], "at-once"), |module| {
        log(&tiny, "at-once", module).last().unwrap().clone()
    });

    // Of modules in processes of their own, the first has a test split while it trains.
    let workers = ["--set", "schedule.kind=async"];
    tiny.ok("run", &with(&[&workers], "async"));
    let looked = |module: &str| {
        log(&tiny, "async", module).iter().filter(|it| it["held_out"].is_number()).count()
    };
    assert_eq!((looked("a"), looked("b")), (2, 0));
    tiny.ok("report", &with(&[&workers], "async"));
    let page = std::fs::read_to_string(tiny.path("async/report/index.html")).unwrap();
    assert!(page.contains("only the first module has a test split"), "no word of why not");
}

#[test]
fn curves_say_what_logs_say_as_parquet_json_lines_and_a_table() {
    let tiny = Tiny::new();
    tiny.fails(5, "curves", &[]);
    tiny.ok("run", &[]);
    let (table, _) = tiny.ok("curves", &["--output", "all.parquet"]);
    let header: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(
        header.join(" "),
        "module epoch steps seconds loss accuracy held-out loss held-out accuracy"
    );
    assert_eq!(table.lines().count(), 5, "two modules, two epochs each:\n{table}");
    let found = tiny.json("curves", &[]);
    let logs: Vec<(&str, Value)> = ["a", "b"]
        .into_iter()
        .flat_map(|module| log(&tiny, "runs/tiny", module).into_iter().map(move |it| (module, it)))
        .collect();
    let second = &found["epochs"][3];
    let mean = logs[18..].iter().map(|(_, it)| it["loss"].as_f64().unwrap()).sum::<f64>() / 6.0;
    assert!((second["loss"].as_f64().unwrap() - mean).abs() < 1e-12);
    assert_eq!((&second["module"], &second["epoch"]), (&"b".into(), &2.into()));
    assert_eq!(second["held_out_loss"], logs[23].1["held_out"]);

    let file = File::open(tiny.path("all.parquet")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batches: Vec<_> = reader.map(|it| it.unwrap()).collect();
    let [batch] = &batches[..] else { panic!("{} batches", batches.len()) };
    let types: Vec<(String, DataType)> = batch
        .schema()
        .fields()
        .iter()
        .map(|it| (it.name().clone(), it.data_type().clone()))
        .collect();
    let expected = [
        ("module", DataType::Utf8),
        ("round", DataType::UInt64),
        ("step", DataType::UInt64),
        ("epoch", DataType::UInt64),
        ("seconds", DataType::Float64),
        ("loss", DataType::Float64),
        ("accuracy", DataType::Float64),
        ("held_out_loss", DataType::Float32),
        ("held_out_accuracy", DataType::Float32),
        ("generation", DataType::UInt64),
    ];
    assert_eq!(types, expected.map(|(name, of)| (name.to_string(), of)));
    assert_eq!(batch.num_rows(), logs.len());
    let column = |name: &str| batch.column_by_name(name).unwrap();
    for (row, (module, entry)) in logs.iter().enumerate() {
        assert_eq!(column("module").as_string::<i32>().value(row), *module);
        for name in ["step", "epoch"] {
            assert_eq!(column(name).as_primitive::<UInt64Type>().value(row), entry[name]);
        }
        for name in ["seconds", "loss", "accuracy"] {
            assert_eq!(column(name).as_primitive::<Float64Type>().value(row), entry[name]);
        }
        for (name, key) in
            [("held_out_loss", "held_out"), ("held_out_accuracy", "held_out_accuracy")]
        {
            let values = column(name).as_primitive::<Float32Type>();
            let value = values.is_valid(row).then(|| values.value(row));
            assert_eq!(value, entry[key].as_f64().map(|it| it as f32), "{name}, row {row}");
        }
    }
    tiny.ok("curves", &["--output", "all.jsonl"]);
    let lines = entries(&std::fs::read_to_string(tiny.path("all.jsonl")).unwrap());
    for (line, (module, entry)) in lines.iter().zip(&logs) {
        assert_eq!(line["module"], *module);
        for (name, key) in [("loss", "loss"), ("held_out_loss", "held_out")] {
            assert_eq!(line[name], entry[key]);
        }
    }
    // A file is not replaced unasked, and says by its name what it is.
    let err = tiny.fails(2, "curves", &["--output", "all.parquet"]);
    assert!(err.contains("is there already"), "{err}");
    tiny.ok("curves", &["--output", "all.parquet", "--force"]);
    let err = tiny.fails(2, "curves", &["--output", "all.csv"]);
    assert!(err.contains("`.parquet` or `.jsonl`"), "{err}");
}

#[test]
fn a_report_shows_what_there_is_of_curves_and_how_to_get_the_rest() {
    let tiny = Tiny::new();
    // Six rows fill no batch of eight.
    let few = ["--set", "data.textures.test=6"];
    let page = |run_dir: &str| {
        std::fs::read_to_string(tiny.path(&format!("{run_dir}/report/index.html"))).unwrap()
    };
    tiny.ok("ingest", &with(&[&few], "few"));
    tiny.ok("train", &[&["a"], &with(&[&few], "few")[..]].concat());
    assert!(log(&tiny, "few", "a").iter().all(|it| it.get("held_out").is_none()));
    tiny.ok("report", &with(&[&few], "few"));
    let html = page("few");
    assert!(html.contains("<figcaption>a: loss</figcaption>"));
    assert!(html.contains("the test split does not fill one batch of 8"));
    assert!(html.contains("the curves of <code>b</code>: <code>train b</code> is missing"));
    assert!(!html.contains("NaN"), "a number is none");
    let rows = entries(&std::fs::read_to_string(tiny.path("few/report/curves.jsonl")).unwrap());
    assert_eq!(rows.len(), 12);

    tiny.ok("run", &[]);
    tiny.ok("report", &[]);
    let html = page("runs/tiny");
    for title in ["a: loss", "b: contrastive accuracy", "all modules: loss"] {
        assert!(html.contains(&format!("<figcaption>{title}</figcaption>")), "{title}");
    }
    assert!(html.contains("the next module begins"));
    assert!(html.contains("a guess"));
    // ln 5 and 1 of 5, at four negatives.
    let curves = html.split("id=\"curves\"").nth(1).unwrap().split("id=\"probes\"").next().unwrap();
    assert!(!curves.contains("Not here yet"), "nothing of the curves is missing");
    assert!(tiny.path("runs/tiny/report/curves.parquet").exists());
}
