//! The keys of `[store]`.

use super::super::bounds::COUNT;
use super::super::settings::Store;
use crate::setting::{Form, Setting, Stale};

/// The bounds of numbers of bytes that must not be 0.
const SOME: Form = Form::Bytes(1);

/// The keys of `[store]`.
pub fn store() -> Vec<Setting> {
    let Store {
        dtype: _,
        compression: _,
        relu,
        rows_per_part,
        activations: _,
        max_bytes: _,
        read_memory,
        keep_generations,
        url: _,
        cache_bytes,
    } = Store::default();
    let (bytes, memory) = (Form::Bytes(0), SOME);
    vec![
        Setting::table("store", "How activations are stored, and where."),
        Setting::new("store.dtype", Form::Words(vec!["f32", "f16", "int8"]))
            .default("\"f16\"")
            .stale(Stale::TRAINING)
            .example("\"int8\"")
            .doc(
                "The type of stored activations; training computes in f32.\n\n`\"int8\"` has a scale for each sample and \
                 channel.",
            ),
        Setting::new("store.compression", Form::Words(vec!["auto", "none", "lz4", "zstd"]))
            .default("\"auto\"")
            .stale(Stale::TRAINING)
            .example("\"zstd\"")
            .doc(
                "How stored values are compressed.\n\n`\"auto\"` is chosen by the first rows that are written. LZ4 is \
                 faster than Zstandard, and its files are larger.",
            ),
        Setting::new("store.relu", Form::Flag)
            .default(relu)
            .stale(Stale::TRAINING)
            .example(false)
            .doc("Store relu(z) where the next module reads nothing else of z."),
        Setting::new("store.activations", Form::Words(vec!["store", "recompute", "auto"]))
            .default("\"store\"")
            .stale(Stale::TRAINING)
            .example("\"auto\"")
            .doc(
                "What becomes of the maps that only the next module reads.\n\n`\"recompute\"` does not write them; the \
                 modules below compute them again from the last maps that are stored. `\"auto\"` takes what a cost model \
                 says is faster, and recomputes more when the run would be larger than `store.max_bytes`; `gimlet plan` \
                 says what it takes and why. A module may have `activations` of its own.",
            ),
        Setting::new("store.rows_per_part", Form::whole(COUNT))
            .default(rows_per_part)
            .unit("rows")
            .stale(Stale::EVERYTHING)
            .example(512)
            .doc(
                "Rows in one Parquet file.\n\nA step that is stopped goes on after its last whole file, and shards of a \
                 dataset are whole files.",
            ),
        Setting::new("store.max_bytes", memory.clone())
            .or("no limit")
            .unit("bytes")
            .example("\"20GB\"")
            .doc(
                "The largest size of the whole run on disk.\n\nA run that would be larger is refused before it begins. \
                 Bytes are a number, or a string of a number and one of kB, MB, GB, TB (powers of 1000) and KiB, MiB, \
                 GiB, TiB (powers of 1024).",
            ),
        Setting::new("store.read_memory", memory)
            .default(read_memory)
            .unit("bytes")
            .example("\"1GB\"")
            .doc("Memory for batches that are read ahead of the trainer; one batch always is."),
        Setting::new("store.keep_generations", Form::whole(COUNT))
            .default(keep_generations)
            .unit("generations")
            .stale(Stale::TRAINING)
            .example(3)
            .doc(
                "The newest generations of each dataset that `gimlet gc` and schedules of rounds keep.\n\nIt makes \
                 something stale only where `schedule.replay` reads older generations.",
            ),
        Setting::new("store.url", Form::Text)
            .or("`runs`, in the current folder")
            .example("\"s3://bucket/runs\"")
            .doc(
                "Where runs lie, each under its name: a folder, or object storage (`s3://`, `gs://`, `az://`, \
                 `file://`).\n\n`--run-dir` names the place of one run instead.",
            ),
        Setting::new("store.cache_bytes", bytes)
            .default(cache_bytes)
            .unit("bytes")
            .example("\"100GB\"")
            .doc(
                "Disk space for the copy of object storage that this machine keeps.\n\nIt lies in `GIMLET_CACHE_DIR`.",
            ),
    ]
}
