//! One chart as inline SVG: lines or stacked areas over the time before the end, bands, marks.
//!
//! No script: what is said on hovering is a `<title>` of the shape under the pointer.

use std::fmt::Write;

use super::{answers::quantity, axis, html::escaped};
use crate::schema::Unit;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 76.0;
const BOTTOM: f64 = 22.0;
const TOP: f64 = 8.0;

/// Half of the longest label below the axis.
const EDGE: f64 = 24.0;

/// The height of a line of text.
const LINE: f64 = 12.0;

/// More points than columns on a screen show nothing more, and a file is mailed around.
const POINTS_MAX: usize = 480;

/// Places that can be hovered over.
const COLUMNS_MAX: usize = 120;

/// Colours that a page has for series.
pub(super) const COLOURS: usize = 6;

/// A line: seconds before the end (negative) and value.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// A level across the chart, such as a limit.
pub(super) struct Level {
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) class: &'static str,
}

/// A stretch of time in a colour, such as a level of the governor.
pub(super) struct Band {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) class: &'static str,
    pub(super) title: String,
}

/// A moment, such as a decision.
pub(super) struct Mark {
    pub(super) at: f64,
    pub(super) class: &'static str,
    pub(super) title: String,
}

pub(super) struct Chart {
    pub(super) title: String,
    pub(super) unit: Unit,
    pub(super) seconds: f64,
    pub(super) stacked: bool,
    pub(super) series: Vec<Series>,
    pub(super) levels: Vec<Level>,
    pub(super) bands: Vec<Band>,
    pub(super) marks: Vec<Mark>,
}

impl Chart {
    pub(super) fn new(title: &str, unit: Unit, seconds: f64) -> Self {
        Self {
            title: title.to_owned(),
            unit,
            seconds: seconds.max(1.0),
            stacked: false,
            series: Vec::new(),
            levels: Vec::new(),
            bands: Vec::new(),
            marks: Vec::new(),
        }
    }

    /// Appends the chart, or nothing when it has no point.
    pub(super) fn put(mut self, page: &mut String) {
        for series in &mut self.series {
            series.points.retain(|(at, _)| *at >= -self.seconds);
            thin(&mut series.points);
        }
        self.series.retain(|series| !series.points.is_empty());
        if self.series.is_empty() {
            return;
        }
        self.series.truncate(COLOURS);
        let hovered = self.columns();
        if self.stacked {
            self.stack();
        }
        let top = self.top();
        let _ = write!(page, "<figure><figcaption>{}", escaped(&self.title));
        self.put_legend(page);
        let _ = write!(
            page,
            "</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            escaped(&self.title)
        );
        self.put_bands(page);
        self.put_axes(page, top);
        self.put_series(page, top);
        self.put_levels(page, top);
        for (at, width, title) in hovered {
            let _ = write!(
                page,
                "<rect class=\"h\" x=\"{:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{:.1}\"><title>{}</title></rect>",
                self.x(at) - width / 2.0,
                HEIGHT - BOTTOM - TOP,
                escaped(&title)
            );
        }
        self.put_marks(page);
        page.push_str("</svg></figure>\n");
    }

    fn x(&self, at: f64) -> f64 {
        LEFT + (WIDTH - LEFT) * (1.0 + at / self.seconds).clamp(0.0, 1.0)
    }

    fn y(value: f64, top: f64) -> f64 {
        let share = (value / top).clamp(0.0, 1.0);
        HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share
    }

    fn top(&self) -> f64 {
        let points = self.series.iter().flat_map(|series| &series.points);
        let highest = points.fold(0.0_f64, |top, (_, value)| top.max(*value));
        let levels = self.levels.iter().map(|level| level.value);
        // A limit far above everything would press it flat.
        let levels = levels.filter(|level| *level < highest * 20.0);
        (levels.fold(highest, f64::max) * 1.05).max(1e-9)
    }

    /// Each series on top of those before it, at the moments of the first.
    fn stack(&mut self) {
        let mut below: Vec<(f64, f64)> = Vec::new();
        for series in &mut self.series {
            if !below.is_empty() {
                let points = below.iter().map(|(at, base)| (*at, base + value_at(&series.points, *at)));
                series.points = points.collect();
            }
            below.clone_from(&series.points);
        }
        // The highest first, so that the lower ones are drawn over it.
        self.series.reverse();
    }

    fn colour(&self, index: usize) -> usize {
        if self.stacked {
            self.series.len() - 1 - index
        } else {
            index
        }
    }

    fn columns(&self) -> Vec<(f64, f64, String)> {
        let first = &self.series[0].points;
        let step = first.len().div_ceil(COLUMNS_MAX).max(1);
        let width = ((WIDTH - LEFT) / COLUMNS_MAX as f64).max(4.0);
        let column = |(at, _): &(f64, f64)| {
            let mut title = format!("{at:.2} s");
            for series in &self.series {
                let value = quantity(value_at(&series.points, *at), self.unit);
                let _ = write!(title, "\n{} {value}", series.name);
            }
            (*at, width, title)
        };
        first.iter().rev().step_by(step).map(column).collect()
    }

    fn put_legend(&self, page: &mut String) {
        for (index, series) in self.series.iter().enumerate() {
            let colour = self.colour(index);
            let _ = write!(page, " <span class=\"k c{colour}\">{}</span>", escaped(&series.name));
        }
    }

