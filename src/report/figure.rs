//! Charts as SVG that follows the page's colours, light and dark.
//!
//! Drawings use stand-in colours, which the style sheet (`page/style.css`) replaces: one picture serves both
//! themes. The legend is HTML. Each chart carries its points, so that the script can describe the one under the
//! pointer.

use std::fmt::Write as _;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;
use serde_json::{Value, json};

use super::page::Html;
use crate::axis::{Ticks, short, spread};
use crate::{Error, Result};

/// Pixels of a chart: it fits the width of a phone, so that its letters are never scaled down.
pub(super) const SIZE: (u32, u32) = (328, 230);

/// The most points in a line: more are not visible.
const MOST_POINTS: usize = 300;

/// Stand-in colours, which the style sheet replaces.
const INK: RGBColor = RGBColor(1, 1, 1);
const FAINT: RGBColor = RGBColor(2, 2, 2);

/// The number of colours that the style sheet has for series; after the last, the first is used again.
pub const COLOURS: usize = 10;

/// The stand-in colour of a series.
pub(super) fn stand_in(colour: usize) -> RGBColor {
    RGBColor(3, 3, (colour % COLOURS) as u8)
}

/// One line of a chart.
#[derive(Debug, Clone, Default)]
pub struct Line {
    /// What the legend calls it.
    pub name: String,
    /// One of [`COLOURS`].
    pub colour: usize,
    /// Whether it is drawn dashed.
    pub dashed: bool,
    /// Whether each point has a dot.
    pub dots: bool,
    /// The points `(x, y)`; points that are not finite are left out.
    pub points: Vec<(f64, f64)>,
}

/// Lines over one axis.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    /// The title above it.
    pub title: String,
    /// The name of the axis across.
    pub x: String,
    /// The name of the axis upwards.
    pub y: String,
    /// Names for the places 0, 1, … of the x axis, where it lists things and not a quantity.
    pub places: Vec<String>,
    /// Whether y is a share, shown in percent.
    pub percent: bool,
    /// Its lines, in the order of the legend.
    pub lines: Vec<Line>,
    /// Dashed vertical lines where something ends or begins, with their names.
    pub marks: Vec<(f64, String)>,
    /// Dotted horizontal lines, such as what a guess reaches, with their names.
    pub levels: Vec<(f64, String)>,
}

impl Chart {
    /// The chart with its legend, as a `<figure>`.
    ///
    /// # Errors
    /// When the chart cannot be drawn.
    pub fn figure(&self) -> Result<Html> {
        let lines: Vec<Line> = self.lines.iter().map(thin).collect();
        let svg = self.draw(&lines)?;
        let (x, y) = self.ranges(&lines);
        // What the script needs to find the point under the pointer.
        let data = json!({
            "x": [x.start, x.end], "y": [y.start, y.end], "box": BOX, "size": [SIZE.0, SIZE.1],
            "xname": self.x, "yname": self.y, "places": self.places, "percent": self.percent,
            "series": lines.iter().map(|it| series(&it.name, it.colour, &it.points)).collect::<Vec<_>>(),
        });
        let mut legend = String::new();
        for line in &lines {
            let dashed = if line.dashed { " dashed" } else { "" };
            legend += &key(&format!("c{}{dashed}", line.colour % COLOURS), &line.name);
        }
        for (class, notes) in [("level", &self.levels), ("mark", &self.marks)] {
            let mut names: Vec<&str> = notes.iter().map(|(_, name)| name.as_str()).collect();
            names.dedup();
            for name in names.into_iter().filter(|name| !name.is_empty()) {
                legend += &key(class, name);
            }
        }
        Ok(with_legend(&self.title, &data, &svg, &legend))
    }

