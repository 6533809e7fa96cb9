//! Exports a stack as one safetensors file, and imports it from one file for all modules or one per module.
//!
//! In a file of the stack, the parameters of module m have the prefix `encoder.{m}.`, or for sound
//! `fullmodel.{m}.`; in a file of one module, they have none. Prefixes from wrappers are ignored (`names.rs`).

use std::path::PathBuf;

use candle_core::Tensor;
use serde_json::Value;

use super::names::{Names, Place};
use super::published::Published;
use super::tensor_file::{TensorFile, WHAT_FITS};
use crate::parameters::{HASH, Parameters};
use crate::{Error, Kind, Result};

/// A module: its name, and its parameters in order.
pub struct Described {
    /// Its name in the pipeline.
    pub name: String,
    /// The prefix of modules in a file of the stack: `encoder`, or for sound `fullmodel`.
    pub stack: &'static str,
    /// Its parameters, in order.
    pub parameters: Vec<Published>,
}

/// The parameters that were read for a module.
pub struct Taken {
    /// The parameters by our names.
    pub parameters: Parameters,
    /// The file they were read from.
    pub file: PathBuf,
    /// The hash of the file.
    pub blake3: String,
    /// The metadata that `gimlet export` wrote into the file.
    pub about: Option<Value>,
    /// Types of values that were converted to f32, as the file names them.
    pub converted: Vec<String>,
}

/// Makes the file of a stack with each module's trained parameters. `about` goes, as JSON, into its metadata.
///
/// # Errors
/// When a parameter is missing or of another shape.
pub fn write(stack: &[(Described, Parameters)], about: &Value) -> Result<Vec<u8>> {
    let mut tensors = Vec::new();
    for (index, (module, parameters)) in stack.iter().enumerate() {
        for parts in module.parameters.chunk_by(|one, next| one.name == next.name) {
            let theirs = parts.iter().map(|part| part.publish(&parameters.get(&part.ours)?));
            let theirs = Tensor::cat(&theirs.collect::<Result<Vec<_>>>()?, 0)?;
            tensors.push((format!("{}.{index}.{}", module.stack, parts[0].name), theirs));
        }
    }
    Parameters::from_tensors(tensors).to_safetensors(about)
}

/// Reads the parameters of all modules, from one file for the stack or one per module, in order.
///
/// # Errors
/// [`Kind::Usage`] when the number of files is wrong; [`Kind::Damaged`] when a file that we wrote has other
/// values; otherwise when a file cannot be read or does not fit. Messages name the file and the tensor.
pub fn read(paths: &[PathBuf], modules: &[Described]) -> Result<Vec<Taken>> {
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let file = TensorFile::open(path)?;
        let names = Names::of(&file)?;
        files.push((file, names));
    }
    if let [(file, names)] = files.as_mut_slice()
        && (modules.len() != 1 || names.of_stack)
    {
        if !names.of_stack {
            return Err(wrong_number(1, modules));
        }
        return read_file(file, names, modules);
    }
    if files.len() != modules.len() {
        return Err(wrong_number(files.len(), modules));
    }
    let mut taken = Vec::with_capacity(modules.len());
    for ((file, names), module) in files.iter_mut().zip(modules) {
        taken.extend(read_file(file, names, std::slice::from_ref(module))?);
    }
    Ok(taken)
}

