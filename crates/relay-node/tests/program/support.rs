//! The program as a real process in a folder of its own, and what tests ask of it.

use serde_json::Value;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Long enough for a machine that does other things as well; nothing here is measured.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running node; killed when dropped.
pub(crate) struct Node {
    pub(crate) child: Child,
    /// It works in here, and the next one may as well.
    pub(crate) dir: Arc<TempDir>,
    log: PathBuf,
}

pub(crate) fn relay(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay"));
    command.current_dir(dir).env_clear().stdin(Stdio::null());
    command
}

/// `--set` for each, after what every test needs: ports that the kernel chooses (they are in the log), a log that can
/// be read, and a recording beside no other's.
pub(crate) fn arguments(settings: &[&str]) -> Vec<String> {
    [
        "adapters.http.listen=127.0.0.1:0",
        "admin.listen=127.0.0.1:0",
        "log.format=json",
        "blackbox.dir=fdr",
    ]
    .iter()
    .chain(settings)
    .flat_map(|&setting| ["--set".to_owned(), setting.to_owned()])
    .collect()
}

pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn exchange(address: SocketAddr, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

impl Node {
    /// Runs what `command` says; its errors are the log.
    pub(crate) fn spawn(mut command: Command, dir: &Arc<TempDir>) -> Self {
        let log = (1..100)
            .map(|number| dir.path().join(format!("log.{number}")))
            .find(|path| !path.exists())
            .unwrap();
        let child = command
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self {
            child,
            dir: Arc::clone(dir),
            log,
        }
    }

    pub(crate) fn wait_ready(&self) {
        let is_ready = || self.get("/readyz").is_some_and(|it| it.contains("200 OK"));
        let start = Instant::now();
        while !is_ready() {
            let log = self.log();
            assert!(start.elapsed() < PATIENCE, "it is not ready: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn ingest(&self) -> SocketAddr {
        self.address(|fields| {
            let address = fields["address"].as_str();
            address.filter(|_| fields["message"] == "listening")
        })
        .expect("the log says where it listens")
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        self.try_admin().expect("the log says where its admin is")
    }

    fn try_admin(&self) -> Option<SocketAddr> {
        self.address(|fields| fields["message"].as_str()?.strip_prefix("admin on http://"))
    }

    fn address(&self, of: fn(&Value) -> Option<&str>) -> Option<SocketAddr> {
        self.log()
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find_map(|line| of(&line["fields"])?.parse().ok())
    }

    pub(crate) fn get(&self, path: &str) -> Option<String> {
        self.get_with(path, "")
    }

    fn get_with(&self, path: &str, headers: &str) -> Option<String> {
        exchange(
            self.try_admin()?,
            &format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n"),
        )
    }

    pub(crate) fn body(&self, path: &str, headers: &str) -> String {
        let answer = self.get_with(path, headers).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    pub(crate) fn post(&self, body: &str) -> String {
        let length = body.len();
        let head = format!(
            "POST /v1/events?topic=t HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/plain\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        exchange(self.ingest(), &(head + body)).unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// The exit code; none after a signal.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let mut code = None;
        until("it has ended", || {
            let ended = self.child.try_wait().unwrap();
            code = ended.and_then(|status| status.code());
            ended.is_some()
        });
        code
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