    fn draw(&self, lines: &[Line]) -> Result<String> {
        let (x, y) = self.ranges(lines);
        let x_name = |x: &f64| match self.places.get(x.round() as usize) {
            Some(name) if (x - x.round()).abs() < 1e-9 => name.clone(),
            _ if self.places.is_empty() => short(*x),
            _ => String::new(),
        };
        let y_name = |y: &f64| match self.percent {
            true => format!("{} %", short(100.0 * y)),
            false => short(*y),
        };
        let across =
            Axis { ticks: Ticks(x.clone(), self.places.len()), name: &self.x, shown: &x_name };
        let up = Axis { ticks: Ticks(y.clone(), 0), name: &self.y, shown: &y_name };
        drawn(&format!("`{}`", self.title), SIZE, |root| {
            let mut chart = framed(root, across, up)?;
            for (at, _) in &self.marks {
                let ends = [(*at, y.start), (*at, y.end)];
                chart.draw_series(DashedLineSeries::new(ends, 4, 4, INK.mix(0.5).into()))?;
            }
            for (at, _) in &self.levels {
                let ends = [(x.start, *at), (x.end, *at)];
                chart.draw_series(DashedLineSeries::new(ends, 1, 3, INK.into()))?;
            }
            for line in lines {
                let style = ShapeStyle::from(stand_in(line.colour)).stroke_width(2);
                let points = || line.points.iter().copied();
                match line.dashed {
                    true => chart.draw_series(DashedLineSeries::new(points(), 6, 4, style))?,
                    false => chart.draw_series(LineSeries::new(points(), style))?,
                };
                if line.dots {
                    chart.draw_series(points().map(|at| Circle::new(at, 3, style.filled())))?;
                }
            }
            Ok(())
        })
    }

    /// The ranges of both axes.
    fn ranges(&self, lines: &[Line]) -> (Range<f64>, Range<f64>) {
        let points = || lines.iter().flat_map(|line| &line.points);
        let levels = self.levels.iter().map(|(y, _)| *y);
        let x = match self.places.len() {
            0 => spread(points().map(|it| it.0), 0.0),
            places => -0.4..places as f64 - 0.6,
        };
        (x, spread(points().map(|it| it.1).chain(levels), 0.06))
    }
}

/// A series of points as the script reads it; numbers have five significant digits.
pub(super) fn series(name: &str, colour: usize, points: &[(f64, f64)]) -> Value {
    let round = |value: f64| format!("{value:.4e}").parse::<f64>().unwrap_or(value);
    let points: Vec<[f64; 2]> = points.iter().map(|it| [round(it.0), round(it.1)]).collect();
    json!({ "name": name, "colour": colour % COLOURS, "points": points })
}

/// A name in a legend, with a sample of the line that has this class.
pub(super) fn key(class: &str, name: &str) -> String {
    format!("<span class=\"key {class}\"><i></i>{}</span>", Html::escape(name))
}

/// A drawing with its legend, as a `<figure>` that the script understands by `data`.
pub(super) fn with_legend(title: &str, data: &Value, svg: &str, legend: &str) -> Html {
    let (title, data) = (Html::escape(title), Html::escape(&data.to_string()));
    Html(format!(
        "<figure class=\"chart\" data-chart=\"{data}\"><figcaption>{title}</figcaption>\
         <div class=\"plot\" role=\"img\" aria-label=\"{title}\">{svg}</div>\
         <div class=\"legend\">{legend}</div></figure>"
    ))
}

/// Where a chart is drawn.
pub(super) type Area<'svg> = DrawingArea<SVGBackend<'svg>, Shift>;

/// The SVG that `draw` makes on `size` pixels; `what` names it in messages.
pub(super) fn drawn(
    what: &str,
    size: (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> Result<(), Box<dyn std::error::Error>>,
) -> Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        draw(&root)
            .and_then(|()| Ok(root.present()?))
            .map_err(|error| Error::failed(format!("could not draw {what}: {error}")))?;
    }
    Ok(svg)
}

/// Pixels to the left of a plot: room for a vertical name, and numbers such as `1e-6 %` beside it.
const LABELS: u32 = 66;

/// Pixels of the plot itself within a chart: left, top, right, bottom.
pub(super) const BOX: [u32; 4] = [2 + LABELS, 10, SIZE.0 - 14, SIZE.1 - 2 - 36];

/// One axis of a plot.
pub(super) struct Axis<'a> {
    pub ticks: Ticks,
    pub name: &'a str,
    /// The text of a tick.
    pub shown: &'a dyn Fn(&f64) -> String,
}

/// A plot with its axes, still empty.
type Plot<'a, 'svg> = ChartContext<'a, SVGBackend<'svg>, Cartesian2d<Ticks, Ticks>>;

