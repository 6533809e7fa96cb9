//! `gimlet import` of files as others write, store and download them.

use crate::tiny::{ONE_CONV, Tiny};
use crate::torch_file::*;
use serde_json::{Value, json};

const CONV: &str = "model.Conv1.weight";

/// The tensors of its module, as the published code has them.
fn shapes() -> [(&'static str, Vec<usize>); 3] {
    [
        ("model.Conv1.bias", vec![4]),
        (CONV, vec![4, 3, 3, 3]),
        ("loss.W_k.0.weight", vec![4, 4, 1, 1]),
    ]
}

/// Values for them, each another.
fn values() -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let mut next = 0u16;
    let tensors = shapes().into_iter().map(|(name, dims)| {
        let count = dims.iter().product();
        let values = std::iter::repeat_with(|| {
            next += 1;
            f32::from(next) / 256.0 - 0.2
        });
        (name.to_string(), dims, values.take(count).collect())
    });
    tensors.collect()
}

/// As views of storages of their own, one value after the other.
fn views(prefix: &str) -> Vec<(String, View)> {
    let views = values().into_iter().map(|(name, dims, values)| {
        let strides = contiguous(&dims);
        (format!("{prefix}{name}"), View::of(&values, 0, &dims, &strides))
    });
    views.collect()
}

fn contiguous(dims: &[usize]) -> Vec<i64> {
    (0..dims.len()).map(|place| dims[place + 1..].iter().product::<usize>() as i64).collect()
}

/// A safetensors file of this header and these values.
fn safetensors(header: &str, values: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), values].concat()
}

/// The header and the values of a whole one.
fn whole() -> (Value, Vec<u8>) {
    let (mut header, mut bytes) = (json!({}), Vec::new());
    for (name, dims, values) in values() {
        let from = bytes.len();
        bytes.extend(values.iter().flat_map(|it| it.to_le_bytes()));
        header[&name] =
            json!({ "dtype": "F32", "shape": dims, "data_offsets": [from, bytes.len()] });
    }
    (header, bytes)
}

/// Imports a file into a run of its own, and gives the weights that it has then.
fn imported(tiny: &Tiny, name: &str, bytes: &[u8]) -> Vec<u8> {
    std::fs::write(tiny.path(name), bytes).unwrap();
    tiny.ok("import", &[name, "--run-dir", &format!("run-{name}")]);
    tiny.weights(&format!("run-{name}"), "a")
}

/// What is said of a file that is refused, by its name.
fn refused(tiny: &Tiny, bytes: &[u8]) -> String {
    std::fs::write(tiny.path("wrong"), bytes).unwrap();
    let err = tiny.fails(1, "import", &["wrong"]);
    let says_what_to_do = err.contains("hint: ") || err.contains("`git lfs pull`");
    assert!(err.contains("`wrong`") && says_what_to_do, "{err}");
    assert!(!tiny.path("runs/tiny/modules").exists(), "{err}");
    err
}

#[test]
fn what_wrappers_put_into_names_is_passed_over() {
    let tiny = Tiny::with(ONE_CONV);
    let plain = imported(&tiny, "plain.ckpt", &checkpoint_of_views(&views("")));
    let prefixes = [
        "module.",
        "_orig_mod.",
        "module._orig_mod.",
        "_orig_mod.module.",
        "_orig_mod.module._orig_mod.",
        "fullmodel.",
        "module.encoder.0.",
        "_orig_mod.encoder.0.module.",
        "encoder._orig_mod.0.",
        "module.fullmodel._orig_mod.0.",
    ];
    for (number, prefix) in prefixes.iter().enumerate() {
        let bytes = checkpoint_of_views(&views(prefix));
        assert!(imported(&tiny, &format!("{number}.ckpt"), &bytes) == plain, "{prefix}");
    }
    // One part of the model compiled, and the other not.
    let mut parts = views("");
    parts[1].0 = "model._orig_mod.Conv1.weight".to_string();
    assert!(imported(&tiny, "parts.ckpt", &checkpoint_of_views(&parts)) == plain);
    // Both ways in one file.
    let both = [views(""), views("_orig_mod.")].concat();
    let err = refused(&tiny, &checkpoint_of_views(&both));
    assert!(err.contains("are one tensor, twice") && err.contains("`_orig_mod."), "{err}");
    // And in safetensors, which has no other names.
    let (header, bytes) = whole();
    let renamed = header.as_object().unwrap().iter();
    let renamed: Value = renamed.map(|(k, v)| (format!("_orig_mod.{k}"), v.clone())).collect();
    let file = safetensors(&renamed.to_string(), &bytes);
    assert!(imported(&tiny, "compiled.safetensors", &file) == plain);
}

