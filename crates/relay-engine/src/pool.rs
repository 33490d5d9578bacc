//! What the pulse needs to know of a pool of workers, and the one thing it can do with it.

use std::fmt;
use std::sync::{Arc, Mutex};

/// A pool whose size can be changed while it works: connections of a server, batches in flight of an emitter.
///
/// The pulse calls both methods once a tick at most. They must not wait, and must not allocate.
pub trait Pool: Send + Sync {
    /// Which pool this is, as it is called in reports and metrics.
    fn id(&self) -> &str;

    /// How it stands.
    fn reading(&self) -> PoolReading;

    /// How many workers there should be from now on. More start at once; fewer finish what they have begun.
    fn set_workers(&self, n: usize);
}

/// How a pool stands.
#[derive(Debug, Clone, Copy, Default)]
pub struct PoolReading {
    /// Workers that there should be.
    pub workers: usize,
    /// Fewest that the pulse may ask for.
    pub min: usize,
    /// Most that the pulse may ask for.
    pub max: usize,
    /// Workers that have something to do.
    pub busy: usize,
    /// Events that wait for a worker.
    pub queue: usize,
    /// Calls that failed, ever.
    pub errors: u64,
    /// Events that were done with, ever.
    pub done: u64,
}

/// The pools of an engine; the pulse skips a look while one is added.
pub(crate) type Pools = Arc<Mutex<Vec<Arc<dyn Pool>>>>;

impl fmt::Debug for dyn Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("id", &self.id())
            .field("reading", &self.reading())
            .finish()
    }
}
