//! How similar the representations of modules are to each other, and to those of end-to-end training.

use gimlet_store::Generation;

use super::figure::Matrix;
use super::page::{Html, Section};
use super::run_view::{Missing, RunView, beside, quoted};
use super::twin::Twin;
use crate::probe::cka::Representation;
use crate::probe::pooled::Pooled;
use crate::quantity::counted;
use crate::stage::origin::Origin;
use crate::{Kind, Result};

/// The most rows of the test split that are compared.
const MOST_ROWS: u64 = 1000;

/// The origin of a representation; `None` for the end-to-end twin.
type Of = Option<Origin>;

const TRAINED: Of = Some(Origin::Trained);
const UNTRAINED: Of = Some(Origin::Untrained);
const END_TO_END: Of = None;

struct Compared {
    index: usize,
    name: String,
    origin: Of,
    representation: Representation,
}

/// Builds the section on similarity.
///
/// # Errors
/// When vectors cannot be read.
pub fn section(run: &RunView<'_>) -> Result<Section> {
    let mut section = Section {
        id: "similarity",
        title: "Are they the abstractions of end-to-end training?",
        ..Section::default()
    };
    let (mut all, mut rows) = (Vec::new(), None);
    for origin in Origin::ALL {
        for (index, module) in run.modules().enumerate() {
            run.check_stop()?;
            let generation = match run.output(index, origin)? {
                Ok(generation) => generation,
                Err(missing) => {
                    section.missing.push(missing);
                    continue;
                }
            };
            let name = match origin {
                Origin::Trained => module.to_string(),
                Origin::Untrained => format!("{module} untrained"),
            };
            if let Some(representation) = of_dataset(&generation, &mut rows)? {
                all.push(Compared { index, name, origin: Some(origin), representation });
            }
        }
    }
    let mut notes = Vec::new();
    if let Some(rows) = &rows {
        section.lead = format!(
            "Linear CKA (Kornblith et al. 2019) of the mean pooled vectors of {} of the test split: \
             1 where one is the other, turned and scaled. Directions count by their variance, so that a \
             few strong ones decide.",
            counted(rows.len(), "sample")
        );
        notes.extend(add_twin(run, rows, &mut all, &mut section.missing)?);
    }
    if all.is_empty() {
        return Ok(section);
    }
    let mut cells = Vec::new();
    for one in &all {
        run.check_stop()?;
        let row = all.iter().map(|other| {
            let cka = one.representation.cka(&other.representation)?;
            Ok(cka.map(|it| (it, format!("{it:.2}"))))
        });
        cells.push(row.collect::<Result<Vec<_>>>()?);
    }
    notes.extend(verdict(&all, &cells));
    let names: Vec<String> = all.iter().map(|it| it.name.clone()).collect();
    let matrix = Matrix {
        title: "Linear CKA between modules".to_string(),
        axes: ["module".to_string(), "module".to_string()],
        rows: names.clone(),
        columns: names,
        cells,
    };
    let notes: String =
        notes.iter().map(|it| format!("<p class=\"lead\">{}</p>", Html::escape(it))).collect();
    section.body = Html(format!("{}{notes}", matrix.figure()));
    Ok(section)
}

/// The representation of `rows` in a dataset; the first dataset chooses them. `None` if the dataset has too few
/// rows, or a value is not finite.
fn of_dataset(
    generation: &Generation,
    rows: &mut Option<Vec<u64>>,
) -> Result<Option<Representation>> {
    let pooled = Pooled::open(generation)?;
    let rows = rows.get_or_insert_with(|| pooled.spread_rows(MOST_ROWS));
    if rows.iter().any(|row| *row >= pooled.rows()) {
        return Ok(None);
    }
    finite(&pooled.means_of(rows)?, pooled.channels())
}

/// The representation of `means`; `None` if a value is not finite.
fn finite(means: &[f32], channels: usize) -> Result<Option<Representation>> {
    match means.iter().all(|it| it.is_finite()) {
        true => Ok(Some(Representation::of(means, channels)?)),
        false => Ok(None),
    }
}

