//! Charts draw whatever they are given, in colours that the style sheet knows.

use gimlet::axis::short;
use gimlet::report::figure::{COLOURS, Chart, Line, Matrix};
use proptest::prelude::*;

/// A line of these values over 0, 1, 2, …
fn line(colour: usize, values: &[f64]) -> Line {
    let points = values.iter().enumerate().map(|(x, y)| (x as f64, *y)).collect();
    Line { name: format!("line {colour}"), colour, points, ..Line::default() }
}

/// The points that the script of the page finds in a chart.
fn points(figure: &str) -> Vec<Vec<[f64; 2]>> {
    let data = figure.split("data-chart=\"").nth(1).unwrap().split('"').next().unwrap();
    let data: serde_json::Value = serde_json::from_str(&data.replace("&quot;", "\"")).unwrap();
    let series = data["series"].as_array().unwrap().iter();
    series.map(|it| serde_json::from_value(it["points"].clone()).unwrap()).collect()
}

#[test]
fn every_colour_of_a_series_is_in_the_style_sheet() {
    let style = include_str!("../../src/report/page/style.css");
    let lines = (0..COLOURS).map(|colour| line(colour, &[0.0, colour as f64])).collect();
    let svg = Chart { lines, ..Chart::default() }.figure().unwrap().0;
    for colour in 0..COLOURS {
        let stand_in = format!("stroke=\"#03030{colour}\"");
        assert!(svg.contains(&stand_in), "{colour}");
        assert!(style.contains(&format!("[{stand_in}]")), "{colour}");
        // In the light and in both dark schemes.
        assert_eq!(style.matches(&format!("--c{colour}: #")).count(), 3, "{colour}");
    }
}

#[test]
fn names_are_escaped() {
    let mut hostile = line(0, &[1.0, 2.0]);
    hostile.name = "</svg><script>\"'&".to_string();
    let title = "<b>title</b>".to_string();
    let marks = vec![(0.5, "<mark>".to_string())];
    let chart = Chart { title, marks, x: "<x>".into(), lines: vec![hostile], ..Chart::default() };
    let html = chart.figure().unwrap().0;
    assert!(!html.contains("<script>") && !html.contains("<b>") && !html.contains("<mark>"));
    assert!(!html.contains("<x>"), "{html}");

    let matrix = Matrix {
        rows: vec!["<i>".to_string()],
        columns: vec!["<u>".to_string()],
        cells: vec![vec![Some((0.5, "<s>".to_string()))]],
        ..Matrix::default()
    };
    let html = matrix.figure().0;
    assert!(!html.contains("<i>") && !html.contains("<u>") && !html.contains("<s>"));
}

#[test]
fn a_long_line_is_thinned_by_means() {
    let values: Vec<f64> = (0..30_000).map(f64::from).collect();
    let chart = Chart { lines: vec![line(0, &values)], ..Chart::default() };
    let points = points(&chart.figure().unwrap().0).remove(0);
    assert_eq!(points.len(), 300);
    // Of the first hundred: up to step 99, 49.5 on average.
    assert_eq!(points[0], [99.0, 49.5]);
}

#[test]
fn numbers_on_an_axis_are_short() {
    let shown = [0.0, 0.25, 2.833, 1500.0, 50_000.0, 1_500_000.0, 2e-5, -0.5].map(short);
    assert_eq!(shown, ["0", "0.25", "2.833", "1500", "50k", "1.5M", "2e-5", "-0.5"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Also one point, equal values, values that are none, and none at all.
    #[test]
    fn any_values_make_a_chart(
        values in prop::collection::vec(
            prop_oneof![any::<f32>().prop_map(f64::from), Just(0.0), Just(f64::NAN), -3.0..3.0],
            0..40,
        ),
        dashed: bool,
        dots: bool,
        levels in prop::collection::vec(-2.0..2.0f64, 0..3),
    ) {
        let finite = values.iter().filter(|it| it.is_finite()).count();
        let lines = vec![Line { dashed, dots, ..line(1, &values) }];
        let levels = levels.into_iter().map(|it| (it, "level".to_string())).collect();
        let chart = Chart { title: "any".into(), lines, levels, ..Chart::default() };
        let html = chart.figure().unwrap().0;
        prop_assert!(!html.contains("NaN") && !html.contains("inf"));
        prop_assert_eq!(points(&html)[0].len(), finite);
        prop_assert!(html.contains("</svg>"));
    }
}
