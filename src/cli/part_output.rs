//! Shows parts of samples in the terminal, as JSON, and as files.

use std::path::PathBuf;

use clap::Args;
use gimlet_store::Store;
use image::RgbImage;
use serde_json::{Value, json};

use super::output_file::OutputFileArgs;
use super::table;
use crate::report::gallery::{clip, portrait, seconds, where_in};
use crate::report::neurons::short;
use crate::report::picture;
use crate::report::place::Place;
use crate::report::samples::Samples;
use crate::report::vectors::{Hit, Vectors};
use crate::{Error, Kind, Result};

/// For commands that find parts of samples.
#[derive(Args)]
pub struct PartArgs {
    /// Parts to show, at most one a sample
    #[arg(long, value_name = "K", default_value_t = 10)]
    pub count: usize,

    /// Also write them as one picture, a PNG file
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,

    /// Also write the second around each, where samples are recordings, as WAV files to this folder
    #[arg(long, value_name = "DIR")]
    wav: Option<PathBuf>,

    /// Write them also where there are files already
    #[arg(long)]
    force: bool,
}

/// The parts found, in rows of a picture. Each row has a name for its files.
pub type HitsOfModules = Vec<(String, Vec<Hit>)>;

impl PartArgs {
    /// Checks, before any work, that the files can be written.
    ///
    /// # Errors
    /// [`Kind::Usage`] when a file exists and may not be replaced.
    pub fn check(&self) -> Result<()> {
        if let Some(path) = &self.png {
            OutputFileArgs::new(path.clone(), self.force).check()?;
        }
        let full = |folder: &PathBuf| {
            !self.force && std::fs::read_dir(folder).is_ok_and(|mut it| it.next().is_some())
        };
        if let Some(folder) = self.wav.as_ref().filter(|it| full(it)) {
            let message = format!("there is something in `{}` already", folder.display());
            let hint = "name another folder, or write into it with `--force`";
            return Err(Error::new(Kind::Usage, message).hint(hint));
        }
        Ok(())
    }

    /// Writes the files that were asked for; returns their paths.
    ///
    /// # Errors
    /// When they cannot be written; [`Kind::Usage`] when sound is asked for and the samples are images.
    pub fn write(
        &self,
        samples: &Samples,
        vectors: &Vectors,
        found: &HitsOfModules,
    ) -> Result<Vec<PathBuf>> {
        let mut written = Vec::new();
        if self.wav.is_some() && samples.rate.is_none() {
            let message = "the samples are no recordings: there is no sound to write";
            return Err(Error::new(Kind::Usage, message).hint("`--png FILE` writes pictures"));
        }
        if let Some(path) = &self.png {
            let row = |(_, hits): &(String, Vec<Hit>)| -> Result<Vec<RgbImage>> {
                hits.iter().map(|hit| portrait(samples, vectors, *hit)).collect()
            };
            let rows = found.iter().map(row).collect::<Result<Vec<_>>>()?;
            let png = picture::png(&picture::contact_sheet(&rows))?;
            Store::new().locate(path).replace(&png)?;
            written.push(path.clone());
        }
        if let Some(folder) = &self.wav {
            let at = Store::new().locate(folder);
            at.create_folder()?;
            for (name, hits) in found {
                for (rank, hit) in hits.iter().enumerate() {
                    let file = wav_file(name, rank + 1, samples.id(hit.row));
                    at.join(file).replace(&clip(samples, vectors, *hit)?)?;
                }
            }
            written.push(folder.clone());
        }
        Ok(written)
    }
}

fn wav_file(name: &str, rank: usize, id: i64) -> String {
    format!("{name}-{rank:02}-{id}.wav")
}

/// Describes a hit as JSON.
pub fn document(samples: &Samples, vectors: &Vectors, hit: Hit) -> Value {
    let mut document = json!({
        "id": samples.id(hit.row),
        "label": samples.label(hit.row),
        "label_name": samples.label_name(hit.row),
        "value": hit.value,
    });
    let place = match vectors.place(hit.row, hit.position) {
        Place::Patch { row, column, top, left, side } => json!({
            "index": hit.position, "row": row, "column": column,
            "top": top, "left": left, "side": side,
        }),
        Place::Moment { from, to } => {
            let [start, end] = seconds([from, to], samples.rate);
            json!({ "index": hit.position, "start": start, "end": end })
        }
    };
    document[samples.words.part] = place;
    document
}

/// Hits as a table; `value` is the heading of their values.
pub fn hits_table(samples: &Samples, vectors: &Vectors, hits: &[Hit], value: &str) -> String {
    let rows = hits.iter().enumerate().map(|(rank, hit)| {
        let place = where_in(vectors.place(hit.row, hit.position), samples.rate);
        // The header names the unit.
        let place = place.trim_start_matches("patch ").trim_end_matches(" s").to_string();
        vec![
            (rank + 1).to_string(),
            samples.id(hit.row).to_string(),
            samples.label_text(hit.row),
            place,
            short(hit.value.into()),
        ]
    });
    let place = samples.words.place;
    table::plain(&["rank", "id", "label", place, value], rows.collect(), &[0, 1, 4])
}