#[test]
fn views_of_other_values_are_read_as_what_they_show() {
    let tiny = Tiny::with(ONE_CONV);
    let plain = imported(&tiny, "plain.ckpt", &checkpoint_of_views(&views("")));
    let at = views("").iter().position(|(name, _)| name == CONV).unwrap();
    let (_, dims, conv) = values().remove(at);
    let with = |view: View| {
        let mut all = views("");
        all[at].1 = view;
        all
    };
    // `[o, i, h, w]` from a storage that is laid out by another order of dimensions.
    let permuted = |order: [usize; 4]| {
        let lengths = order.map(|it| dims[it]);
        let along = contiguous(&lengths);
        let mut strides = [0; 4];
        order.iter().zip(along).for_each(|(dim, stride)| strides[*dim] = stride);
        let mut storage = vec![0.0; conv.len()];
        for (index, value) in conv.iter().enumerate() {
            let mut rest = index as i64;
            let place: i64 = contiguous(&dims)
                .iter()
                .zip(strides)
                .map(|(len, stride)| {
                    let step = rest / len;
                    rest %= len;
                    step * stride
                })
                .sum();
            storage[place as usize] = *value;
        }
        View::of(&storage, 0, &dims, &strides)
    };
    for (number, order) in [[0, 2, 3, 1], [3, 2, 1, 0], [1, 0, 3, 2]].into_iter().enumerate() {
        let views = with(permuted(order));
        let name = format!("{number}.ckpt");
        assert!(imported(&tiny, &name, &checkpoint_of_views(&views)) == plain, "{order:?}");
    }
    // Cut out of something larger: every other value from the fifth on.
    let mut large = vec![9.0; 5 + 2 * conv.len()];
    large[5..].iter_mut().step_by(2).zip(&conv).for_each(|(large, value)| *large = *value);
    let strides: Vec<i64> = contiguous(&dims).iter().map(|it| 2 * it).collect();
    let cut = with(View::of(&large, 5, &dims, &strides));
    assert!(imported(&tiny, "cut.ckpt", &checkpoint_of_views(&cut)) == plain);
    // The old format, too.
    let (pickle, storages) = pickled_views(&cut, b"N");
    assert!(imported(&tiny, "old.ckpt", &old_file(&pickle, &storages)) == plain);
    // One value for all.
    let expanded = with(View::of(&[0.5], 0, &dims, &[0; 4]));
    let same = with(View::of(&vec![0.5; conv.len()], 0, &dims, &contiguous(&dims)));
    let [expanded, same] = [("expanded.ckpt", expanded), ("same.ckpt", same)]
        .map(|(name, views)| imported(&tiny, name, &checkpoint_of_views(&views)));
    assert!(expanded == same);

    let wrong: [(i64, &[i64], &str); 5] = [
        (1, &[27, 9, 3, 1], "reaches beyond the 108 values of its storage"),
        (0, &[27, 9, 3, 2], "reaches beyond"),
        (0, &[i64::MAX, 9, 3, 1], "reaches beyond"),
        (0, &[27, 9, 3, -1], "negative stride, -1"),
        (-1, &[27, 9, 3, 1], "negative offset, -1"),
    ];
    for (offset, strides, said) in wrong {
        let views = with(View::of(&conv, offset, &dims, strides));
        for bytes in [checkpoint_of_views(&views), {
            let (pickle, storages) = pickled_views(&views, b"N");
            old_file(&pickle, &storages)
        }] {
            let err = refused(&tiny, &bytes);
            assert!(err.contains(CONV) && err.contains(said), "{said}: {err}");
            assert!(!err.contains("layers"), "{err}");
        }
    }
    let err = refused(&tiny, &checkpoint_of_views(&with(View::of(&conv, 0, &dims, &[27, 9, 3]))));
    assert!(err.contains(CONV) && err.contains("4 dimensions and 3 strides"), "{err}");
    let twice = [views(""), views("")].concat();
    let err = refused(&tiny, &checkpoint_of_views(&twice));
    assert!(err.contains("there are two tensors `model.Conv1.bias`"), "{err}");
}

