//! A small SVG writer: panels of lines over one time axis, light and dark, nothing fetched.

use std::fmt::Write;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 34.0;
const PANEL: f64 = 104.0;
const GAP: f64 = 44.0;
const COLUMNS: usize = 640;

/// Colours follow the reader's scheme. Plain rules instead of CSS variables, because not only
/// browsers draw SVG.
const STYLE: &str = "\
.rc{font:12px system-ui,sans-serif}.rc .back{fill:#fff}.rc text{fill:#24292f}\
.rc text.soft{fill:#6e7781}.rc .grid{stroke:#d8dee4}.rc .bound{stroke:#cf222e}\
.rc .line{fill:none;stroke-width:1.6;stroke-linejoin:round}\
.rc text.blue{fill:#0969da}.rc text.green{fill:#1a7f37}.rc text.red{fill:#cf222e}\
.rc text.amber{fill:#9a6700}.rc .line.blue{stroke:#0969da}.rc .line.green{stroke:#1a7f37}\
.rc .line.red{stroke:#cf222e}.rc .line.amber{stroke:#9a6700}\
@media(prefers-color-scheme:dark){.rc .back{fill:#0d1117}.rc text{fill:#e6edf3}\
.rc text.soft{fill:#9198a1}.rc .grid{stroke:#30363d}.rc .bound{stroke:#f85149}\
.rc text.blue{fill:#4493f8}.rc text.green{fill:#3fb950}.rc text.red{fill:#f85149}\
.rc text.amber{fill:#d29922}.rc .line.blue{stroke:#4493f8}.rc .line.green{stroke:#3fb950}\
.rc .line.red{stroke:#f85149}.rc .line.amber{stroke:#d29922}}";

/// Points of one quantity over time.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    /// One of `blue`, `green`, `red`, `amber`.
    pub(crate) colour: &'static str,
    /// Seconds and value, in order of time.
    pub(crate) points: Vec<(f64, f64)>,
}

/// One diagram: lines over the shared time axis.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    pub(crate) lines: Vec<Line>,
    /// A horizontal line with its name.
    pub(crate) bound: Option<(&'static str, f64)>,
    /// Names at heights; without any, the top value is written.
    pub(crate) ticks: Vec<(f64, String)>,
    pub(crate) max: f64,
}

/// Several panels with a title, a time axis and named instants.
#[derive(Debug)]
pub(crate) struct Figure<'a> {
    pub(crate) title: &'a str,
    pub(crate) seconds: f64,
    pub(crate) instants: Vec<(f64, &'static str)>,
    pub(crate) panels: Vec<Panel>,
}

// === impl Figure ===

impl Figure<'_> {
    pub(crate) fn draw(&self) -> String {
        let height = TOP + self.panels.len() as f64 * (PANEL + GAP) + 10.0;
        let mut svg = String::new();
        let title = escape(self.title);
        self.write(&mut svg, &title, height);
        svg
    }

    fn write(&self, svg: &mut String, title: &str, height: f64) {
        put(
            svg,
            format_args!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"rc\" role=\"img\" \
             viewBox=\"0 0 {WIDTH} {height}\"><title>{title}</title><style>{STYLE}</style>\
             <rect width=\"{WIDTH}\" height=\"{height}\" class=\"back\"/>\
             <text x=\"{LEFT}\" y=\"16\" font-weight=\"600\">{title}</text>"
            ),
        );
        for (index, panel) in self.panels.iter().enumerate() {
            let top = TOP + index as f64 * (PANEL + GAP) + 12.0;
            self.panel(svg, panel, top);
        }
        svg.push_str("</svg>\n");
    }

    fn panel(&self, svg: &mut String, panel: &Panel, top: f64) {
        let (right, bottom) = (WIDTH - RIGHT, top + PANEL);
        let title = escape(panel.title);
        put(
            svg,
            format_args!(
                "<text x=\"{LEFT}\" y=\"{}\" class=\"soft\">{title}</text>",
                top - 6.0
            ),
        );
        for (value, name) in panel.named_heights() {
            let y = panel.y(value, top);
            put(
                svg,
                format_args!(
                    "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" class=\"grid\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" class=\"soft\">{}</text>",
                    LEFT - 6.0,
                    y + 4.0,
                    escape(&name)
                ),
            );
        }
        for second in axis_steps(self.seconds) {
            let x = self.x(second);
            put(
                svg,
                format_args!(
                    "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" class=\"soft\">{second} s</text>",
                    bottom + 14.0
                ),
            );
        }
        for (second, name) in self.instants.iter().filter(|(at, _)| *at < self.seconds) {
            let x = self.x(*second);
            put(
                svg,
                format_args!(
                    "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{bottom}\" class=\"grid\" \
                 stroke-dasharray=\"3 3\"><title>{}</title></line>",
                    escape(name)
                ),
            );
        }
        self.legend_and_lines(svg, panel, top);
    }

    fn legend_and_lines(&self, svg: &mut String, panel: &Panel, top: f64) {
        let x = WIDTH - RIGHT + 12.0;
        for (index, line) in panel.lines.iter().enumerate() {
            let y = top + 12.0 + index as f64 * 16.0;
            put(
                svg,
                format_args!(
                    "<text x=\"{x}\" y=\"{y}\" class=\"{}\">{}</text>\
                 <polyline class=\"line {}\" points=\"",
                    line.colour,
                    escape(line.name),
                    line.colour
                ),
            );
            for (second, value) in thin(&line.points, self.seconds) {
                put(
                    svg,
                    format_args!("{:.1},{:.1} ", self.x(second), panel.y(value, top)),
                );
            }
            svg.push_str("\"/>");
        }
        if let Some((name, value)) = panel.bound {
            let y = panel.y(value, top);
            put(
                svg,
                format_args!(
                    "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" \
                 class=\"bound\" stroke-dasharray=\"6 3\"/>\
                 <text x=\"{x}\" y=\"{:.1}\" class=\"red\">{}</text>",
                    WIDTH - RIGHT,
                    top + 12.0 + panel.lines.len() as f64 * 16.0,
                    escape(name)
                ),
            );
        }
    }

    fn x(&self, second: f64) -> f64 {
        let share = (second / self.seconds.max(0.001)).clamp(0.0, 1.0);
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }
}

