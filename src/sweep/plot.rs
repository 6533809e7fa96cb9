//! What a sweep found as a picture: the accuracy of each variant's last module, seed by seed.

use svg::Document;
use svg::node::element::{Circle, Group, Line, Rectangle, Text};

use super::Summary;
use crate::stage::columns::{ACCURACY, LOSS, each_once};
use crate::stage::mean::Mean;

/// Pixels.
const PLOT_WIDTH: f64 = 480.0;
const ROW: f64 = 26.0;
const MARGIN: f64 = 20.0;
const HEADING: f64 = 60.0;
const AXIS: f64 = 56.0;
/// A letter of a name, at most: names must not run into the plot.
const LETTER: f64 = 7.2;

const INK: &str = "#222222";
const FAINT: &str = "#dddddd";
const SEED: &str = "#1f77b4";
const MEAN: &str = "#d62728";

const LEGEND: &str =
    "dots: seeds; red: mean and one standard deviation; dashed: mean of the baseline";

/// One quantity of all variants.
struct Panel {
    label: String,
    /// What each variant has: under each seed, and over them.
    rows: Vec<(Vec<f64>, Option<Mean>)>,
}

/// The picture, as SVG on a white ground: a row a variant, a dot a seed, the mean, and one standard deviation
/// to both sides of it. Further labels have panels of their own; without labels it shows the loss. The
/// dashed line is the mean of the variant called `baseline`.
pub fn plot(title: &str, summaries: &[Summary], baseline: &str) -> String {
    let names: Vec<&str> = summaries.iter().map(|it| it.variant.as_str()).collect();
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let left = MARGIN + longest as f64 * LETTER + 10.0;
    let width = left + PLOT_WIDTH + MARGIN;
    let panels = panels(summaries);
    let panel_height = names.len() as f64 * ROW + AXIS;
    let height = HEADING + panels.len() as f64 * panel_height + MARGIN / 2.0;
    let baseline = names.iter().position(|name| *name == baseline);

    let ground = Rectangle::new().set("width", "100%").set("height", "100%").set("fill", "white");
    let mut document = Document::new()
        .set("viewBox", (0, 0, width.ceil() as i64, height.ceil() as i64))
        .set("width", width.ceil() as i64)
        .set("height", height.ceil() as i64)
        .set("font-family", "Helvetica, Arial, sans-serif")
        .set("font-size", 13)
        .add(ground)
        .add(text(title, MARGIN, 24.0, "start").set("font-weight", "bold"))
        .add(text(LEGEND, MARGIN, 43.0, "start").set("font-size", 11));
    for (place, panel) in panels.iter().enumerate() {
        let top = HEADING + place as f64 * panel_height;
        document = document.add(draw(panel, &names, baseline, left, top));
    }
    format!("{document}\n")
}

fn panels(summaries: &[Summary]) -> Vec<Panel> {
    let percent = |mean: Mean| Mean {
        mean: 100.0 * mean.mean,
        deviation: mean.deviation.map(|it| 100.0 * it),
    };
    let shares = |accuracies: &[Option<f64>], mean: Option<Mean>| {
        (accuracies.iter().flatten().map(|it| 100.0 * it).collect(), mean.map(percent))
    };
    let mut panels = Vec::new();
    if summaries.iter().any(|it| it.values.get(&ACCURACY).is_some()) {
        let row = |it: &Summary| shares(&it.accuracies, it.values.get(&ACCURACY));
        let rows = summaries.iter().map(row).collect();
        panels.push(Panel { label: "accuracy of the last module (%)".to_owned(), rows });
    } else {
        let row = |it: &Summary| (it.losses.clone(), it.values.get(&LOSS));
        let rows = summaries.iter().map(row).collect();
        panels.push(Panel { label: "loss of the last module on the test split".to_owned(), rows });
    }
    let further = summaries.iter().flat_map(|it| &it.further);
    for label in each_once(further.map(|it| it.label.as_str())) {
        let row = |it: &Summary| {
            let found = it.further.iter().find(|further| further.label == label);
            found.map_or((vec![], None), |it| shares(&it.accuracies, it.accuracy))
        };
        let rows = summaries.iter().map(row).collect();
        panels.push(Panel { label: format!("{label}: accuracy of the last module (%)"), rows });
    }
    panels
}

