//! The page in a real browser: headless Chromium opens it from a file, in light and in dark, and measures what it drew.
//!
//! The page has no script. A second page that has one holds it in a frame and looks at it; what the browser itself
//! complains of (a script that the page's policy refuses, a broken style) is on its standard error. Screenshots are left
//! in `target/tmp`, to be looked at.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use relay_forensics::standard::Standard;
use relay_forensics::view::{self, Window};
use relay_forensics::{
    Event, EventKind, EventSeverity, Here, Limits, Options, Recording, Schema, Unit,
};
use serde_json::Value;

const MIB: u64 = 1 << 20;
const TICKS: u64 = 150;

/// What looks at the page: the colours it has, what is drawn, and whether anything sticks out.
const LENS: &str = r#"<!doctype html><meta charset="utf-8"><pre id="seen"></pre>
<iframe id="page" src="page.html" style="width:1000px;height:900px;border:0"></iframe>
<script>
document.getElementById('page').onload = event => {
  const page = event.target.contentDocument;
  const all = query => [...page.querySelectorAll(query)];
  const drawn = query => all(query).filter(one => {
    const box = one.getBoundingClientRect();
    return box.width > 0 && box.height > 0;
  });
  const style = getComputedStyle(page.body);
  document.getElementById('seen').textContent = JSON.stringify({
    background: style.backgroundColor,
    text: style.color,
    charts: drawn('svg').length,
    lines: drawn('polyline').length,
    areas: drawn('polygon').length,
    levels: all('line.v').length,
    bands: drawn('rect.b').length,
    marks: drawn('g.m').length,
    titles: all('g.m > title, rect.h > title, rect.b > title').length,
    hovers: drawn('rect.h').length,
    rows: all('table tr').length,
    answers: drawn('dt').length,
    scripts: all('script').length,
    wider: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    outside: all('svg').flatMap(svg => {
      const frame = svg.getBoundingClientRect();
      return [...svg.querySelectorAll('text')].filter(text => {
        const box = text.getBoundingClientRect();
        return box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1;
      }).map(text => text.textContent);
    }),
  });
};
</script>
"#;

/// Three seconds of a service that fills its limit, with a bit of everything.
fn story() -> Recording {
    let mut schema = Schema::new();
    let f = Standard::declare(&mut schema).unwrap();
    let open = schema.field::<u8>("orders.open", Unit::Count).unwrap();
    let limits = Limits {
        limit_bytes: Some(64 * MIB),
        source: "/sys/fs/cgroup/memory.max".into(),
        ..Limits::default()
    };
    let options = Options::new("shop")
        .folders([])
        .schema(schema)
        .limits(limits);
    let mut opened = options.build("1.4.0 3f2c1ab").open();
    let recorder = opened.recorder.clone();
    let queue = recorder.name("bus:external");
    let emitter = recorder.name("emitter:<script>alert(1)</script>");
    opened.snapshots.expect_in(Duration::from_millis(20));
    for n in 0..TICKS {
        let usage = (12 + n * 52 / TICKS) * MIB;
        let level = [0.70, 0.85, 0.90, 0.98].iter();
        let level = level
            .filter(|share| usage as f64 > **share * 64.0 * MIB as f64)
            .count() as u8;
        opened.snapshots.record(|s| {
            s.set(f.memory_limit, 64 * MIB);
            s.set(f.memory_usage, usage);
            s.set(f.memory_unreclaimable, usage - 2 * MIB);
            s.set(f.heap_live, usage - 6 * MIB);
            s.set(f.ledger_used, usage / 2);
            s.set(f.level, level);
            s.set(f.scale, 1.0 - f32::from(level) / 5.0);
            s.set(f.forecast, (TICKS - n) as f32 / 50.0);
            s.set(f.accepted, n * 40);
            s.set(f.published, n * 40);
            s.set(f.delivered, n * 9);
            s.set(f.refused_busy, if level > 1 { n } else { 0 });
            s.set(f.psi_memory_some, n * n * 3);
            s.set(f.psi_memory_full, n * n);
            s.set_at(f.holder_name, 0, queue);
            s.set_at(f.holder_bytes, 0, usage / 3);
            s.set_at(f.holder_name, 1, emitter);
            s.set_at(f.holder_bytes, 1, usage / 8);
            s.set(open, n as u8);
        });
        if n % 40 == 20 {
            let event = Event::new(EventKind::Error).severity(EventSeverity::Error);
            recorder.record(&event.component(emitter).text("connection refused"));
        }
        if n == 110 {
            let event = Event::new(EventKind::Level).severity(EventSeverity::Warning);
            recorder.record(&event.values(&[0, 1, usage, 64 * MIB]));
            recorder.record(&Event::new(EventKind::Decision).label("gate: shut out low priority"));
        }
        thread::sleep(Duration::from_millis(20));
    }
    recorder.read()
}

