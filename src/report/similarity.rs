//! How similar the representations of modules are to each other, and to those of end-to-end training.

use gimlet_store::Generation;

use super::figure::Matrix;
use super::page::{Html, Section};
use super::run_view::{Missing, RunView, beside, quoted};
use super::twin::Twin;
use crate::pipeline::Split;
use crate::probe::cka::Representation;
use crate::probe::pooled::Pooled;
use crate::quantity::counted;
use crate::stage::Step;
use crate::{Kind, Result};

/// The most rows of the test split that are compared.
const MOST_ROWS: u64 = 1000;

/// Where a representation comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Trained,
    Untrained,
    EndToEnd,
}

struct Compared {
    index: usize,
    name: String,
    origin: Origin,
    representation: Representation,
}

/// Builds the section on similarity.
///
/// # Errors
/// When vectors cannot be read.
pub fn section(seen: &RunView<'_>) -> Result<Section> {
    let mut section = Section {
        id: "similarity",
        title: "Are they the abstractions of end-to-end training?",
        ..Section::default()
    };
    let (mut all, mut rows) = (Vec::new(), None);
    for origin in [Origin::Trained, Origin::Untrained] {
        for (index, module) in seen.modules().enumerate() {
            seen.check_stop()?;
            let (generation, step) = match origin {
                Origin::Untrained => (seen.untrained(index, Split::Test)?, Step::Untrained),
                _ => {
                    let encode = Step::Encode(seen.standing.plan.last(index));
                    (seen.trained(index, Split::Test)?, encode)
                }
            };
            let kind = if origin == Origin::Trained { "trained" } else { "untrained" };
            let Some(generation) = generation else {
                let what = format!("what the {kind} module {module} makes of the test split");
                section.missing.push(seen.missing(what, step));
                continue;
            };
            let name = match origin {
                Origin::Untrained => format!("{module} untrained"),
                _ => module.to_string(),
            };
            let representation = of_dataset(&generation, &mut rows)?;
            all.extend(representation.map(|it| Compared {
                index,
                name,
                origin,
                representation: it,
            }));
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
        notes.extend(add_twin(seen, rows, &mut all, &mut section.missing)?);
    }
    if all.is_empty() {
        return Ok(section);
    }
    let mut cells = Vec::new();
    for one in &all {
        seen.check_stop()?;
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
    seen: &RunView<'_>,
    rows: &[u64],
    all: &mut Vec<Compared>,
    missing: &mut Vec<Missing>,
) -> Result<Vec<String>> {
    if seen.pipeline.modules.len() == 1 {
        return Ok(vec!["The one module is trained end to end itself.".to_string()]);
    }
    let twin = match Twin::find(seen) {
        Ok(Some(twin)) => twin,
        Ok(None) => {
            missing.push(how_to_train(seen));
            return Ok(vec![]);
        }
        Err(error) if matches!(error.kind(), Kind::Damaged | Kind::NotReady) => {
            missing.push(seen.missing_of(&error));
            return Ok(vec![]);
        }
        Err(error) => return Err(error),
    };
    let means = match twin.means(seen, rows) {
        Ok(means) => means,
        Err(error) if matches!(error.kind(), Kind::Damaged | Kind::NotReady) => {
            missing.push(seen.missing_of(&error));
            return Ok(vec![]);
        }
        Err(error) => return Err(error),
    };
    for (index, (module, (means, channels))) in seen.modules().zip(means).enumerate() {
        let name = format!("{module} end-to-end");
        all.extend(finite(&means, channels)?.map(|representation| Compared {
            index,
            name,
            origin: Origin::EndToEnd,
            representation,
        }));
    }
    let mut note = format!("The end-to-end twin, the same layers as one module: {}", twin.settings);
    if !twin.differs.is_empty() {
        note += &format!("; not the run's {}", twin.differs.join(", "));
    }
    Ok(vec![note + "."])
}

fn how_to_train(seen: &RunView<'_>) -> Missing {
    let dir = Twin::dir(seen);
    let at = dir.path().display();
    let what = format!("an end-to-end twin: no training of all layers as one module is in `{at}`");
    let to = match &seen.options.twin {
        Some(dir) => dir.clone(),
        None => beside(seen.standing.dir.path(), "-end-to-end"),
    };
    let to = quoted(&to.display().to_string());
    let how = format!(
        "run `{} --set split=end-to-end --run-dir {to}`, then `{} --twin {to}`",
        seen.command_elsewhere("run"),
        seen.command("report")
    );
    Missing { what, how }
}

/// Says whether the trained modules are more similar to the twin, at the same depth, than the untrained ones
/// are.
fn verdict(all: &[Compared], cells: &[Vec<Option<(f64, String)>>]) -> Option<String> {
    let between = |one: (usize, Origin), other: (usize, Origin)| {
        let place = |of: (usize, Origin)| all.iter().position(|it| (it.index, it.origin) == of);
        cells.get(place(one)?)?.get(place(other)?)?.as_ref().map(|it| it.0)
    };
    let mut said = Vec::new();
    let (mut nearer, mut compared) = (0, 0);
    for module in all.iter().filter(|it| it.origin == Origin::Trained) {
        let twin = (module.index, Origin::EndToEnd);
        let Some(trained) = between((module.index, Origin::Trained), twin) else { continue };
        compared += 1;
        let mut text = format!("{} {trained:.2}", module.name);
        if let Some(untrained) = between((module.index, Origin::Untrained), twin) {
            nearer += usize::from(trained > untrained);
            text += &format!(" (as drawn {untrained:.2})");
        }
        let depth = all.iter().filter(|it| it.origin == Origin::EndToEnd).max_by(|one, other| {
            let cka = |it: &Compared| {
                between((module.index, Origin::Trained), (it.index, Origin::EndToEnd))
            };
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
