//! What datasets of published sizes take: bytes, parts, requests, bandwidth and money, from the real planner's
//! rows, shapes and operations. Prices and rates are the constants below.

use std::fmt::Write;
use std::path::Path;

use gimlet::pipeline::{Environment, PerSplit, Pipeline, SampleSize};
use gimlet::stage::cost::Costs;
use gimlet::stage::{At, Step};
use gimlet_store::Limits;

use crate::planned::Result;

/// ImageNet's training images, LAION-400M and LAION-5B.
const INPUTS: [(&str, u64); 3] =
    [("ImageNet", 1_281_167), ("LAION-400M", 400_000_000), ("LAION-5B", 5_000_000_000)];

const NETWORKS: [(&str, &str, usize); 2] = [
    ("published", include_str!("published.toml"), 96),
    ("resnet", include_str!("resnet.toml"), 256),
];

/// Operations a second of a GPU in training. Measured (LOG.md): an H100, f32 through candle, the first module of
/// `published`, a step of 32 in 195 ms, loss and all. Assumed: a third of the 989e12 that its maker states for bf16.
const MEASURED: f64 = 2.7e12;
const ASSUMED: f64 = 330e12;

/// A forward pass and a backward pass, in forward passes.
const PASSES: f64 = 3.0;

/// What zstd leaves of relu(z) in f16 (docs/guide/store.md), measured on CIFAR-10.
const ZSTD: f64 = 0.61;

/// Dollars: a GB for a month, a GET, a PUT, an hour of a GPU.
const GB_MONTH: f64 = 0.023;
const GET: f64 = 0.4e-6;
const PUT: f64 = 5e-6;
const GPU_HOUR: f64 = 3.0;

/// Bytes a second for each of eight GPUs on 100 Gbit/s; GETs a second of a prefix.
const NIC: f64 = 12.5e9 / 8.0;
const PREFIX: f64 = 5500.0;

/// Bytes of a part in a manifest, as JSON.
const PART_JSON: u64 = 302;

fn parse(text: &str, dtype: &str) -> Result<Pipeline> {
    let set = [format!("store.dtype={dtype}")];
    Ok(Pipeline::parse(text, Path::new("scale.toml"), &set, &Environment::default())?)
}

/// Bytes of the largest column that a step writes of a row.
fn row(costs: &Costs, step: Step, stored: &[bool]) -> u64 {
    costs.schemas(step, stored).first().map_or(0, |it| it.row_bytes() as u64)
}

fn encode(module: usize) -> Step {
    Step::Encode(At { module, round: 0 })
}

/// All tables.
pub fn tables() -> Result<String> {
    let mut out = String::new();
    datasets(&mut out)?;
    modules(&mut out)?;
    parts(&mut out)?;
    money(&mut out)?;
    Ok(out)
}

fn datasets(out: &mut String) -> Result<()> {
    writeln!(out, "**Bytes of each dataset** (training split; zstd: {ZSTD} of f16)\n")?;
    writeln!(out, "| network | input | dataset | f16 | f16, zstd | int8 | pooled alone |")?;
    writeln!(out, "|---|---|---|--:|--:|--:|--:|")?;
    for (network, text, side) in NETWORKS {
        let (half, eighth) = (parse(text, "f16")?, parse(text, "int8")?);
        for (input, samples) in INPUTS {
            let costs =
                Costs::new(&half, PerSplit { train: samples, test: 0 }, SampleSize::square(side))?;
            let small = Costs::new(
                &eighth,
                PerSplit { train: samples, test: 0 },
                SampleSize::square(side),
            )?;
            let none = vec![false; half.modules.len()];
            let all = vec![true; half.modules.len()];
            let images = bytes(costs.bytes(Step::Ingest, &all) as f64);
            writeln!(out, "| {network} | {input} | samples, u8 | {images} | | | |")?;
            for (index, module) in half.modules.iter().enumerate() {
                let step = encode(index);
                let pooled = costs.bytes(step, &none) as f64;
                let stored = costs.bytes(step, &all) as f64;
                let f16 = bytes(stored);
                let zstd = bytes(pooled + (stored - pooled) * ZSTD);
                let int8 = bytes(small.bytes(step, &all) as f64);
                let (pooled, name) = (bytes(pooled), &module.name);
                writeln!(out, "| | | {name} | {f16} | {zstd} | {int8} | {pooled} |")?;
            }
        }
    }
    Ok(())
}

fn modules(out: &mut String) -> Result<()> {
    writeln!(
        out,
        "\n**What a GPU asks for**, a row a request, f16; *m*: at {} TFLOP/s, measured; *a*: at {:.0}, assumed\n",
        MEASURED / 1e12,
        ASSUMED / 1e12
    )?;
    writeln!(
        out,
        "| network | trains | reads a row | GFLOP a row | rows/s, m | GB/s, m | rows/s, a | GB/s, a | GPUs a prefix feeds, a | saturates first, a |"
    )?;
    writeln!(out, "|---|---|--:|--:|--:|--:|--:|--:|--:|---|")?;
    for (network, text, side) in NETWORKS {
        let pipeline = parse(text, "f16")?;
        let costs = Costs::new(
            &pipeline,
            PerSplit { train: INPUTS[0].1, test: 0 },
            SampleSize::square(side),
        )?;
        let all = vec![true; pipeline.modules.len()];
        for (index, module) in pipeline.modules.iter().enumerate() {
            let source = if index == 0 { Step::Ingest } else { encode(index - 1) };
            let size = read_bytes(&costs, source, &all) as f64;
            let operations = PASSES * costs.operations(index);
            let (m, a) = (MEASURED / operations, ASSUMED / operations);
            // Whichever is the larger share of what there is for one GPU.
            let first = if a * size / NIC > a / PREFIX { "NIC" } else { "prefix" };
            writeln!(
                out,
                "| {network} | {} | {} | {:.1} | {} | {:.2} | {} | {:.2} | {:.1} | {first} |",
                module.name,
                bytes(size),
                operations / PASSES / 1e9,
                count(m),
                m * size / 1e9,
                count(a),
                a * size / 1e9,
                PREFIX / a,
            )?;
        }
    }
    Ok(())
}