// === impl Panel ===

impl Panel {
    fn named_heights(&self) -> Vec<(f64, String)> {
        if self.ticks.is_empty() {
            return vec![
                (0.0, "0".to_owned()),
                (self.max, format!("{:.0}", self.max)),
            ];
        }
        self.ticks.clone()
    }

    fn y(&self, value: f64, top: f64) -> f64 {
        let share = if self.max > 0.0 {
            (value / self.max).clamp(0.0, 1.0)
        } else {
            0.0
        };
        top + PANEL * (1.0 - share)
    }
}

/// At most one point a column of pixels: the highest, because peaks are what is looked for.
fn thin(points: &[(f64, f64)], seconds: f64) -> Vec<(f64, f64)> {
    let column = |second: f64| (second / seconds.max(0.001) * COLUMNS as f64) as usize;
    let mut thinned: Vec<(f64, f64)> = Vec::new();
    for &(second, value) in points {
        match thinned.last_mut() {
            Some(last) if column(last.0) == column(second) => last.1 = last.1.max(value),
            _ => thinned.push((second, value)),
        }
    }
    thinned
}

/// About eight round steps.
fn axis_steps(seconds: f64) -> Vec<f64> {
    let steps = [1.0, 2.0, 5.0, 10.0, 20.0, 60.0];
    let step = steps
        .into_iter()
        .find(|step| seconds / step <= 10.0)
        .unwrap_or(120.0);
    (0..=(seconds / step) as u32)
        .map(|index| f64::from(index) * step)
        .collect()
}

/// Text as it may stand in XML and HTML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn put(svg: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    svg.write_fmt(text).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_peaks() {
        let points: Vec<_> = (0..10_000)
            .map(|n| (f64::from(n) / 1000.0, if n == 4321 { 9.0 } else { 1.0 }))
            .collect();
        let thinned = thin(&points, 10.0);
        assert!(thinned.len() <= COLUMNS + 1, "{}", thinned.len());
        assert!(thinned.iter().any(|(_, value)| *value == 9.0));
    }

    #[test]
    fn a_figure_is_closed_escaped_and_fetches_nothing() {
        let line = Line {
            name: "a<b",
            colour: "blue",
            points: vec![(0.0, 1.0), (5.0, 99.0)],
        };
        let panel = Panel {
            title: "t",
            lines: vec![line],
            bound: Some(("limit", 50.0)),
            ticks: Vec::new(),
            max: 60.0,
        };
        let figure = Figure {
            title: "x & y",
            seconds: 5.0,
            instants: vec![(2.0, "fall")],
            panels: vec![panel],
        };
        let svg = figure.draw();
        assert!(svg.contains("x &amp; y") && svg.contains("a&lt;b") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("http").count(), 1, "only the name space");
        // A value above the scale is drawn at the top of its panel, not outside.
        assert!(svg.contains("710.0,46.0"), "{svg}");
    }
}
