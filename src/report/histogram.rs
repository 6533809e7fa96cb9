//! Histograms: charts with logarithmic heights, so that rare values can be seen beside frequent ones.

use plotters::prelude::*;
use serde_json::json;

use super::figure::{Axis, BOX, COLOURS, SIZE, drawn, framed, key, series, stand_in, with_legend};
use super::page::Html;
use crate::Result;
use crate::axis::{Ticks, short, spread};

/// A histogram of one or more series.
#[derive(Debug, Clone, Default)]
pub struct HistogramFigure {
    /// The title above the chart.
    pub title: String,
    /// What the values are.
    pub x: String,
    /// The series, drawn over each other.
    pub series: Vec<Shares>,
}

/// One series of a histogram. All series share their bins.
#[derive(Debug, Clone, Default)]
pub struct Shares {
    /// What the legend calls it.
    pub name: String,
    /// One of [`COLOURS`].
    pub colour: usize,
    /// The middle of each bin and the share of values in it, 0 to 1. Bins have equal widths.
    pub places: Vec<(f64, f64)>,
}

impl HistogramFigure {
    /// The chart as a `<figure>` that the script for charts understands: the first series as bars, the others
    /// as lines over them.
    ///
    /// # Errors
    /// When the chart cannot be drawn.
    pub fn figure(&self) -> Result<Html> {
        let (x, y) = (self.across(), self.up());
        let of = |it: &Shares| series(&it.name, it.colour, &it.filled().collect::<Vec<_>>());
        let data = json!({
            "x": [x.start, x.end], "y": [y.start, y.end], "box": BOX, "size": [SIZE.0, SIZE.1],
            "xname": self.x, "yname": "", "places": [], "percent": true, "log": true,
            "series": self.series.iter().map(of).collect::<Vec<_>>(),
        });
        let keys = self.series.iter().map(|it| key(&format!("c{}", it.colour % COLOURS), &it.name));
        Ok(with_legend(&self.title, &data, &self.draw()?, &keys.collect::<String>()))
    }

    fn draw(&self) -> Result<String> {
        let (x, y) = (self.across(), self.up());
        let across = Axis { ticks: Ticks(x, 0), name: &self.x, shown: &|x| short(*x) };
        let percent = |y: &f64| format!("{} %", short(100.0 * 10f64.powf(*y)));
        let up = Axis { ticks: Ticks(y.clone(), 0), name: "share of values", shown: &percent };
        drawn(&format!("`{}`", self.title), SIZE, |root| {
            let mut chart = framed(root, across, up)?;
            for (order, series) in self.series.iter().enumerate() {
                let half = series.width() / 2.0;
                let style = ShapeStyle::from(stand_in(series.colour)).stroke_width(2);
                let height = |share: f64| if share > 0.0 { share.log10() } else { y.start };
                if order == 0 {
                    let bar = |(at, share): (f64, f64)| {
                        let ends = [(at - half, y.start), (at + half, height(share))];
                        Rectangle::new(ends, stand_in(series.colour).mix(0.55).filled())
                    };
                    chart.draw_series(series.filled().map(bar))?;
                    continue;
                }
                let steps = series.places.iter().flat_map(|(at, share)| {
                    [(at - half, height(*share)), (at + half, height(*share))]
                });
                chart.draw_series(LineSeries::new(steps, style))?;
            }
            Ok(())
        })
    }

    /// The range of the values.
    fn across(&self) -> std::ops::Range<f64> {
        let ends = self.series.iter().flat_map(|it| {
            let half = it.width() / 2.0;
            it.places.iter().flat_map(move |place| [place.0 - half, place.0 + half])
        });
        spread(ends, 0.0)
    }

    /// The range of the heights: logarithms to the base of ten, from below the smallest share above 0.
    fn up(&self) -> std::ops::Range<f64> {
        let shares = self.series.iter().flat_map(Shares::filled).map(|it| it.1);
        // Three decades or more, so that every tick is a whole number.
        let least = shares.fold(1e-3, f64::min);
        least.log10().floor()..0.0
    }
}

impl Shares {
    /// The bins that are not empty.
    fn filled(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.places.iter().copied().filter(|it| it.0.is_finite() && it.1 > 0.0)
    }

    fn width(&self) -> f64 {
        match self.places[..] {
            [first, second, ..] => second.0 - first.0,
            _ => 1.0,
        }
    }
}