    fn put_axes(&self, page: &mut String, top: f64) {
        for value in axis::lines(top, self.unit) {
            let y = Self::y(value, top);
            let _ = write!(
                page,
                "<line class=\"g\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                y + 4.0,
                escaped(&axis::label(value, self.unit))
            );
        }
        for ago in axis::lines(self.seconds, Unit::Seconds) {
            let x = self.x(-ago);
            // What would stick out on the right stands before its moment, on the left behind it.
            let anchor = match x {
                x if x > WIDTH - EDGE => "end",
                x if x < LEFT + EDGE => "start",
                _ => "middle",
            };
            let label = if ago == 0.0 { "end".to_owned() } else { format!("−{}", axis::label(ago, Unit::Seconds)) };
            let _ = write!(
                page,
                "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{label}</text>",
                HEIGHT - 6.0
            );
        }
    }

    fn put_series(&self, page: &mut String, top: f64) {
        for (index, series) in self.series.iter().enumerate() {
            let mut line = String::new();
            for (at, value) in &series.points {
                let _ = write!(line, "{:.1},{:.1} ", self.x(*at), Self::y(*value, top));
            }
            let colour = self.colour(index);
            let first = series.points.first().map_or(0.0, |(at, _)| self.x(*at));
            let last = series.points.last().map_or(0.0, |(at, _)| self.x(*at));
            let floor = HEIGHT - BOTTOM;
            if self.stacked {
                let _ = write!(
                    page,
                    "<polygon class=\"a c{colour}\" points=\"{line}{last:.1},{floor} {first:.1},{floor}\"/>"
                );
            } else {
                let _ = write!(page, "<polyline class=\"l c{colour}\" points=\"{}\"/>", line.trim_end());
                let (at, value) = series.points.last().copied().unwrap_or_default();
                let _ = write!(
                    page,
                    "<circle class=\"d c{colour}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\"/>",
                    self.x(at),
                    Self::y(value, top)
                );
            }
        }
    }

    /// Each level with its name where there is room for it; the name of every one shows on hovering.
    fn put_levels(&self, page: &mut String, top: f64) {
        let mut named: Vec<f64> = Vec::new();
        for level in self.levels.iter().filter(|level| level.value <= top) {
            let y = Self::y(level.value, top);
            let name = escaped(&level.name);
            let _ = write!(
                page,
                "<line class=\"v {}\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"><title>{name} {}</title></line>",
                level.class,
                escaped(&quantity(level.value, self.unit))
            );
            if named.iter().all(|other| (other - y).abs() >= LINE) {
                let _ = write!(page, "<text x=\"{}\" y=\"{:.1}\">{name}</text>", LEFT + 4.0, y + LINE - 2.0);
                named.push(y);
            }
        }
    }

    fn put_bands(&self, page: &mut String) {
        for band in &self.bands {
            let (from, to) = (self.x(band.from), self.x(band.to));
            let _ = write!(
                page,
                "<rect class=\"b {}\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"><title>{}</title></rect>",
                band.class,
                (to - from).max(0.5),
                HEIGHT - BOTTOM - TOP,
                escaped(&band.title)
            );
        }
    }

    fn put_marks(&self, page: &mut String) {
        for mark in self.marks.iter().filter(|mark| mark.at >= -self.seconds) {
            let x = self.x(mark.at);
            let _ = write!(
                page,
                "<g class=\"m {}\"><line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{}\"/>\
                 <circle cx=\"{x:.1}\" cy=\"{TOP}\" r=\"4\"/><title>{}</title></g>",
                mark.class,
                HEIGHT - BOTTOM,
                escaped(&mark.title)
            );
        }
    }
}

/// The last value at or before a moment; before the first one it is zero.
fn value_at(points: &[(f64, f64)], at: f64) -> f64 {
    let after = points.partition_point(|(other, _)| *other <= at);
    after.checked_sub(1).map_or(0.0, |index| points[index].1)
}

/// Keeps the highest of neighbours, so that no peak is lost, and always the last.
fn thin(points: &mut Vec<(f64, f64)>) {
    let step = points.len().div_ceil(POINTS_MAX);
    if step < 2 {
        return;
    }
    let last = points.last().copied();
    let highest = |chunk: &[(f64, f64)]| {
        let higher = |a: (f64, f64), b: &(f64, f64)| if b.1 > a.1 { *b } else { a };
        chunk[1..].iter().fold(chunk[0], higher)
    };
    *points = points.chunks(step).map(highest).collect();
    if points.last().copied() != last {
        points.extend(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_peaks_and_the_end() {
        let mut points: Vec<(f64, f64)> = (0..10_000).map(|n| (f64::from(n), 1.0)).collect();
        points[5001].1 = 9.0;
        points[9999].1 = 3.0;
        thin(&mut points);
        assert!(points.len() <= POINTS_MAX + 1, "{}", points.len());
        assert!(points.contains(&(5001.0, 9.0)));
        assert_eq!(points.last(), Some(&(9999.0, 3.0)));
    }

    #[test]
    fn a_chart_without_points_is_nothing() {
        let mut page = String::new();
        Chart::new("x", Unit::Bytes, 60.0).put(&mut page);
        assert_eq!(page, "");
    }
}