/// Reads `modules` from a file, which must hold nothing else.
fn read_file(file: &mut TensorFile, names: &Names, modules: &[Described]) -> Result<Vec<Taken>> {
    let mut all = Vec::new();
    let mut known = Vec::new();
    let mut taken = Vec::with_capacity(modules.len());
    for (index, module) in modules.iter().enumerate() {
        let mut ours = Vec::with_capacity(module.parameters.len());
        for parts in module.parameters.chunk_by(|one, next| one.name == next.name) {
            let place = (names.of_stack.then_some(index), parts[0].name.clone());
            let name = names.get(&place).ok_or_else(|| missing(file, names, &place, &parts[0]))?;
            let theirs = file.read(name, &parts[0].dims)?;
            for part in parts {
                ours.push((part.ours.name.clone(), part.take(&theirs)?));
            }
            all.push((format!("{}.{index}.{}", module.stack, parts[0].name), theirs));
            known.push(place);
        }
        taken.push(Taken {
            parameters: Parameters::from_tensors(ours),
            file: file.path.clone(),
            blake3: file.blake3.clone(),
            about: file.about.clone(),
            converted: Vec::new(),
        });
    }
    if let Some(extra) = names.other_than(&known) {
        let path = file.path.display();
        let message =
            format!("tensor `{extra}` of `{path}` fits nothing in the pipeline's modules");
        return Err(Error::failed(message).hint(WHAT_FITS));
    }
    check_hash(file, all)?;
    let converted: Vec<String> = file.converted.iter().cloned().collect();
    taken.iter_mut().for_each(|taken| taken.converted.clone_from(&converted));
    Ok(taken)
}

/// The error for a tensor that a file lacks.
fn missing(file: &TensorFile, names: &Names, place: &Place, parameter: &Published) -> Error {
    let (path, dims, there) = (file.path.display(), &parameter.dims, names.there(place));
    let name = &parameter.name;
    let of = place.0.map_or_else(String::new, |module| format!(" of module {module}"));
    let message = format!("tensor `{name}`{of} of `{path}` is missing, expected {dims:?}: {there}");
    Error::failed(message).hint(match names.in_front_of(place) {
        Some(front) => {
            format!("names begin with `{front}` there: save the state dict of that part alone")
        }
        None => WHAT_FITS.to_string(),
    })
}

/// Fails if a file that we wrote no longer holds the values that we wrote.
fn check_hash(file: &TensorFile, all: Vec<(String, Tensor)>) -> Result<()> {
    let Some(hash) = file.about.as_ref().and_then(|it| it.get(HASH)) else { return Ok(()) };
    if *hash == Parameters::from_tensors(all).hash()? {
        return Ok(());
    }
    let message =
        format!("`{}` is damaged: its values are not what was written", file.path.display());
    Err(Error::new(Kind::Damaged, message).hint("export it again, or restore it from a copy"))
}

fn wrong_number(files: usize, modules: &[Described]) -> Error {
    let names: Vec<&str> = modules.iter().map(|module| module.name.as_str()).collect();
    let s = if files == 1 { "" } else { "s" };
    let message = format!("{files} file{s} of one module each, for {} modules", modules.len());
    let hint =
        format!("name a file for each of {}, in this order, or one of all", names.join(", "));
    Error::new(Kind::Usage, message).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::published;
    use crate::layer::{Conv1d, Layer};
    use crate::loss::{Sizes, infonce1d};
    use crate::train::trainer;

    #[test]
    fn parameters_that_are_one_tensor_there_come_back_each() {
        let context = Some(infonce1d::Context::Gru(infonce1d::GruSettings::default()));
        let loss = infonce1d::Settings { context, ..Default::default() };
        let layers = [Conv1d { channels: 4, kernel: 3, stride: 1, padding: 1 }.shared()];
        let sizes = Sizes::grid(4, [20, 1]);
        let drawn = Parameters::draw(&trainer::shapes(&layers, &loss, 1, sizes), 1, "a").unwrap();
        let described = || Described {
            stack: crate::exchange::published::OF_IMAGES,
            name: "a".to_string(),
            parameters: published::parameters(&layers, 1, &loss, sizes),
        };
        let bytes = write(&[(described(), drawn.clone())], &serde_json::json!({})).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let taken = read(&[file.path().to_path_buf()], &[described()]).unwrap();
        assert_eq!(taken[0].parameters.hash().unwrap(), drawn.hash().unwrap());
    }
}
