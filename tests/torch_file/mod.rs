//! Files of tensors as PyTorch writes them, and those with the published code's numbers.

// Every test target uses its own part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::Path;

use candle_core::{DType, Device, Tensor};

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;

pub fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()
}

/// The tensors of a golden case, and of a safetensors file at all.
pub fn load(path: &Path) -> Tensors {
    candle_core::safetensors::load(path, &Device::Cpu).unwrap().into_iter().collect()
}

pub fn golden(case: &str) -> Tensors {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    load(&folder.join(format!("{case}.safetensors")))
}

/// What `torch.save(OrderedDict(tensors), file)` writes.
pub fn checkpoint(tensors: &Tensors) -> Vec<u8> {
    let (pickle, values) = pickled(tensors, b"");
    let entry = |(key, (_, bytes))| (format!("data/{key}"), bytes);
    archive(&pickle, &values.into_iter().enumerate().map(entry).collect::<Vec<_>>())
}

/// What PyTorch wrote before 1.6.
pub fn old_checkpoint(tensors: &Tensors) -> Vec<u8> {
    let (pickle, values) = pickled(tensors, b"N");
    old_file(&pickle, &values)
}

/// The same, of a pickle and the values of its storages.
pub fn old_file(pickle: &[u8], values: &[(usize, Vec<u8>)]) -> Vec<u8> {
    let mut file = OLD.to_vec();
    file.extend(b"\x80\x02M\xe9\x03.\x80\x02}X\x0d\x00\x00\x00little_endian\x88s.");
    file.extend(pickle);
    // The keys are sorted as texts.
    let values: BTreeMap<String, _> =
        values.iter().enumerate().map(|(key, it)| (key.to_string(), it)).collect();
    file.extend(b"\x80\x02](");
    values.keys().for_each(|key| text_of(&mut file, key));
    file.extend(b"e.");
    for (len, bytes) in values.values() {
        file.extend((*len as u64).to_le_bytes());
        file.extend(bytes);
    }
    file
}

/// What old checkpoints begin with.
pub const OLD: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

/// A pickle of tensors, and the values of each: how many, and their bytes. What names a storage ends
/// with `end`.
pub fn pickled(tensors: &Tensors, end: &[u8]) -> (Vec<u8>, Vec<(usize, Vec<u8>)>) {
    let views = tensors.iter().map(|(name, tensor)| {
        let (class, bytes) = storage(tensor);
        let contiguous = tensor.contiguous().unwrap();
        let strides = contiguous.stride().iter().map(|it| *it as i64).collect();
        let (count, dims) = (tensor.elem_count(), tensor.dims().to_vec());
        (name.clone(), View { class, count, bytes, offset: 0, dims, strides })
    });
    pickled_views(&views.collect::<Vec<_>>(), end)
}

/// A tensor as it lies in a storage of its own.
#[derive(Clone)]
pub struct View {
    pub class: &'static str,
    /// Values of the storage, and their bytes.
    pub count: usize,
    pub bytes: Vec<u8>,
    pub offset: i64,
    pub dims: Vec<usize>,
    pub strides: Vec<i64>,
}

impl View {
    /// A view of a storage of f32.
    pub fn of(values: &[f32], offset: i64, dims: &[usize], strides: &[i64]) -> Self {
        Self {
            class: "FloatStorage",
            count: values.len(),
            bytes: values.iter().flat_map(|it| it.to_le_bytes()).collect(),
            offset,
            dims: dims.to_vec(),
            strides: strides.to_vec(),
        }
    }
}

/// What `torch.save` writes of such views.
pub fn checkpoint_of_views(views: &[(String, View)]) -> Vec<u8> {
    let (pickle, values) = pickled_views(views, b"");
    let entry = |(key, (_, bytes))| (format!("data/{key}"), bytes);
    archive(&pickle, &values.into_iter().enumerate().map(entry).collect::<Vec<_>>())
}

/// [`pickled`], of such views.
pub fn pickled_views(views: &[(String, View)], end: &[u8]) -> (Vec<u8>, Vec<(usize, Vec<u8>)>) {
    let mut pickle = b"\x80\x02ccollections\nOrderedDict\n)R(".to_vec();
    let mut values = Vec::new();
    for (key, (name, view)) in views.iter().enumerate() {
        text_of(&mut pickle, name);
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text_of(&mut pickle, "storage");
        pickle.extend(format!("ctorch\n{}\n", view.class).bytes());
        text_of(&mut pickle, &key.to_string());
        text_of(&mut pickle, "cpu");
        ints(&mut pickle, [view.count as i64]);
        pickle.extend([end, b"tQ"].concat());
        ints(&mut pickle, [view.offset]);
        pickle.extend(b"(");
        ints(&mut pickle, view.dims.iter().map(|it| *it as i64));
        pickle.extend(b"t(");
        ints(&mut pickle, view.strides.iter().copied());
        pickle.extend(b"t\x89ccollections\nOrderedDict\n)RtR");
        values.push((view.count, view.bytes.clone()));
    }
    pickle.extend(b"u.");
    (pickle, values)
}

/// The zip archive of a checkpoint.
pub fn archive(pickle: &[u8], values: &[(String, Vec<u8>)]) -> Vec<u8> {
    archive_of(pickle, b"little", values)
}

/// The same of a machine with this order of bytes.
pub fn archive_of(pickle: &[u8], order: &[u8], values: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut entry = |name: &str, bytes: &[u8]| {
        zip.start_file(format!("archive/{name}"), stored).unwrap();
        zip.write_all(bytes).unwrap();
    };
    entry("data.pkl", pickle);
    entry("byteorder", order);
    values.iter().for_each(|(name, bytes)| entry(name, bytes));
    zip.finish().unwrap().into_inner()
}

pub fn text_of(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend((text.len() as u32).to_le_bytes());
    pickle.extend(text.bytes());
}

/// Whole numbers, of 32 bits where that is enough as Python writes them.
pub fn ints(pickle: &mut Vec<u8>, ints: impl IntoIterator<Item = i64>) {
    for int in ints {
        match i32::try_from(int) {
            Ok(int) => {
                pickle.push(b'J');
                pickle.extend(int.to_le_bytes());
            }
            Err(_) => {
                pickle.extend([0x8a, 8]);
                pickle.extend(int.to_le_bytes());
            }
        }
    }
}

/// The class and the bytes of a tensor's storage.
pub fn storage(tensor: &Tensor) -> (&'static str, Vec<u8>) {
    let flat = tensor.flatten_all().unwrap();
    let wide = |t: &Tensor| t.to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
    match tensor.dtype() {
        DType::F64 => {
            ("DoubleStorage", wide(&flat).iter().flat_map(|it| it.to_le_bytes()).collect())
        }
        DType::I64 => {
            ("LongStorage", wide(&flat).iter().flat_map(|i| (*i as i64).to_le_bytes()).collect())
        }
        DType::F16 => (
            "HalfStorage",
            wide(&flat).iter().flat_map(|it| half::f16::from_f64(*it).to_le_bytes()).collect(),
        ),
        _ => {
            let values = flat.to_vec1::<f32>().unwrap();
            ("FloatStorage", values.iter().flat_map(|it| it.to_le_bytes()).collect())
        }
    }
}
