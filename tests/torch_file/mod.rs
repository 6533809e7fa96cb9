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
    let mut file = OLD.to_vec();
    file.extend(b"\x80\x02M\xe9\x03.\x80\x02}X\x0d\x00\x00\x00little_endian\x88s.");
    file.extend(pickle);
    // The keys are sorted as texts.
    let values: BTreeMap<String, _> =
        values.into_iter().enumerate().map(|(key, it)| (key.to_string(), it)).collect();
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
    let mut pickle = b"\x80\x02ccollections\nOrderedDict\n)R(".to_vec();
    let mut values = Vec::new();
    for (key, (name, tensor)) in tensors.iter().enumerate() {
        let (class, bytes) = storage(tensor);
        text_of(&mut pickle, name);
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text_of(&mut pickle, "storage");
        pickle.extend(format!("ctorch\n{class}\n").bytes());
        text_of(&mut pickle, &key.to_string());
        text_of(&mut pickle, "cpu");
        sizes(&mut pickle, &[tensor.elem_count()]);
        pickle.extend([end, b"tQK\x00("].concat());
        sizes(&mut pickle, tensor.dims());
        pickle.extend(b"t(");
        sizes(&mut pickle, tensor.stride());
        pickle.extend(b"t\x89ccollections\nOrderedDict\n)RtR");
        values.push((tensor.elem_count(), bytes));
    }
    pickle.extend(b"u.");
    (pickle, values)
}

/// The zip archive of a checkpoint.
pub fn archive(pickle: &[u8], values: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut entry = |name: &str, bytes: &[u8]| {
        zip.start_file(format!("archive/{name}"), stored).unwrap();
        zip.write_all(bytes).unwrap();
    };
    entry("data.pkl", pickle);
    entry("byteorder", b"little");
    values.iter().for_each(|(name, bytes)| entry(name, bytes));
    zip.finish().unwrap().into_inner()
}

pub fn text_of(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend((text.len() as u32).to_le_bytes());
    pickle.extend(text.bytes());
}

pub fn sizes(pickle: &mut Vec<u8>, sizes: &[usize]) {
    for size in sizes {
        pickle.push(b'J');
        pickle.extend((*size as i32).to_le_bytes());
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