#[test]
fn safetensors_whose_places_are_not_those_of_their_tensors_are_refused() {
    let tiny = Tiny::with(ONE_CONV);
    let plain = imported(&tiny, "plain.ckpt", &checkpoint_of_views(&views("")));
    let (header, bytes) = whole();
    let file = safetensors(&header.to_string(), &bytes);
    assert!(imported(&tiny, "whole.safetensors", &file) == plain);
    // The bias is at 0..16, the kernel at 16..448, the predictor at 448..512.
    let refused = |change: &dyn Fn(&mut Value), bytes: &[u8], said: &[&str]| {
        let mut header = header.clone();
        change(&mut header);
        let err = refused(&tiny, &safetensors(&header.to_string(), bytes));
        said.iter().for_each(|said| assert!(err.contains(said), "{said}: {err}"));
    };
    let (bias, predictor) = ("model.Conv1.bias", "loss.W_k.0.weight");
    let place = |name: &'static str, from: u64, to: u64| {
        move |header: &mut Value| header[name]["data_offsets"] = json!([from, to])
    };
    refused(&place(bias, 0, 12), &bytes, &[bias, "takes 16 bytes, its place has 12"]);
    refused(&place(predictor, 384, 448), &bytes, &["overlap", CONV, predictor]);
    refused(&place(predictor, 449, 513), &bytes, &[predictor, "begins at byte 449"]);
    refused(&place(bias, 16, 0), &bytes, &[bias, "before it begins"]);
    refused(&place(predictor, u64::MAX - 64, u64::MAX), &bytes, &[predictor, "begins at byte"]);
    refused(&|_| (), &bytes[..511], &["511 bytes", "512"]);
    refused(&|_| (), &[&bytes[..], b"more"].concat(), &["516 bytes", "512"]);
    refused(&|it| it[bias]["dtype"] = json!("F16"), &bytes, &[bias, "F16 takes 8 bytes"]);
    refused(&|it| it[bias]["dtype"] = json!("I32"), &bytes, &[bias, "is I32", "f32, f16, bf16"]);
    refused(&|it| it[bias]["dtype"] = json!("F9"), &bytes, &[bias, "is F9"]);
    refused(&|it| it[bias]["shape"] = json!([u64::MAX, 2]), &bytes, &[bias, "takes more bytes"]);
    refused(&|it| it[bias]["shape"] = json!([-4]), &bytes, &[bias]);
    refused(&|it| it[bias] = json!(4), &bytes, &[bias]);
    let twice =
        header.to_string().replacen('{', &format!("{{{}:{},", json!(bias), header[bias]), 1);
    let err = self::refused(&tiny, &safetensors(&twice, &bytes));
    assert!(err.contains("there are two tensors `model.Conv1.bias`"), "{err}");
    let mut nan = bytes.clone();
    nan[20..24].copy_from_slice(&f32::NAN.to_le_bytes());
    refused(&|_| (), &nan, &[CONV, "holds NaN", "earlier checkpoint"]);
    let err = self::refused(&tiny, &file[..file.len() / 8]);
    assert!(err.contains("its header has") && err.contains("again"), "{err}");
}

