//! The plots, as SVG that needs nothing but a viewer: text stays text, and the ground is white, so
//! they can be read on any page.
//!
//! Both axes are logarithmic. A contender has the same colour, of the palette of Okabe and Ito which
//! colour-blind readers tell apart, and the same mark wherever it appears.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Curve, Results, Time};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const INK: RGBColor = RGBColor(51, 51, 51);
const GRID: RGBColor = RGBColor(222, 222, 222);
const BAND: RGBColor = RGBColor(243, 243, 243);
const HEIGHT: u32 = 440;
/// Width of the legend.
const LEGEND: i32 = 228;
/// Height of the head line.
const HEAD: i32 = 62;

/// One pair of axes.
struct Panel<'a> {
    title: &'a str,
    across: &'a str,
    curves: &'a [Curve],
    /// Powers of ten, in nanoseconds.
    decades: Range<i32>,
}

/// Time to quiet over writers.
pub fn quiet(results: &Results) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let area = canvas(&mut svg, 860)?;
        let (head, body) = area.split_vertically(HEAD);
        let (plot, legend) = body.split_horizontally(860 - LEGEND);
        heading(
            &head,
            "Time to quiet as writers grow",
            "Each writer is a process that holds a share for 20 ms and rests for 5 ms; the longest of up \
             to 10 tries.",
        )?;
        let curves = &results.growth.quiet;
        Panel { title: "time to quiet", across: "writers", curves, decades: 6..10 }.draw(&plot)?;
        draw_legend(&legend, curves.iter())?;
        area.present()?;
    }
    Ok(svg)
}

/// The cost of enter and leave, over threads and over processes.
pub fn pairs(results: &Results) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let area = canvas(&mut svg, 1060)?;
        let (head, body) = area.split_vertically(HEAD);
        let (plots, legend) = body.split_horizontally(1060 - LEGEND);
        let subtitle = format!(
            "All enter and leave the shared side as fast as they can on {} cores; a core's time per \
             pair, median of rounds.",
            results.machine.cores
        );
        heading(&head, "Cost of one enter and leave as threads and processes grow", &subtitle)?;
        let growth = &results.growth;
        let panels = [
            ("core time per pair, threads of one process", "threads", &growth.threads),
            ("core time per pair, processes", "processes", &growth.processes),
        ];
        for (plot, (title, across, curves)) in plots.split_evenly((1, 2)).iter().zip(panels) {
            Panel { title, across, curves, decades: 0..5 }.draw(plot)?;
        }
        let mut all: Vec<&Curve> = growth.threads.iter().collect();
        let more = growth.processes.iter();
        all.extend(more.filter(|curve| growth.threads.iter().all(|one| one.name != curve.name)));
        draw_legend(&legend, all.into_iter())?;
        area.present()?;
    }
    Ok(svg)
}

fn canvas(svg: &mut String, width: u32) -> anyhow::Result<Area<'_>> {
    let area = SVGBackend::with_string(svg, (width, HEIGHT)).into_drawing_area();
    area.fill(&WHITE)?;
    Ok(area)
}

fn font(size: i32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

fn heading(area: &Area, title: &str, subtitle: &str) -> anyhow::Result<()> {
    let bold = ("sans-serif", 19, FontStyle::Bold).into_font().color(&INK);
    area.draw(&Text::new(title, (24, 16), bold))?;
    area.draw(&Text::new(subtitle, (24, 42), font(13)))?;
    Ok(())
}

impl Panel<'_> {
    fn draw(&self, area: &Area) -> anyhow::Result<()> {
        let most = self.curves.iter().flat_map(|curve| &curve.points).map(|point| point.many).max();
        let across = (most.unwrap_or(2) as f64).log2();
        let given_up: Vec<&Curve> = self.curves.iter().filter(|curve| gives_up(curve)).collect();
        let cap = given_up
            .iter()
            .flat_map(|curve| &curve.points)
            .find_map(|point| point.time.is_given_up().then(|| point.time.nanoseconds().log10()));
        // Who was given up gets a lane of its own above the cap: nobody knows how long it takes.
        let lane = |index: usize| cap.unwrap_or_default() + 0.12 + 0.15 * index as f64;
        let top = match cap {
            Some(_) => lane(given_up.len()) + 0.02,
            None => self.decades.end as f64,
        };
        let first =
            self.curves.iter().flat_map(|curve| &curve.points).map(|point| point.many).min();
        let left = (first.unwrap_or(1) as f64).log2();
        area.draw(&Text::new(self.title, (24, 4), font(13)))?;
        let mut chart = ChartBuilder::on(area)
            .margin_right(18)
            .margin_bottom(6)
            .margin_top(24)
            .x_label_area_size(40)
            .y_label_area_size(72)
            .build_cartesian_2d(
                Powers { range: left - 0.25..across + 0.25, last: across, label: number },
                Powers {
                    range: self.decades.start as f64..top,
                    last: cap.unwrap_or(top),
                    label: time,
                },
            )?;
        chart
            .configure_mesh()
            .x_desc(self.across)
            .label_style(font(12))
            .axis_desc_style(font(13))
            .axis_style(INK)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .draw()?;
        let at = |many: u64, power: f64| chart.backend_coord(&((many as f64).log2(), power));
        let base = area.get_base_pixel();
        let inside = |(x, y): (i32, i32)| (x - base.0, y - base.1);
        if let Some(cap) = cap {
            let (x, _) = chart.plotting_area().get_pixel_range();
            let (_, bottom) = inside(at(2, cap + 0.04));
            let (_, end) = inside(at(2, top));
            let (from, to) = (x.start - base.0, x.end - base.0);
            area.draw(&Rectangle::new([(from, end), (to, bottom)], BAND.filled()))?;
            let label = format!("given up after {}", time(cap));
            let style = font(12).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw(&Text::new(label, (from + 8, (end + bottom) / 2), style))?;
        }
        // The first one is drawn last, above the others.
        for curve in self.curves.iter().rev() {
            let style = Style::of(&curve.name);
            let lane = given_up.iter().position(|one| one.name == curve.name).map(lane);
            let places: Vec<(i32, i32)> = curve
                .points
                .iter()
                .map(|point| match (point.time, lane) {
                    (Time::MoreThan(_), Some(lane)) => inside(at(point.many, lane)),
                    (time, _) => inside(at(point.many, time.nanoseconds().log10())),
                })
                .collect();
            style.line(area, &places)?;
            for (place, point) in places.iter().zip(&curve.points) {
                style.mark(area, *place, !point.time.is_given_up())?;
            }
        }
        Ok(())
    }
}

