//! Pipeline files made to harm: a plan or an error for the user, never a panic. What the fuzz target
//! in `fuzz/` does, over its corpus and over a few thousand mutations that are the same every time.

#[path = "../fuzz/src/memory.rs"]
mod memory;
#[path = "../fuzz/src/mutate.rs"]
#[allow(dead_code)]
mod mutate;
#[path = "../fuzz/src/pipeline.rs"]
mod pipeline;
#[path = "../fuzz/src/tree.rs"]
#[allow(dead_code)]
mod tree;

use std::fs;
use std::path::Path;

use gimlet::Kind;
use gimlet::pipeline::Pipeline;
use mutate::Random;

const MUTATIONS: usize = 4000;

/// The committed inputs, and the recipes.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["fuzz/corpus/pipeline_file", "pipelines"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // Sweeps are no pipelines.
                continue;
            }
            let name = path.file_name().unwrap().display().to_string();
            let prefix = if folder == "pipelines" { "fine_" } else { "" };
            files.push((format!("{prefix}{name}"), fs::read(&path).unwrap()));
        }
    }
    files.sort();
    files
}

#[test]
fn pipeline_files() {
    let corpus = corpus();
    for (name, bytes) in &corpus {
        match (pipeline::read(bytes), name.starts_with("fine_")) {
            (Ok(_), true) | (Err(_), false) => {}
            (Ok(_), false) => panic!("{name}: it was taken for a pipeline"),
            (Err(error), true) => panic!("{name}: {error}"),
        }
    }
    let mut random = Random(4);
    for _ in 0..MUTATIONS {
        let [seed, other] = [0; 2].map(|_| &random.one_of(&corpus).1);
        let bytes = match random.below(2) {
            0 => mutate::words(&mut random, seed),
            _ => mutate::bytes(&mut random, seed, other),
        };
        let _ = pipeline::read(&bytes);
    }
}

/// A file without an end is not read to it.
#[cfg(unix)]
#[test]
fn endless_pipeline_files() {
    for path in ["/dev/zero", "/", "tests/corpus.rs/x", "tests/\0"] {
        let (error, taken) = memory::peak(|| Pipeline::load(Path::new(path), &[]).unwrap_err());
        assert_eq!(error.kind(), Kind::Usage, "{error}");
        assert!(taken < 8 << 20, "{path}: {taken} bytes of memory");
    }
}

/// What is too long to be committed.
#[test]
fn long_pipeline_files() {
    let whole = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/pipeline_file/fine_full.toml"),
    )
    .unwrap();
    let layer = "{ basic = { channels = 8, blocks = 1024 } },";
    let layers = format!("layers = [{}]", layer.repeat(5000));
    let module = |name: &str| format!("[[modules]]\nname = \"{name}\"\npreset = \"resnet34-0\"\n");
    let modules: String = (0..20_000).map(|number| module(&number.to_string())).collect();
    let word = "x".repeat(500_000);
    for text in [
        whole.replacen("layers = [", &format!("{layers}\nunknown = ["), 1),
        format!("{whole}\n{modules}"),
        format!("{whole}\n[{word}]"),
        format!("{whole}\n{word} = 1"),
        whole.replace("\"f16\"", &format!("\"{word}\"")),
        whole.replace("\"each\"", &format!("\"{word}\"")),
        format!("{whole}\n---\nmodules.{word}.epochs=1"),
        format!("{whole}\n---\nstore.dtype={word}"),
        format!("a = {}", "[".repeat(500_000)),
        format!("a = {}", "{ a = ".repeat(100_000)),
        format!("[{}]", "a.".repeat(200_000) + "a"),
        format!("{whole}\n{}", "[[modules]]\n".repeat(40_000)),
        format!("{whole}\n# {}\nx", "é".repeat(500_000)),
        "\n".repeat(1 << 20),
        "'".repeat(1 << 20),
    ] {
        assert!(pipeline::read(text.as_bytes()).is_err());
    }
}