#[test]
fn other_types_are_converted_and_told() {
    let tiny = Tiny::with(ONE_CONV);
    let of = |dtype: &str, bytes: &dyn Fn(f32) -> Vec<u8>| {
        let (mut header, mut all) = (json!({}), Vec::new());
        for (name, dims, values) in values() {
            let from = all.len();
            all.extend(values.iter().flat_map(|it| bytes(*it)));
            header[&name] =
                json!({ "dtype": dtype, "shape": dims, "data_offsets": [from, all.len()] });
        }
        safetensors(&header.to_string(), &all)
    };
    let import = |name: &str, bytes: &[u8]| {
        std::fs::write(tiny.path(name), bytes).unwrap();
        let run_dir = format!("run-{name}");
        let (_, err) = tiny.ok("import", &[name, "--run-dir", &run_dir]);
        (tiny.tensors(&run_dir, "a"), err)
    };
    let (single, err) = import("single", &of("F32", &|it| it.to_le_bytes().to_vec()));
    assert!(!err.contains("converted"), "{err}");
    let (double, err) = import("double", &of("F64", &|it| f64::from(it).to_le_bytes().to_vec()));
    assert!(double == single && err.contains("`double`: F64 was converted to F32"), "{err}");
    let (_, err) = import("half", &of("F16", &|it| half::f16::from_f32(it).to_le_bytes().to_vec()));
    assert!(err.contains("`half`: F16 was converted to F32"), "{err}");
    let (_, err) =
        import("brain", &of("BF16", &|it| half::bf16::from_f32(it).to_le_bytes().to_vec()));
    assert!(err.contains("`brain`: BF16 was converted to F32"), "{err}");
    // What is a number in f64, and none in f32.
    let err = refused(&tiny, &of("F64", &|it| (f64::from(it) * 1e300).to_le_bytes().to_vec()));
    assert!(
        err.contains("holds ") && err.contains("e29") && err.contains("`model.Conv1."),
        "{err}"
    );
}

#[test]
fn a_name_that_is_missing_is_shown_beside_those_that_are_there() {
    let tiny = Tiny::with(ONE_CONV);
    let mut other = views("");
    other[1].0 = "model.conv1.weight".to_string();
    let err = refused(&tiny, &checkpoint_of_views(&other));
    assert!(err.contains("`model.Conv1.weight`") && err.contains("missing"), "{err}");
    assert!(err.contains("[4, 3, 3, 3]") && err.contains("`loss.W_k.0.weight`, "), "{err}");
    assert!(err.contains("the nearest is `model.conv1.weight`") && err.contains("layers"), "{err}");
    let err = refused(&tiny, &checkpoint_of_views(&views("net.")));
    assert!(err.contains("names begin with `net.`") && !err.contains("layers"), "{err}");
    let err = refused(&tiny, &checkpoint_of_views(&[]));
    assert!(err.contains("it has no tensor"), "{err}");
}

