//! Draws the results of a sweep: the accuracy of each variant's last module, seed by seed.

use std::ops::Range;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Summary;
use crate::axis::{Ticks, short, spread};
use crate::stage::columns::{ACCURACY, LOSS, each_once};
use crate::stage::mean::Mean;
use crate::{Error, Result};

/// Sizes in pixels.
const PLOT_WIDTH: u32 = 480;
const ROW: u32 = 26;
const MARGIN: u32 = 20;
const HEADING: u32 = 60;
const AXIS: u32 = 56;
/// The most pixels per letter of a name: names must not run into the plot.
const LETTER: u32 = 8;

const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const FAINT: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
const SEED: RGBColor = RGBColor(0x1f, 0x77, 0xb4);
const MEAN: RGBColor = RGBColor(0xd6, 0x27, 0x28);

const LEGEND: &str =
    "dots: seeds; red: mean and one standard deviation; dashed: mean of the baseline";

/// One quantity of all variants.
struct Panel {
    label: String,
    /// For each variant, the value under each seed, and their mean.
    rows: Vec<(Vec<f64>, Option<Mean>)>,
}

/// Draws the picture as SVG on a white ground: one row per variant, one dot per seed, the mean, and one standard
/// deviation to both sides of it. Further labels have their own panels; without labels it shows the loss. The dashed
/// line is the mean of the variant called `baseline`.
///
/// # Errors
/// [`crate::Kind::Failed`] when it cannot be drawn.
pub fn plot(title: &str, summaries: &[Summary], baseline: &str) -> Result<String> {
    let names: Vec<&str> = summaries.iter().map(|it| it.variant.as_str()).collect();
    let baseline = names.iter().position(|name| *name == baseline);
    let mut svg = String::new();
    draw(&mut svg, title, &panels(summaries), &names, baseline)
        .map_err(|error| Error::failed(format!("could not draw `{title}`: {error}")))?;
    Ok(svg)
}

fn draw(
    svg: &mut String,
    title: &str,
    panels: &[Panel],
    names: &[&str],
    baseline: Option<usize>,
) -> Result<(), Box<dyn std::error::Error>> {
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0) as u32;
    let left = MARGIN + longest * LETTER + 10;
    let panel_height = names.len() as u32 * ROW + AXIS;
    let size =
        (left + PLOT_WIDTH + MARGIN, HEADING + panels.len() as u32 * panel_height + MARGIN / 2);
    let root = SVGBackend::with_string(svg, size).into_drawing_area();
    root.fill(&WHITE)?;
    let font = |pixels: u32| ("sans-serif", pixels).into_font().color(&INK);
    let bold = ("sans-serif", 16).into_font().style(FontStyle::Bold).color(&INK);
    root.draw(&Text::new(title.to_owned(), (MARGIN as i32, 10), bold))?;
    root.draw(&Text::new(LEGEND, (MARGIN as i32, 34), font(12)))?;
    for (place, panel) in panels.iter().enumerate() {
        let top = HEADING + place as u32 * panel_height;
        let area = root.clone().shrink((left, top), (PLOT_WIDTH, panel_height));
        // Rows go down from 0.
        let row = |place: usize| -(place as f64) - 0.5;
        let up = -(names.len() as f64)..0.0;
        let mut chart = ChartBuilder::on(&area)
            .x_label_area_size(AXIS)
            .build_cartesian_2d(Ticks(panel.range(), 0), Ticks(up.clone(), 0))?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .light_line_style(TRANSPARENT)
            .bold_line_style(FAINT)
            .axis_style(INK)
            .label_style(font(14))
            .axis_desc_style(font(14))
            .x_labels(6)
            .x_label_formatter(&|x| short(*x))
            .x_desc(panel.label.as_str())
            .draw()?;
        if let Some((_, Some(mean))) = baseline.and_then(|place| panel.rows.get(place)) {
            let ends = [(mean.mean, up.start), (mean.mean, up.end)];
            chart.draw_series(DashedLineSeries::new(ends, 4, 4, INK.into()))?;
        }
        for (place, (name, (seeds, mean))) in names.iter().zip(&panel.rows).enumerate() {
            let middle = (top + place as u32 * ROW + ROW / 2) as i32;
            let beside = font(14).pos(Pos::new(HPos::Right, VPos::Center));
            root.draw(&Text::new((*name).to_owned(), (left as i32 - 10, middle), beside))?;
            let finite = seeds.iter().filter(|it| it.is_finite());
            let dot = |seed: &f64| Circle::new((*seed, row(place)), 4, SEED.mix(0.55).filled());
            chart.draw_series(finite.map(dot))?;
            let Some(mean) = mean.filter(|it| it.mean.is_finite()) else { continue };
            let style = ShapeStyle::from(MEAN);
            let deviation = mean.deviation.unwrap_or(0.0);
            let ends = [mean.mean - deviation, mean.mean + deviation];
            let ends = ends.map(|it| (it, row(place)));
            chart.draw_series(LineSeries::new(ends, style.stroke_width(2)))?;
            let tick = [row(place) - 0.27, row(place) + 0.27].map(|it| (mean.mean, it));
            chart.draw_series(LineSeries::new(tick, style.stroke_width(3)))?;
        }
    }
    root.present()?;
    Ok(())
}

impl Panel {
    /// The range that holds all values of the panel.
    fn range(&self) -> Range<f64> {
        let values = self.rows.iter().flat_map(|(seeds, mean)| {
            let ends = mean.iter().flat_map(|it| {
                let deviation = it.deviation.unwrap_or(0.0);
                [it.mean - deviation, it.mean + deviation]
            });
            seeds.iter().copied().chain(ends)
        });
        spread(values, 0.06)
    }
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
            rows: Some(100),
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
        let picture = plot("x", &[summary("a<b", true), summary("c", true)], "c").unwrap();
        assert!(picture.contains("a&lt;b") && !picture.contains("a<b"), "{picture}");
        assert_eq!(picture.matches("<circle").count(), 2 * 2 * 2, "panels, variants, seeds");
        assert!(picture.contains("speaker: accuracy of the last module (%)"));

        let picture = plot("x", &[summary("a", false)], "a").unwrap();
        assert_eq!(picture.matches("<circle").count(), 2);
        assert!(picture.contains("loss of the last module") && !picture.contains("accuracy"));
        // One value alone, and none at all, have an axis too.
        assert!(plot("x", &[], "a").unwrap().starts_with("<svg"));
    }
}