fn draw(panel: &Panel, names: &[&str], baseline: Option<usize>, left: f64, top: f64) -> Group {
    let bottom = top + names.len() as f64 * ROW;
    let scale = Scale::of(panel);
    let x = |value: f64| left + PLOT_WIDTH * scale.share(value);
    let mut group = Group::new();
    for tick in scale.ticks() {
        group = group.add(line((x(tick), top), (x(tick), bottom), FAINT, 1.0)).add(text(
            &scale.shown(tick),
            x(tick),
            bottom + 18.0,
            "middle",
        ));
    }
    let middle = left + PLOT_WIDTH / 2.0;
    group = group.add(line((left, bottom), (left + PLOT_WIDTH, bottom), INK, 1.0)).add(text(
        &panel.label,
        middle,
        bottom + 38.0,
        "middle",
    ));
    if let Some((_, Some(mean))) = baseline.and_then(|place| panel.rows.get(place)) {
        let at = line((x(mean.mean), top), (x(mean.mean), bottom), INK, 1.0);
        group = group.add(at.set("stroke-dasharray", "4 4"));
    }
    for (place, (name, (seeds, mean))) in names.iter().zip(&panel.rows).enumerate() {
        let y = top + (place as f64 + 0.5) * ROW;
        group = group.add(text(name, left - 10.0, y + 4.5, "end"));
        for seed in seeds {
            let dot = circle(x(*seed), y, 4.0, SEED).set("fill-opacity", 0.55);
            group = group.add(dot);
        }
        let Some(mean) = mean else { continue };
        if let Some(deviation) = mean.deviation {
            let (low, high) = (x(mean.mean - deviation), x(mean.mean + deviation));
            group = group.add(line((low, y), (high, y), MEAN, 1.5));
            for end in [low, high] {
                group = group.add(line((end, y - 4.0), (end, y + 4.0), MEAN, 1.5));
            }
        }
        group = group.add(line((x(mean.mean), y - 7.0), (x(mean.mean), y + 7.0), MEAN, 3.0));
    }
    group
}

/// From values to a share of the width.
struct Scale {
    low: f64,
    high: f64,
    step: f64,
}

impl Scale {
    /// A scale that shows all there is of a panel, between round numbers.
    fn of(panel: &Panel) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for (seeds, mean) in &panel.rows {
            let ends = mean.iter().flat_map(|it| {
                let deviation = it.deviation.unwrap_or(0.0);
                [it.mean - deviation, it.mean + deviation]
            });
            for value in seeds.iter().copied().chain(ends).filter(|it| it.is_finite()) {
                low = low.min(value);
                high = high.max(value);
            }
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let step = round_step((high - low).max(1e-3 * high.abs()).max(1e-6) / 6.0);
        let low = (low / step).floor() * step;
        let high = ((high / step).ceil() * step).max(low + step);
        Self { low, high, step }
    }

    fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let count = ((self.high - self.low) / self.step).round() as usize;
        (0..=count).map(|tick| self.low + tick as f64 * self.step)
    }

    /// A tick with as many digits as tell it from the next.
    fn shown(&self, tick: f64) -> String {
        let digits = (-self.step.log10().floor()).max(0.0) as usize;
        format!("{tick:.digits$}")
    }
}

/// The number of 1, 2 or 5 times a power of ten that is at least `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let times = [1.0, 2.0, 5.0, 10.0].into_iter().find(|it| it * power >= step * (1.0 - 1e-9));
    times.unwrap_or(10.0) * power
}

fn text(content: &str, x: f64, y: f64, anchor: &str) -> Text {
    Text::new(content)
        .set("x", pixels(x))
        .set("y", pixels(y))
        .set("text-anchor", anchor)
        .set("fill", INK)
}