#[test]
fn what_a_download_brought_instead_is_named() {
    let tiny = Tiny::with(ONE_CONV);
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d2\n\
                   size 12345\n";
    let page = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>";
    let cases: [(&[u8], &str, &str); 5] = [
        (pointer.as_bytes(), "a Git LFS pointer", "git lfs pull"),
        (page.as_bytes(), "a web page (HTML)", "`resolve`"),
        (b"{\"error\":\"Repository not found\"}", "JSON", "download"),
        (b"", "empty", "again"),
        (b"\x80\x02}.", "a pickle", "torch.save(module.state_dict(), FILE)"),
    ];
    for (bytes, what, hint) in cases {
        let err = refused(&tiny, bytes);
        assert!(err.contains(what) && err.contains(hint), "{err}");
    }
    // A value of the archive's own says how its values are laid out.
    let (pickle, storages) = pickled_views(&views(""), b"");
    let entries =
        storages.into_iter().enumerate().map(|(key, (_, bytes))| (format!("data/{key}"), bytes));
    let entries: Vec<_> = entries.collect();
    let little = archive(&pickle, &entries);
    let big = archive_of(&pickle, b"big", &entries);
    assert!(imported(&tiny, "little.ckpt", &little) == imported(&tiny, "again.ckpt", &little));
    let err = refused(&tiny, &big);
    assert!(err.contains("not little-endian") && err.contains("torch.load"), "{err}");
    let cut = entries.iter().map(|(name, bytes)| (name.clone(), bytes[4..].to_vec()));
    let err = refused(&tiny, &archive(&pickle, &cut.collect::<Vec<_>>()));
    assert!(err.contains("reaches beyond the") && err.contains("again"), "{err}");
}

/// A pipeline on PNGs that are not decodable, beside a view that tells the shapes.
#[test]
fn weights_are_imported_before_anything_is_ingested() {
    let files = "[data]\ntrain = \"train\"\ntest = \"test\"\n";
    let textures = "[data.textures]\nclasses = 2\nsize = 16\ntrain = 8\ntest = 4\n";
    let tiny =
        Tiny::with(&ONE_CONV.replace(textures, files).replace("[view]", "[view]\ncrop = 16"));
    for split in ["train", "test"] {
        for class in ["cat", "dog"] {
            std::fs::create_dir_all(tiny.path(split).join(class)).unwrap();
            let text = b"\x89PNG\r\n\x1a\nbroken";
            std::fs::write(tiny.path(split).join(class).join("0.png"), text).unwrap();
        }
    }
    let plain = imported(&tiny, "plain.ckpt", &checkpoint_of_views(&views("")));
    assert!(!plain.is_empty() && !tiny.path("run-plain.ckpt/datasets").exists());
    tiny.ok("export", &["--output", "out.safetensors", "--run-dir", "run-plain.ckpt"]);
    let again = std::fs::read(tiny.path("out.safetensors")).unwrap();
    assert!(imported(&tiny, "again.safetensors", &again) == plain);
    // Where the data are not even there, weights are kept until they are.
    for split in ["train", "test"] {
        std::fs::rename(tiny.path(split), tiny.path(&format!("no-{split}"))).unwrap();
    }
    let away = ["--run-dir", "away"];
    let (_, err) = tiny.ok("import", &["plain.ckpt", "--run-dir", "away"]);
    assert!(err.contains("until it is there"), "{err}");
    tiny.ok("export", &[&["--output", "away.safetensors"], &away[..]].concat());
    let err = tiny.fails(5, "import", &["plain.ckpt", "--set", "view={patch=8,stride=4}"]);
    assert!(err.contains("`view.crop`"), "{err}");
    tiny.fails(5, "encode", &[&["a"], &away[..]].concat());
    for split in ["train", "test"] {
        std::fs::rename(tiny.path(&format!("no-{split}")), tiny.path(split)).unwrap();
        for class in ["cat", "dog"] {
            let image = image::RgbImage::from_fn(16, 16, |x, y| image::Rgb([x as u8, y as u8, 7]));
            for n in 0..4 {
                image.save(tiny.path(split).join(class).join(format!("{n}.png"))).unwrap();
            }
        }
    }
    let (_, err) = tiny.ok("ingest", &away);
    assert!(err.contains("train a") && err.contains("imported from `plain.ckpt`"), "{err}");
    tiny.ok("run", &away);
    let status = tiny.json("status", &away);
    assert_eq!(status["stages"][2]["why"], "imported from plain.ckpt", "{status}");
    // Classes are told by labels alone.
    let args = ["plain.ckpt", "--run-dir", "labels", "--set", "loss=supervised"];
    let err = tiny.fails(5, "import", &args);
    assert!(err.contains("gimlet ingest"), "{err}");
}
