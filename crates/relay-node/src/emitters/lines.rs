//! Events as lines of JSON, written by a thread of their own: a disk that stalls must not stall the runtime.

use flume::{Receiver, RecvTimeoutError, Sender};
use relay_engine::{BoxFuture, EmitError, Emitted, Emitter};
use relay_event::Event;
use relay_event::codec::{Codec, Json};
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How often an idle sink gets to do what is due.
const TICK: Duration = Duration::from_millis(100);

/// Where lines go. All calls come from one thread, and may block.
pub trait LineSink: Send + 'static {
    /// What sort it is, such as `file`.
    fn kind(&self) -> &'static str;

    /// What it is called in errors, such as the path.
    fn name(&self) -> String;

    /// Opens it.
    ///
    /// # Errors
    ///
    /// When it cannot be opened; the program does not start then.
    fn open(&mut self) -> io::Result<()>;

    /// Writes whole lines, all or nothing as far as that can be had: after an error the same lines come again.
    ///
    /// # Errors
    ///
    /// When they were not written.
    fn write(&mut self, lines: &[u8]) -> io::Result<()>;

    /// Does what is due when nothing is written, such as syncing.
    ///
    /// # Errors
    ///
    /// When that failed; it is tried again.
    fn tick(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Finishes.
    ///
    /// # Errors
    ///
    /// When what was written may not be safe.
    fn close(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the writing thread is asked to do; each is answered once.
enum Job {
    Write(Vec<u8>),
    Close,
}

/// The buffer comes back for the next batch.
type Answer = (Vec<u8>, io::Result<()>);

/// An emitter that writes events as lines to a sink.
#[derive(Debug)]
pub struct LineEmitter<S> {
    sink: Option<S>,
    kind: &'static str,
    name: String,
    channel: Option<(Sender<Job>, Receiver<Answer>)>,
    /// Set aside once and used for each batch, so that writing needs no memory when memory is short.
    buffer: Mutex<Vec<u8>>,
}

impl<S: LineSink> LineEmitter<S> {
    /// Writes to `sink`; `batch_bytes` is the memory that is set aside for a batch.
    pub fn new(sink: S, batch_bytes: usize) -> Self {
        let (kind, name) = (sink.kind(), sink.name());
        let buffer = Mutex::new(Vec::with_capacity(batch_bytes));
        Self {
            sink: Some(sink),
            kind,
            name,
            channel: None,
            buffer,
        }
    }

    fn failed(&self, what: &str, error: io::Error) -> EmitError {
        EmitError::retry(format!("cannot {what} {}", self.name)).source(error)
    }

    async fn ask(&self, job: Job) -> io::Result<Answer> {
        let gone = || io::Error::other("the writing thread has ended");
        let (jobs, answers) = self.channel.as_ref().ok_or_else(gone)?;
        jobs.send_async(job).await.map_err(|_| gone())?;
        answers.recv_async().await.map_err(|_| gone())
    }
}

impl<S: LineSink + Sync> Emitter for LineEmitter<S> {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn start(&mut self) -> BoxFuture<'_, Result<(), EmitError>> {
        Box::pin(async {
            let Some(mut sink) = self.sink.take() else {
                return Ok(());
            };
            sink.open().map_err(|error| self.failed("open", error))?;
            let (jobs, todo) = flume::bounded(1);
            let (done, answers) = flume::bounded(1);
            thread::Builder::new()
                .name(format!("relay-{}", self.kind))
                .spawn(move || write_jobs(&mut sink, &todo, &done))
                .map_err(|error| self.failed("start a thread for", error))?;
            self.channel = Some((jobs, answers));
            Ok(())
        })
    }

    fn emit<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, Result<Emitted, EmitError>> {
        Box::pin(async move {
            let mut buffer =
                std::mem::take(&mut *self.buffer.lock().unwrap_or_else(PoisonError::into_inner));
            buffer.clear();
            for event in events {
                Json::new().encode(event, &mut buffer);
                buffer.push(b'\n');
            }
            let answer = self
                .ask(Job::Write(buffer))
                .await
                .map_err(|error| self.failed("write to", error))?;
            let (buffer, result) = answer;
            *self.buffer.lock().unwrap_or_else(PoisonError::into_inner) = buffer;
            result.map_err(|error| self.failed("write to", error))?;
            Ok(Emitted::All)
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), EmitError>> {
        Box::pin(async {
            let (_, result) = self
                .ask(Job::Close)
                .await
                .map_err(|error| self.failed("close", error))?;
            result.map_err(|error| self.failed("close", error))
        })
    }
}

fn write_jobs(sink: &mut impl LineSink, jobs: &Receiver<Job>, answers: &Sender<Answer>) {
    loop {
        let (answer, last) = match jobs.recv_timeout(TICK) {
            Ok(Job::Write(buffer)) => {
                let result = sink.write(&buffer);
                ((buffer, result), false)
            }
            Ok(Job::Close) => ((Vec::new(), sink.close()), true),
            Err(RecvTimeoutError::Timeout) => {
                // What fails here fails again at the next write, and is reported there.
                let _ = sink.tick();
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => {
                let _ = sink.close();
                return;
            }
        };
        if answers.send(answer).is_err() || last {
            return;
        }
    }
}