fn line(from: (f64, f64), to: (f64, f64), colour: &str, width: f64) -> Line {
    Line::new()
        .set("x1", pixels(from.0))
        .set("y1", pixels(from.1))
        .set("x2", pixels(to.0))
        .set("y2", pixels(to.1))
        .set("stroke", colour)
        .set("stroke-width", width)
}

fn circle(x: f64, y: f64, radius: f64, colour: &str) -> Circle {
    Circle::new().set("cx", pixels(x)).set("cy", pixels(y)).set("r", radius).set("fill", colour)
}

/// Tenths are enough.
fn pixels(value: f64) -> f64 {
    (10.0 * value).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::super::summary::Further;
    use super::*;
    use crate::pipeline::Split;
    use crate::stage::columns::Values;
    use crate::stage::findings::Row;
    use crate::stage::origin::Origin;
    use crate::stage::record::{Classifier, ProbeResult};

    fn row(accuracy: Option<f64>, loss: f64) -> Row {
        let probe = ProbeResult {
            module: "m".to_owned(),
            index: 0,
            origin: Origin::Trained,
            probe: Classifier::Linear,
            split: Split::Test,
            accuracy,
            knn: None,
            confusion: None,
            confused: None,
            further: vec![],
            loss,
            chance_loss: None,
        };
        Row { probe, took: None, wait_share: None }
    }

    fn scale(values: &[f64]) -> Scale {
        Scale::of(&Panel { label: String::new(), rows: vec![(values.to_vec(), Mean::of(values))] })
    }

    #[test]
    fn ticks_are_round_and_hold_everything() {
        assert_eq!(scale(&[41.2, 47.9]).ticks().collect::<Vec<_>>()[0], 38.0);
        for values in [&[41.2, 47.9][..], &[0.1, 0.1003], &[5.0], &[0.0], &[], &[f64::NAN]] {
            let scale = scale(values);
            let ticks: Vec<f64> = scale.ticks().collect();
            assert!((2..=9).contains(&ticks.len()), "{values:?}: {ticks:?}");
            let shown: Vec<String> = ticks.iter().map(|it| scale.shown(*it)).collect();
            assert!(shown.windows(2).all(|pair| pair[0] != pair[1]), "{shown:?}");
            for value in values.iter().filter(|it| it.is_finite()) {
                assert!((0.0..=1.0).contains(&scale.share(*value)), "{values:?}");
            }
        }
    }

    fn summary(variant: &str, labelled: bool) -> Summary {
        let accuracies = if labelled { vec![Some(0.4), Some(0.5)] } else { vec![None, None] };
        let known: Vec<f64> = accuracies.iter().copied().flatten().collect();
        let rows = [0, 1].map(|seed| row(accuracies[seed], 2.0 + seed as f64));
        let further = Further {
            label: "speaker".to_owned(),
            accuracy: Mean::of(&known),
            accuracies: accuracies.clone(),
        };
        Summary {
            variant: variant.to_owned(),
            modules: 1,
            seeds: vec![1, 2],
            accuracies,
            further: if labelled { vec![further] } else { vec![] },
            difference: None,
            losses: vec![2.0, 3.0],
            values: Values::of_stack(&[vec![&rows[0]], vec![&rows[1]]]),
            lines: vec![],
        }
    }

    #[test]
    fn each_label_has_a_panel_and_without_labels_it_is_the_loss() {
        let picture = plot("x", &[summary("a<b", true), summary("c", true)], "c");
        assert!(picture.contains("a&lt;b") && !picture.contains("a<b"), "{picture}");
        assert_eq!(picture.matches("<circle").count(), 2 * 2 * 2, "panels, variants, seeds");
        assert_eq!(picture.matches("stroke-dasharray").count(), 2, "the baseline in each");
        assert!(picture.contains("speaker: accuracy of the last module (%)"));

        let picture = plot("x", &[summary("a", false)], "a");
        assert_eq!(picture.matches("<circle").count(), 2);
        assert!(picture.contains("loss of the last module") && !picture.contains("accuracy"));
    }
}