/// Adds the end-to-end twin, at the depth of each module, and says how it was trained. Without a twin, says how
/// to get one.
fn add_twin(
    run: &RunView<'_>,
    rows: &[u64],
    all: &mut Vec<Compared>,
    missing: &mut Vec<Missing>,
) -> Result<Vec<String>> {
    if run.pipeline.modules.len() == 1 {
        return Ok(vec!["The one module is trained end to end itself.".to_string()]);
    }
    let read = |twin: Twin| Ok((twin.means(run, rows)?, twin));
    let (means, twin) = match Twin::find(run).and_then(|it| it.map(read).transpose()) {
        Ok(Some(found)) => found,
        Ok(None) => {
            missing.push(how_to_train(run));
            return Ok(vec![]);
        }
        Err(error) if matches!(error.kind(), Kind::Damaged | Kind::NotReady) => {
            missing.push(run.missing_of(&error));
            return Ok(vec![]);
        }
        Err(error) => return Err(error),
    };
    for (index, (module, (means, channels))) in run.modules().zip(means).enumerate() {
        if let Some(representation) = finite(&means, channels)? {
            let name = format!("{module} end-to-end");
            all.push(Compared { index, name, origin: END_TO_END, representation });
        }
    }
    let mut note = format!("The end-to-end twin, the same layers as one module: {}", twin.settings);
    if !twin.differs.is_empty() {
        note += &format!("; not the run's {}", twin.differs.join(", "));
    }
    Ok(vec![note + "."])
}

fn how_to_train(run: &RunView<'_>) -> Missing {
    let dir = Twin::dir(run);
    let at = dir.path().display();
    let what = format!("an end-to-end twin: no training of all layers as one module is in `{at}`");
    let to = match &run.options.twin {
        Some(dir) => dir.clone(),
        None => beside(run.standing.dir.path(), "-end-to-end"),
    };
    let to = quoted(&to.display().to_string());
    let how = format!(
        "run `{} --set split=end-to-end --run-dir {to}`, then `{} --twin {to}`",
        run.command_elsewhere("run"),
        run.command("report")
    );
    Missing { what, how }
}

/// Says whether the trained modules are more similar to the twin, at the same depth, than the untrained ones
/// are.
fn verdict(all: &[Compared], cells: &[Vec<Option<(f64, String)>>]) -> Option<String> {
    let between = |one: (usize, Of), other: (usize, Of)| {
        let place = |of: (usize, Of)| all.iter().position(|it| (it.index, it.origin) == of);
        cells.get(place(one)?)?.get(place(other)?)?.as_ref().map(|it| it.0)
    };
    let mut said = Vec::new();
    let (mut nearer, mut compared) = (0, 0);
    for module in all.iter().filter(|it| it.origin == TRAINED) {
        let twin = (module.index, END_TO_END);
        let Some(trained) = between((module.index, TRAINED), twin) else { continue };
        compared += 1;
        let mut text = format!("{} {trained:.2}", module.name);
        if let Some(untrained) = between((module.index, UNTRAINED), twin) {
            nearer += usize::from(trained > untrained);
            text += &format!(" (as drawn {untrained:.2})");
        }
        let depth = all.iter().filter(|it| it.origin == END_TO_END).max_by(|one, other| {
            let cka = |it: &Compared| between((module.index, TRAINED), (it.index, END_TO_END));
            cka(one).unwrap_or(0.0).total_cmp(&cka(other).unwrap_or(0.0))
        });
        if let Some(depth) = depth.filter(|it| it.index != module.index) {
            text += &format!(", most like the twin at {}", depth.name);
        }
        said.push(text);
    }
    if said.is_empty() {
        return None;
    }
    let sum = match nearer {
        0 => "No".to_string(),
        all if all == compared => "Every".to_string(),
        some => format!("{some} of {compared}"),
    };
    let module = if nearer > 0 && nearer < compared { "modules are" } else { "module is" };
    Some(format!(
        "Similar abstractions as end to end? CKA with the twin at the same depth: {}. {sum} {module} more \
         like the twin there than as it was drawn. How alike two end-to-end trainings are is not known here.",
        said.join("; ")
    ))
}
