//! Checks that recordings have as many hop labels as hops.

use crate::pipeline::SoundView;
use crate::source::{Counted, Sample};
use crate::{Error, Result};

/// The number of hop labels that may be missing or surplus. Aligners leave out hops whose window reaches over the end,
/// or begin half a window late.
const TOLERANCE: usize = 4;

/// The number of recordings to look at before reporting that most do not fit.
const ENOUGH: usize = 20;

/// Counts how well recordings fit their hop labels.
pub(super) struct HopFit<'a> {
    view: &'a SoundView,
    seen: usize,
    /// Recordings that differ by more than the tolerance.
    apart: Counted,
    /// Recordings that differ so much that the labels must be for another hop length or another recording; and the hop
    /// that the labels of the first seem to have, in samples.
    far: Counted,
    seems: usize,
}

impl<'a> HopFit<'a> {
    pub fn new(view: &'a SoundView) -> Self {
        Self { view, seen: 0, apart: Counted::default(), far: Counted::default(), seems: 0 }
    }

    /// Looks at a recording of which `samples` samples are kept.
    pub fn add(&mut self, sample: &Sample, samples: usize) {
        let Some(frames) = &sample.frames else { return };
        let hops = samples.div_ceil(self.view.hop);
        // If the recording is cut off, surplus labels belong to the part that is gone.
        let cut = self.view.clip.is_some_and(|clip| samples >= clip);
        let labels = if cut { frames.len().min(hops) } else { frames.len() };
        let apart = labels.abs_diff(hops);
        self.seen += 1;
        if apart > TOLERANCE {
            let named = || format!("`{}` ({labels} labels, {hops} hops)", sample.source);
            self.apart.add(named);
            if 5 * apart > labels.max(hops) {
                self.far.add(named);
                if self.far.count == 1 {
                    self.seems = samples.checked_div(labels).unwrap_or(0);
                }
            }
        }
    }

    /// Runs [`check`](Self::check) once enough recordings were seen.
    pub fn check_so_far(&self) -> Result<()> {
        if self.seen < ENOUGH { Ok(()) } else { self.check() }
    }

    /// Checks that most labels fit.
    ///
    /// # Errors
    /// When the labels of most recordings are for other hops.
    pub fn check(&self) -> Result<()> {
        let Some(first) = self.far.first.as_ref().filter(|_| 2 * self.far.count > self.seen) else {
            return Ok(());
        };
        let SoundView { hop, rate, .. } = self.view;
        Err(Error::failed(format!(
            "labels of hops do not fit their recordings: {first}, and so it is with {} of {} recordings",
            self.far.count, self.seen
        ))
        .hint(format!(
            "labels of a hop of {hop} samples at {rate} Hz are wanted, as `view.hop` and `view.rate` say; \
             these seem to be of {} samples",
            self.seems
        )))
    }

    /// A message about recordings that do not fit, if there are any.
    pub fn line(&self) -> Option<String> {
        let first = self.apart.first.as_ref()?;
        Some(format!(
            "{} of {} recordings have over {TOLERANCE} labels of hops too many or too few, the first: {first}",
            self.apart.count, self.seen
        ))
    }
}
