//! Builds a pipeline from its parts, with the checks that hold for every pipeline. A pipeline that is read from a file
//! is built here, too.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::modules::{self, NewModule, Planned};
use super::origin::{Fault, Kept};
use super::settings::{Data, Pipeline, Probe, Slurm, Source, Store, Training, View};
use super::shapes::walk;
use super::split::Cut;
use super::{data, loss, schedule, store, training};
use crate::error::Result;
use crate::loss::Recipe;
use crate::schedule::Schedule;

/// The parts of a pipeline that is not built yet; [`Pipeline::builder`] makes one.
#[derive(Debug, Clone)]
pub struct Builder {
    pub(super) name: String,
    pub(super) file: PathBuf,
    pub(super) seed: u64,
    pub(super) data: Data,
    pub(super) view: View,
    pub(super) modules: Vec<NewModule>,
    pub(super) split: Option<Cut>,
    pub(super) loss: Arc<dyn Recipe>,
    pub(super) training: Training,
    pub(super) schedule: Arc<dyn Schedule>,
    pub(super) store: Store,
    pub(super) probe: Probe,
    pub(super) slurm: Slurm,
}

impl Pipeline {
    /// Begins a pipeline without a file: `data` seen as `view` says. It needs at least one module; everything else has
    /// the defaults of a pipeline file.
    ///
    /// ```
    /// use gimlet::layer::{Conv, Layer, Relu};
    /// use gimlet::pipeline::{ImageView, NewModule, Pipeline, Textures};
    ///
    /// let layers = [Conv { channels: 8, kernel: 3, stride: 1, padding: 1 }.shared(), Relu.shared()];
    /// let pipeline = Pipeline::builder("mine", Textures::default(), ImageView::new(8, 4))
    ///     .module(NewModule::new("a", layers))
    ///     .build()?;
    /// assert_eq!(pipeline.modules[0].epochs, 10);
    /// # Ok::<(), gimlet::Error>(())
    /// ```
    pub fn builder(
        name: impl Into<String>,
        data: impl Into<Data>,
        view: impl Into<View>,
    ) -> Builder {
        let (name, view) = (name.into(), view.into());
        Builder {
            file: PathBuf::from(&name),
            name,
            seed: 0,
            data: data.into(),
            loss: view.settings().default_loss(),
            view,
            modules: Vec::new(),
            split: None,
            training: Training::default(),
            schedule: schedule::default(),
            store: Store::default(),
            probe: Probe::default(),
            slurm: Slurm::default(),
        }
    }
}

impl Builder {
    /// Starts every random draw from this seed.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Adds a module, which reads the output of the module before it.
    #[must_use]
    pub fn module(mut self, module: NewModule) -> Self {
        self.modules.push(module);
        self
    }

    /// Cuts the layers of all modules into other modules.
    #[must_use]
    pub fn split(self, split: Cut) -> Self {
        Self { split: Some(split), ..self }
    }

    /// Trains every module with this loss.
    #[must_use]
    pub fn loss(self, loss: impl Recipe) -> Self {
        Self { loss: Arc::new(loss), ..self }
    }

    /// Sets how modules are trained.
    #[must_use]
    pub fn training(self, training: Training) -> Self {
        Self { training, ..self }
    }

    /// Trains modules in this order.
    #[must_use]
    pub fn schedule(self, schedule: impl Schedule) -> Self {
        Self { schedule: Arc::new(schedule), ..self }
    }

    /// Sets how activations are stored.
    #[must_use]
    pub fn store(self, store: Store) -> Self {
        Self { store, ..self }
    }

    /// Sets how modules are probed.
    #[must_use]
    pub fn probe(self, probe: Probe) -> Self {
        Self { probe, ..self }
    }

    /// Builds the pipeline, with the same checks as for a pipeline file.
    ///
    /// # Errors
    /// [`crate::Kind::Usage`] when a setting is out of bounds, or parts do not fit each other. The message names the
    /// setting as a pipeline file does: `training.epochs`.
    pub fn build(self) -> Result<Pipeline> {
        let name = self.name.clone();
        self.checked().map(|(pipeline, _)| pipeline).map_err(|fault| fault.in_code(&name))
    }

    /// The pipeline, and the paths of the layers of each of its modules.
    pub(super) fn checked(mut self) -> Result<(Pipeline, Vec<Vec<String>>), Fault> {
        if let View::Activations(view) = &mut self.view {
            view.expected = self.modules.first().and_then(NewModule::expected);
        }
        self.view.settings().check()?;
        data::check(&self.data, self.view.settings().medium())?;
        training::check(&self.training)?;
        loss::check(self.loss.as_ref())?;
        store::check(&self.store)?;
        let defaults = (&self.training, &self.store);
        let channels = self.view.settings().channels();
        let mut planned = modules::plan(self.modules, self.split.as_ref(), defaults, channels)?;
        let schedule = schedule::settle(self.schedule, &self.training, &self.store, &mut planned)?;
        check_shapes(&self.data.source, &self.view, self.loss.as_ref(), &planned)?;
        if !is_folder_name(&self.name) {
            let message = "`name` names a folder: it is not empty, does not begin with `.`, and has no \
                           `/`, `\\` or `:`";
            return Err(Fault::of("name", message));
        }
        training::check_probe(&self.probe)?;
        let origins = planned.iter().map(|it| it.origins.clone()).collect();
        let pipeline = Pipeline {
            name: self.name,
            file: self.file,
            seed: self.seed,
            data: self.data,
            view: self.view,
            modules: planned.into_iter().map(|planned| planned.module).collect(),
            loss: self.loss,
            training: self.training,
            schedule,
            store: self.store,
            probe: self.probe,
            slurm: self.slurm,
            text: Kept::default(),
        };
        Ok((pipeline, origins))
    }
}

/// Walks the shapes through the whole stack, if the size of samples is known before any is read.
fn check_shapes(
    source: &Source,
    view: &View,
    loss: &dyn Recipe,
    planned: &[Planned],
) -> Result<(), Fault> {
    let Some(sample) = view.settings().size(source) else { return Ok(()) };
    let modules = planned.iter().map(|planned| &planned.module);
    let origin = |module: usize, layer: usize| planned[module].origins[layer].clone();
    walk(view, loss, modules, sample, &BTreeMap::new(), origin).map(|_| ())
}

/// Whether `name` can be the name of a run's folder.
pub(super) fn is_folder_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', ':', '\0'])
}