/// A folder of the build's, so that a screenshot can be found again.
fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs Chromium on a file: standard output, and what it complained of.
fn chromium(file: &Path, arguments: &[&str]) -> (String, Vec<String>) {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("chromium")
        .args(["--headless=new", "--disable-gpu", "--hide-scrollbars"])
        // Root has no sandbox, and a container no shared memory to speak of.
        .args(["--no-sandbox", "--disable-dev-shm-usage"])
        .args(["--enable-logging=stderr", "--virtual-time-budget=3000"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(arguments)
        .arg(format!("file://{}", file.display()))
        .output()
        .expect(
            "Chromium opens the page: sudo apt-get install -y --no-install-recommends chromium",
        );
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let said = errors.lines().filter(|line| line.contains("CONSOLE"));
    let said = said.map(str::to_owned).collect();
    (String::from_utf8_lossy(&output.stdout).into_owned(), said)
}

/// What the lens saw of the page beside it.
fn seen(folder: &Path, scheme: &str) -> Value {
    let lens = folder.join("lens.html");
    fs::write(&lens, LENS).unwrap();
    let (dom, said) = chromium(
        &lens,
        &["--allow-file-access-from-files", "--dump-dom", scheme],
    );
    let found = dom
        .split_once("<pre id=\"seen\">")
        .and_then(|(_, rest)| rest.split_once("</pre>"));
    let (json, _) = found.unwrap_or_else(|| panic!("the lens saw nothing: {said:?} {dom}"));
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json:?} {said:?}"))
}

fn screenshot(page: &Path, name: &str, scheme: &str) -> (PathBuf, Vec<String>) {
    let picture = page.with_file_name(name);
    fs::remove_file(&picture).ok();
    let to = format!("--screenshot={}", picture.display());
    let (_, said) = chromium(page, &["--window-size=1100,3200", scheme, &to]);
    (picture, said)
}

const LIGHT: &str = "--blink-settings=preferredColorScheme=1";
const DARK: &str = "--blink-settings=preferredColorScheme=0";

#[test]
fn the_page_opens_from_a_file_draws_everything_and_complains_of_nothing() {
    let folder = folder();
    let page = folder.join("page.html");
    let html = view::html(&story(), Window::default(), Here::SameMachine);
    fs::write(&page, &html).unwrap();

    let light = seen(&folder, LIGHT);
    let least = [
        ("charts", 8),
        ("lines", 12),
        ("areas", 2),
        ("levels", 5),
        ("bands", 3),
        ("marks", 6),
        ("hovers", 400),
        ("titles", 400),
        ("rows", 6),
        ("answers", 10),
    ];
    for (what, least) in least {
        assert!(light[what].as_u64() >= Some(least), "{what}: {light}");
    }
    assert_eq!(
        (&light["scripts"], &light["wider"]),
        (&0.into(), &0.into()),
        "{light}"
    );
    assert_eq!(
        light["outside"],
        Value::Array(Vec::new()),
        "text outside of its chart"
    );
    let dark = seen(&folder, DARK);
    assert_eq!(light["background"], "rgb(255, 255, 255)");
    assert_eq!(dark["background"], "rgb(20, 23, 27)");
    assert_ne!(light["text"], dark["text"]);
    assert_eq!(light["marks"], dark["marks"]);

    for (name, scheme) in [("light.png", LIGHT), ("dark.png", DARK)] {
        let (picture, said) = screenshot(&page, name, scheme);
        assert!(said.is_empty(), "{said:?}");
        assert!(
            fs::metadata(picture).unwrap().len() > 50_000,
            "{name} is all but empty"
        );
    }
}

#[test]
fn a_script_in_the_page_would_be_refused_and_seen() {
    let folder = folder().join("script");
    fs::create_dir_all(&folder).unwrap();
    let page = folder.join("page.html");
    let none = Options::new("t").folders([]).open().recorder.read();
    let html = view::html(&none, Window::default(), Here::SameMachine);
    fs::write(
        &page,
        html.replace("</body>", "<script>document.title='ran'</script></body>"),
    )
    .unwrap();
    let (dom, said) = chromium(&page, &["--dump-dom", LIGHT]);
    assert!(!dom.contains("<title>ran"), "it ran");
    assert!(
        said.iter()
            .any(|line| line.contains("Content Security Policy")),
        "{said:?}"
    );
}
