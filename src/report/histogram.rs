//! How values are spread: a chart whose heights are logarithms, so that what is rare can be seen beside
//! what is not.

use std::fmt::Write as _;

use plotters::prelude::*;
use serde_json::json;

use super::figure::{Axis, BOX, COLOURS, SIZE, framed, rounded, stand_in};
use super::page::Html;
use crate::axis::{Ticks, short, spread};
use crate::{Error, Result};

/// Shares of values over the places where they lie.
#[derive(Debug, Clone, Default)]
pub struct HistogramFigure {
    /// What stands above it.
    pub title: String,
    /// What the values are.
    pub x: String,
    /// What is drawn, one beside the other.
    pub series: Vec<Shares>,
}

/// One of several that share their places.
#[derive(Debug, Clone, Default)]
pub struct Shares {
    /// What the legend calls it.
    pub name: String,
    /// One of [`COLOURS`].
    pub colour: usize,
    /// The middle of each place, all of one width, and the share of values there, 0 to 1.
    pub places: Vec<(f64, f64)>,
}

impl HistogramFigure {
    /// The first series as bars, the others as lines over them, as a `<figure>` that the script of charts
    /// knows.
    ///
    /// # Errors
    /// When it cannot be drawn.
    pub fn figure(&self) -> Result<Html> {
        let svg = self.draw()?;
        let (x, y) = (self.across(), self.up());
        let series = self.series.iter().map(|it| {
            let seen: Vec<(f64, f64)> = it.seen().collect();
            json!({ "name": it.name, "colour": it.colour % COLOURS, "points": rounded(&seen) })
        });
        let data = json!({
            "x": [x.start, x.end], "y": [y.start, y.end], "box": BOX, "size": [SIZE.0, SIZE.1],
            "xname": self.x, "yname": "", "places": [], "percent": true, "log": true,
            "series": series.collect::<Vec<_>>(),
        });
        let mut legend = String::new();
        for it in &self.series {
            let (colour, name) = (it.colour % COLOURS, Html::escape(&it.name));
            let _ = write!(legend, "<span class=\"key c{colour}\"><i></i>{name}</span>");
        }
        let (title, data) = (Html::escape(&self.title), Html::escape(&data.to_string()));
        Ok(Html(format!(
            "<figure class=\"chart\" data-chart=\"{data}\"><figcaption>{title}</figcaption>\
             <div class=\"plot\" role=\"img\" aria-label=\"{title}\">{svg}</div>\
             <div class=\"legend\">{legend}</div></figure>"
        )))
    }

    fn draw(&self) -> Result<String> {
        let mut svg = String::new();
        let (x, y) = (self.across(), self.up());
        let failed = |error: &dyn std::fmt::Display| {
            Error::failed(format!("could not draw `{}`: {error}", self.title))
        };
        {
            let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            let across = Axis { ticks: Ticks(x, 0), name: &self.x, shown: &|x| short(*x) };
            let percent = |y: &f64| format!("{} %", short(100.0 * 10f64.powf(*y)));
            let up = Axis { ticks: Ticks(y.clone(), 0), name: "share of values", shown: &percent };
            let mut chart = framed(&root, across, up).map_err(|error| failed(&error))?;
            for (order, series) in self.series.iter().enumerate() {
                let half = series.width() / 2.0;
                let style = ShapeStyle::from(stand_in(series.colour)).stroke_width(2);
                let height = |share: f64| if share > 0.0 { share.log10() } else { y.start };
                if order == 0 {
                    let bar = |(at, share): (f64, f64)| {
                        let ends = [(at - half, y.start), (at + half, height(share))];
                        Rectangle::new(ends, stand_in(series.colour).mix(0.55).filled())
                    };
                    chart.draw_series(series.seen().map(bar)).map_err(|error| failed(&error))?;
                    continue;
                }
                let steps = series.places.iter().flat_map(|(at, share)| {
                    [(at - half, height(*share)), (at + half, height(*share))]
                });
                chart.draw_series(LineSeries::new(steps, style)).map_err(|error| failed(&error))?;
            }
            root.present().map_err(|error| failed(&error))?;
        }
        Ok(svg)
    }

    /// What the values reach over.
    fn across(&self) -> std::ops::Range<f64> {
        let ends = self.series.iter().flat_map(|it| {
            let half = it.width() / 2.0;
            it.places.iter().flat_map(move |place| [place.0 - half, place.0 + half])
        });
        spread(ends, 0.0)
    }

    /// Logarithms to the base of ten, from below the least share that is seen.
    fn up(&self) -> std::ops::Range<f64> {
        let shares = self.series.iter().flat_map(Shares::seen).map(|it| it.1);
        // Of three decades or more, so that there is a whole number at every tick.
        let least = shares.fold(1e-3, f64::min);
        least.log10().floor()..0.0
    }
}

impl Shares {
    /// The places where there is something.
    fn seen(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.places.iter().copied().filter(|it| it.0.is_finite() && it.1 > 0.0)
    }

    fn width(&self) -> f64 {
        match self.places[..] {
            [first, second, ..] => second.0 - first.0,
            _ => 1.0,
        }
    }
}
