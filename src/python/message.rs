//! Messages to and from the process of a stage: one line of JSON, then the bytes of the tensors that it names.

use std::io::{self, BufRead, Read, Write};

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Error, Result};

/// The longest line, in bytes: it names a few tensors, or holds a traceback.
const LONGEST: u64 = 1 << 26;

/// A tensor in a message.
#[derive(Debug, Serialize, Deserialize)]
struct Named {
    name: String,
    dtype: String,
    shape: Vec<usize>,
}

/// A message: what is asked or answered, and tensors.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// The JSON, without the list of tensors.
    pub said: Map<String, Value>,
    pub tensors: Vec<(String, Tensor)>,
}

impl Message {
    /// A request to do something.
    pub fn to(does: &str) -> Self {
        Self::default().saying("do", does)
    }

    /// Adds a value.
    #[must_use]
    pub fn saying(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.said.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a tensor of f32, i64 or u8.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, tensor: &Tensor) -> Self {
        self.tensors.push((name.into(), tensor.clone()));
        self
    }

    /// Adds whole numbers, one axis.
    ///
    /// # Errors
    /// When no tensor can be made of them.
    pub fn numbers(self, name: impl Into<String>, numbers: &[i64]) -> Result<Self> {
        Ok(self.with(name, &Tensor::from_slice(numbers, numbers.len(), &Device::Cpu)?))
    }

    /// The tensor of this name.
    ///
    /// # Errors
    /// When the message has none.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let found = self.tensors.iter().find(|it| it.0 == name);
        let missing = || Error::failed(format!("the answer has no tensor `{name}`"));
        found.map(|it| it.1.clone()).ok_or_else(missing)
    }

    /// Writes the message.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let named: Vec<Named> = self
            .tensors
            .iter()
            .map(|(name, tensor)| Named {
                name: name.clone(),
                dtype: tensor.dtype().as_str().to_owned(),
                shape: tensor.dims().to_vec(),
            })
            .collect();
        let mut said = self.said.clone();
        said.insert("tensors".to_owned(), serde_json::to_value(named)?);
        let mut line = serde_json::to_vec(&said)?;
        line.push(b'\n');
        out.write_all(&line)?;
        for (_, tensor) in &self.tensors {
            out.write_all(&bytes_of(tensor).map_err(io::Error::other)?)?;
        }
        out.flush()
    }

    /// Reads a message; `None` where the other end is closed.
    pub fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut line = Vec::new();
        from.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return match line.is_empty() {
                true => Ok(None),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
        let mut said: Map<String, Value> = serde_json::from_slice(&line)?;
        let named = said.remove("tensors").unwrap_or(Value::Array(Vec::new()));
        let named: Vec<Named> = serde_json::from_value(named)?;
        let read = |it: Named| Ok((it.name.clone(), read_tensor(&it, from)?));
        let tensors = named.into_iter().map(read).collect::<io::Result<_>>()?;
        Ok(Some(Self { said, tensors }))
    }
}

fn bytes_of(tensor: &Tensor) -> candle_core::Result<Vec<u8>> {
    let flat = tensor.to_device(&Device::Cpu)?.flatten_all()?;
    Ok(match tensor.dtype() {
        DType::U8 => flat.to_vec1::<u8>()?,
        DType::I64 => flat.to_vec1::<i64>()?.iter().flat_map(|it| it.to_le_bytes()).collect(),
        _ => {
            let values = flat.to_vec1::<f32>()?;
            let mut bytes = vec![0; 4 * values.len()];
            for (to, value) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(values) {
                *to = value.to_le_bytes();
            }
            bytes
        }
    })
}

fn read_tensor(named: &Named, from: &mut impl Read) -> io::Result<Tensor> {
    let Named { name, dtype, shape } = named;
    let size = match dtype.as_str() {
        "f32" => 4,
        "u8" => 1,
        other => {
            return Err(io::Error::other(format!(
                "tensor `{name}` has the unknown type `{other}`"
            )));
        }
    };
    let length = shape.iter().try_fold(size, |it: usize, side| it.checked_mul(*side));
    let length = length.ok_or_else(|| io::Error::other(format!("tensor `{name}` is too large")))?;
    // Grows with what is there, whatever the line claims.
    let mut bytes = Vec::new();
    from.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let shape = shape.as_slice();
    let tensor = match size {
        1 => Tensor::from_vec(bytes, shape, &Device::Cpu),
        _ => {
            let values: Vec<f32> =
                bytes.as_chunks::<4>().0.iter().map(|raw| f32::from_le_bytes(*raw)).collect();
            Tensor::from_vec(values, shape, &Device::Cpu)
        }
    };
    tensor.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_as_they_were_written() {
        let values =
            Tensor::new(&[[1.5_f32, -0.0], [f32::MIN_POSITIVE, 3.0]], &Device::Cpu).unwrap();
        let raw = Tensor::new(&[7_u8, 0, 255], &Device::Cpu).unwrap();
        let sent = Message::to("step").saying("step", 3).with("x", &values).with("raw", &raw);
        let mut bytes = Vec::new();
        sent.write(&mut bytes).unwrap();
        let read = Message::read(&mut bytes.as_slice()).unwrap().unwrap();
        assert_eq!(read.said, sent.said);
        let bits = |it: &Tensor| bytes_of(it).unwrap();
        assert_eq!(bits(&read.tensor("x").unwrap()), bits(&values));
        assert_eq!(read.tensor("x").unwrap().dims(), [2, 2]);
        assert_eq!(bits(&read.tensor("raw").unwrap()), bits(&raw));
        assert!(read.tensor("y").is_err());
        let rest = &bytes[..bytes.len() - 1];
        let cut = Message::read(&mut &*rest).unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
        assert!(Message::read(&mut &b""[..]).unwrap().is_none());
        let large = br#"{"tensors":[{"name":"x","dtype":"f32","shape":[4611686018427387904,8]}]}"#;
        assert!(Message::read(&mut [&large[..], b"\n"].concat().as_slice()).is_err());
    }
}
