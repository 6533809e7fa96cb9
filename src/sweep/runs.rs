//! The runs of a sweep: every variant under every seed.

use super::{Seeds, Sweep, Variant};
use crate::pipeline::Pipeline;
use crate::{Error, Result};

/// A variant under one seed.
#[derive(Debug, Clone)]
pub struct SweepRun {
    /// The index of its variant.
    pub variant: usize,
    /// The variant's name and the seed, as messages show them.
    pub title: String,
    /// The seed.
    pub seed: u64,
    /// The settings of the variant and the seed, as `--set` takes them.
    pub overrides: Vec<String>,
    /// The pipeline with the settings of the variant.
    pub pipeline: Pipeline,
}

impl Sweep {
    /// Lists all runs in order: one variant after the other, each under all seeds. Runs under different seeds share no
    /// step, so runs at work together seldom wait for each other.
    ///
    /// # Errors
    /// [`crate::Kind::Usage`] when the pipeline is wrong, or a variant's settings do not fit it; the message
    /// names the variant.
    pub fn runs(&self) -> Result<Vec<SweepRun>> {
        let mut runs = Vec::new();
        for (place, variant) in self.variants.iter().enumerate() {
            let load = |overrides: &[String]| {
                Pipeline::load(&self.pipeline, overrides).map_err(|error| of(&variant.name, error))
            };
            for seed in self.seeds_of(variant, &load)? {
                let overrides = [&variant.overrides[..], &[format!("seed={seed}")]].concat();
                runs.push(SweepRun {
                    variant: place,
                    title: format!("{}, seed {seed}", variant.name),
                    seed,
                    pipeline: load(&overrides)?,
                    overrides,
                });
            }
        }
        Ok(runs)
    }

    fn seeds_of(
        &self,
        variant: &Variant,
        load: &impl Fn(&[String]) -> Result<Pipeline>,
    ) -> Result<Vec<u64>> {
        Ok(match &self.seeds {
            Seeds::These(seeds) => seeds.clone(),
            Seeds::Count(count) => {
                let first = load(&variant.overrides)?.seed;
                (0..*count).map(|more| first.saturating_add(more)).collect()
            }
        })
    }
}

/// Adds to an error the name of its variant or run.
pub(super) fn of(title: &str, error: Error) -> Error {
    let named = Error::new(error.kind(), format!("variant `{title}`: {error}"));
    match error.hint_text() {
        Some(hint) => named.hint(hint),
        None => named,
    }
}