/// Of the column that is trained on, which comes first.
fn read_bytes(costs: &Costs, step: Step, stored: &[bool]) -> u64 {
    costs.schemas(step, stored)[0].columns[0].row_bytes() as u64
}

fn parts(out: &mut String) -> Result<()> {
    let most = Limits::default();
    writeln!(
        out,
        "\n**Parts and memory**: at most {} parts a generation, {} rows for each column that is read\n",
        most.parts(),
        count(most.index as f64 / 16.0)
    )?;
    writeln!(
        out,
        "| input | rows_per_part | parts | a part of `published`: samples, a in f16, pooled of a | manifest | where rows lie | an epoch's order, two readers |"
    )?;
    writeln!(out, "|---|--:|--:|---|--:|--:|--:|")?;
    let (_, text, side) = NETWORKS[0];
    for ((input, samples), per_parts) in
        INPUTS.into_iter().zip([[256, 2048], [2048, 80_000], [65_536, 1_000_000]])
    {
        for per_part in per_parts {
            let pipeline = parse(text, "f16")?;
            let costs = Costs::new(
                &pipeline,
                PerSplit { train: samples, test: 0 },
                SampleSize::square(side),
            )?;
            let parts = samples.div_ceil(per_part);
            let too_many = if parts > most.parts() { " (refused)" } else { "" };
            let index = samples * 16;
            let too_large = if index > most.index { " (refused)" } else { "" };
            let step = encode(0);
            let sizes = [
                row(&costs, Step::Ingest, &[true; 3]),
                row(&costs, step, &[true; 3]),
                row(&costs, step, &[false; 3]),
            ];
            let [image, stored, pooled] = sizes.map(|it| bytes((it * per_part) as f64));
            writeln!(
                out,
                "| {input} | {per_part} | {parts}{too_many} | {image}, {stored}, {pooled} | {} | {}{too_large} | {} |",
                bytes((parts * PART_JSON) as f64),
                bytes(index as f64),
                bytes((samples * 8) as f64),
            )?;
        }
    }
    Ok(())
}

fn money(out: &mut String) -> Result<()> {
    writeln!(
        out,
        "\n**Storing against recomputing**: of a million rows, in dollars (GPU: m, a as above)\n"
    )?;
    writeln!(
        out,
        "| network | boundary | a month of f16 | PUT in parts of 8 MB | GET, an epoch | computing up to there, an epoch, m | a | epochs a month from which storing pays, m | a |"
    )?;
    writeln!(out, "|---|---|--:|--:|--:|--:|--:|--:|--:|")?;
    for (network, text, side) in NETWORKS {
        let pipeline = parse(text, "f16")?;
        let costs = Costs::new(
            &pipeline,
            PerSplit { train: 1_000_000, test: 0 },
            SampleSize::square(side),
        )?;
        let all = vec![true; pipeline.modules.len()];
        let mut operations = 0.0;
        for (index, module) in pipeline.modules.iter().enumerate() {
            operations += costs.operations(index);
            if index + 1 == pipeline.modules.len() {
                break;
            }
            let total = costs.bytes(encode(index), &all) as f64;
            let (month, put, get) = (total / 1e9 * GB_MONTH, total / 8e6 * PUT, 1e6 * GET);
            let compute = |rate: f64| 1e6 * operations / rate / 3600.0 * GPU_HOUR;
            let pays = |rate: f64| match compute(rate) - get {
                saved if saved > 0.0 => count((month + put) / saved),
                _ => "never".to_owned(),
            };
            writeln!(
                out,
                "| {network} | {} | {month:.0} | {put:.2} | {get:.2} | {:.2} | {:.4} | {} | {} |",
                module.name,
                compute(MEASURED),
                compute(ASSUMED),
                pays(MEASURED),
                pays(ASSUMED),
            )?;
        }
    }
    Ok(())
}

#[allow(dead_code)] // The test alone compares them.
/// Bytes that `gimlet plan` has to print for ImageNet: of the ingest, and of each module's encoding.
pub fn of_imagenet(network: usize, test: u64) -> Result<Vec<u64>> {
    let (_, text, side) = NETWORKS[network];
    let pipeline = parse(text, "f16")?;
    let costs =
        Costs::new(&pipeline, PerSplit { train: INPUTS[0].1, test }, SampleSize::square(side))?;
    let all = vec![true; pipeline.modules.len()];
    let encodings = (0..pipeline.modules.len()).map(encode);
    Ok([Step::Ingest].into_iter().chain(encodings).map(|it| costs.bytes(it, &all)).collect())
}

/// `published.toml` or `resnet.toml`.
pub fn network(index: usize) -> &'static str {
    NETWORKS[index].1
}

fn bytes(bytes: f64) -> String {
    let units = [(1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.*} {name}", digits(bytes / unit), bytes / unit),
        None => format!("{bytes} B"),
    }
}

fn digits(number: f64) -> usize {
    if number < 10.0 { 1 } else { 0 }
}

fn count(number: f64) -> String {
    match number {
        it if it >= 1e6 => format!("{:.0} M", it / 1e6),
        it if it >= 1e4 => format!("{:.0},000", it / 1e3),
        it => format!("{it:.0}"),
    }
}
