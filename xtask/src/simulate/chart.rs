//! A scenario as a picture: memory under several controls, and what the default one lets in.

use super::outcome::Window;
use super::runner::Cell;
use super::scenario::Scenario;
use crate::stress::report::svg::{Figure, Line, Panel};

/// Whose memory is drawn, and how.
const LINES: [(&str, &str); 4] = [
    ("aimd-50ms", "amber"),
    ("red-gentle", "red"),
    ("ledger", "green"),
    ("default", "blue"),
];

/// The chart of the heaviest load, from the first seed of each control.
pub(super) fn draw(scenario: &Scenario, cells: &[&Cell<'_>]) -> Option<String> {
    let load = cells.iter().map(|cell| cell.job.load).fold(0.0, f64::max);
    let windows = |name: &str| {
        let cell = cells
            .iter()
            .find(|cell| cell.job.variant.name == name && cell.job.load == load)?;
        Some(&cell.runs.first()?.outcome.windows)
    };
    let memory = LINES.iter().filter_map(|(name, colour)| {
        let points = points(windows(name)?, |window| 100.0 * window.memory);
        Some(Line {
            name,
            colour,
            points,
        })
    });
    let own = windows("default")?;
    let title = format!("{} at {load:.1}x", scenario.name);
    let figure = Figure {
        title: &title,
        seconds: scenario.length().as_secs_f64(),
        instants: scenario
            .overload(load)
            .map(|(_, to)| vec![(to.as_secs_f64(), "the load falls")])
            .unwrap_or_default(),
        panels: vec![
            memory_panel(memory.collect()),
            flow_panel(own),
            level_panel(own),
        ],
    };
    Some(figure.draw())
}

fn memory_panel(lines: Vec<Line>) -> Panel {
    Panel {
        title: "memory, % of the limit; a line that ends was killed",
        lines,
        bound: Some(("limit", 100.0)),
        ticks: [0.0, 50.0, 100.0].map(|at| (at, format!("{at:.0}"))).into(),
        max: 105.0,
    }
}

fn flow_panel(windows: &[Window]) -> Panel {
    let mib = |bytes: f64| bytes / f64::from(1 << 20) * 10.0;
    let lines = vec![
        Line {
            name: "admitted",
            colour: "green",
            points: points(windows, |window| mib(window.admitted)),
        },
        Line {
            name: "delivered",
            colour: "blue",
            points: points(windows, |window| mib(window.delivered)),
        },
    ];
    // The first burst into an empty queue is off the scale: what follows it is of interest.
    let delivered = lines[1].points.iter().map(|(_, value)| *value);
    Panel {
        title: "default: admitted and delivered, MiB/s",
        max: 3.0 * delivered.fold(1.0, f64::max),
        lines,
        bound: None,
        ticks: Vec::new(),
    }
}

fn level_panel(windows: &[Window]) -> Panel {
    Panel {
        title: "default: level",
        lines: vec![Line {
            name: "level",
            colour: "amber",
            points: points(windows, |window| f64::from(window.level as u8)),
        }],
        bound: None,
        ticks: relay_control::Level::ALL
            .map(|level| (f64::from(level as u8), level.to_string()))
            .into(),
        max: 4.2,
    }
}

fn points(windows: &[Window], value: impl Fn(&Window) -> f64) -> Vec<(f64, f64)> {
    windows
        .iter()
        .map(|window| (window.at.as_secs_f64(), value(window)))
        .collect()
}