fn gives_up(curve: &Curve) -> bool {
    curve.points.iter().any(|point| point.time.is_given_up())
}

/// A logarithmic axis: exponents, with a mark at each whole one up to the last.
struct Powers {
    range: Range<f64>,
    last: f64,
    label: fn(f64) -> String,
}

impl Ranged for Powers {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let part = (value - self.range.start) / (self.range.end - self.range.start);
        from + (part * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        (self.range.start.ceil() as i32..=self.last.floor() as i32).map(f64::from).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Powers {
    fn format_ext(&self, value: &f64) -> String {
        (self.label)(*value)
    }
}

/// That power of two.
fn number(exponent: f64) -> String {
    exponent.exp2().round().to_string()
}

/// That power of ten, in nanoseconds.
fn time(exponent: f64) -> String {
    let units = ["ns", "us", "ms", "s"];
    let unit = ((exponent / 3.0 + 1e-9).floor() as usize).min(units.len() - 1);
    format!("{} {}", 10f64.powf(exponent - 3.0 * unit as f64).round(), units[unit])
}

fn draw_legend<'a>(area: &Area, curves: impl Iterator<Item = &'a Curve>) -> anyhow::Result<()> {
    let middle = font(13).pos(Pos::new(HPos::Left, VPos::Center));
    for (index, curve) in curves.enumerate() {
        let y = 18 + 26 * index as i32;
        let style = Style::of(&curve.name);
        style.line(area, &[(6, y), (38, y)])?;
        style.mark(area, (22, y), true)?;
        area.draw(&Text::new(curve.name.clone(), (48, y), middle.clone()))?;
    }
    Ok(())
}

/// How a contender is drawn.
struct Style {
    color: RGBColor,
    width: u32,
    mark: &'static [(i32, i32)],
    dashed: bool,
}

const CIRCLE: &[(i32, i32)] = &[
    (5, 0),
    (4, 3),
    (3, 4),
    (0, 5),
    (-3, 4),
    (-4, 3),
    (-5, 0),
    (-4, -3),
    (-3, -4),
    (0, -5),
    (3, -4),
    (4, -3),
];
const SQUARE: &[(i32, i32)] = &[(-4, -4), (4, -4), (4, 4), (-4, 4)];
const DIAMOND: &[(i32, i32)] = &[(0, -6), (6, 0), (0, 6), (-6, 0)];
const UP: &[(i32, i32)] = &[(0, -6), (5, 4), (-5, 4)];
const DOWN: &[(i32, i32)] = &[(0, 6), (5, -4), (-5, -4)];
const NONE: &[(i32, i32)] = &[];

impl Style {
    fn of(name: &str) -> Style {
        let style = |red, green, blue, mark| Style {
            color: RGBColor(red, green, blue),
            width: 2,
            mark,
            dashed: false,
        };
        match name {
            "stillpoint" => Style { width: 3, ..style(0, 114, 178, CIRCLE) },
            "parking_lot RwLock" => style(0, 158, 115, DIAMOND),
            "pthread_rwlock" => style(230, 159, 0, SQUARE),
            "pthread_rwlock, writers first" => style(213, 94, 0, DIAMOND),
            "flock" => style(204, 121, 167, UP),
            "fcntl" | "OFD lock" => style(86, 180, 233, DOWN),
            "open+fcntl+close as Cyrus" => style(0, 0, 0, SQUARE),
            _ => Style { dashed: true, ..style(120, 120, 120, NONE) },
        }
    }

    fn line(&self, area: &Area, places: &[(i32, i32)]) -> anyhow::Result<()> {
        let style = self.color.stroke_width(self.width);
        let places = places.iter().copied();
        if self.dashed {
            area.draw(&DashedPathElement::new(places, 6, 4, style))?;
        } else {
            area.draw(&PathElement::new(places.collect::<Vec<_>>(), style))?;
        }
        Ok(())
    }

    /// A mark, or its outline.
    fn mark(&self, area: &Area, (x, y): (i32, i32), filled: bool) -> anyhow::Result<()> {
        let mut outline: Vec<_> =
            self.mark.iter().map(|(right, down)| (x + right, y + down)).collect();
        if outline.is_empty() {
            return Ok(());
        }
        let fill = if filled { self.color } else { WHITE };
        area.draw(&Polygon::new(outline.clone(), fill.filled()))?;
        outline.push(outline[0]);
        outline.push(outline[1]);
        area.draw(&PathElement::new(outline, self.color.stroke_width(2)))?;
        Ok(())
    }
}