/// An empty plot in the stand-in colours. All charts of the page start from it.
pub(super) fn framed<'a, 'svg>(
    root: &'a Area<'svg>,
    across: Axis<'_>,
    up: Axis<'_>,
) -> Result<Plot<'a, 'svg>, Box<dyn std::error::Error>> {
    let labels = |ticks: &Ticks| if ticks.1 == 0 { 5 } else { ticks.1 };
    let [of_x, of_y] = [&across.ticks, &up.ticks].map(labels);
    let mut chart = ChartBuilder::on(root)
        .margin_left(2)
        .margin_top(10)
        .margin_right(14)
        .margin_bottom(2)
        .x_label_area_size(36)
        .y_label_area_size(LABELS)
        .build_cartesian_2d(across.ticks, up.ticks)?;
    let text = ("sans-serif", 14).into_font().color(&INK);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(FAINT)
        .axis_style(FAINT)
        .label_style(text.clone())
        .axis_desc_style(text)
        .x_labels(of_x)
        .y_labels(of_y)
        .x_label_formatter(&across.shown)
        .y_label_formatter(&up.shown)
        .x_desc(across.name)
        .y_desc(up.name)
        .draw()?;
    Ok(chart)
}

/// Reduces a line to at most [`MOST_POINTS`] points, each the mean of a group.
fn thin(line: &Line) -> Line {
    let finite = |it: &&(f64, f64)| it.0.is_finite() && it.1.is_finite();
    let points: Vec<(f64, f64)> = line.points.iter().filter(finite).copied().collect();
    let each = points.len().div_ceil(MOST_POINTS).max(1);
    let mean = |points: &[(f64, f64)]| {
        let count = points.len() as f64;
        let y = points.iter().map(|it| it.1).sum::<f64>() / count;
        // Placed at the end of the group.
        (points[points.len() - 1].0, y)
    };
    Line { points: points.chunks(each).map(mean).collect(), ..line.clone() }
}

/// A table of shares from 0 to 1; higher shares have darker cells.
#[derive(Debug, Clone, Default)]
pub struct Matrix {
    /// The title above it.
    pub title: String,
    /// The names of the two axes: rows and columns.
    pub axes: [String; 2],
    /// The names of its rows.
    pub rows: Vec<String>,
    /// The names of its columns.
    pub columns: Vec<String>,
    /// The cells `[rows, columns]`: how dark each is, and its text; `None` for an empty cell.
    pub cells: Vec<Vec<Option<(f64, String)>>>,
}

impl Matrix {
    /// The table, as a `<figure>`.
    pub fn figure(&self) -> Html {
        let mut html = format!(
            "<figure class=\"matrix{}\"><figcaption>{}</figcaption><div class=\"scroll\"><table><thead><tr>\
             <th class=\"corner\">{} \\ {}</th>",
            // Long names are written vertically, so that the columns stay narrow.
            if self.columns.iter().any(|name| name.chars().count() > 8) { " tall" } else { "" },
            Html::escape(&self.title),
            Html::escape(&self.axes[0]),
            Html::escape(&self.axes[1])
        );
        for name in &self.columns {
            let _ = write!(html, "<th scope=\"col\">{}</th>", Html::escape(name));
        }
        html.push_str("</tr></thead><tbody>");
        for (name, cells) in self.rows.iter().zip(&self.cells) {
            let _ = write!(html, "<tr><th scope=\"row\">{}</th>", Html::escape(name));
            for (cell, column) in cells.iter().zip(&self.columns) {
                let Some((share, shown)) = cell else {
                    html.push_str("<td></td>");
                    continue;
                };
                let percent = (100.0 * share.clamp(0.0, 1.0)).round();
                let tip = Html::escape(&format!("{name} \\ {column}: {shown}"));
                let strong = if percent >= 55.0 { " class=\"strong\"" } else { "" };
                let shown = Html::escape(shown);
                let _ = write!(
                    html,
                    "<td{strong} style=\"--v:{percent}%\" title=\"{tip}\">{shown}</td>"
                );
            }
            html.push_str("</tr>");
        }
        html.push_str("</tbody></table></div></figure>");
        Html(html)
    }
}
