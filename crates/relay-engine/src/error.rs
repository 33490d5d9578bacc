//! Why an engine did not start.

use crate::adapter::AdapterError;
use crate::emitter::EmitError;
use relay_control::InvalidConfig;
use relay_event::SubscribeError;
use relay_sense::SenseError;
use std::sync::Arc;

/// The engine did not start; nothing of it is running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A value of the control configuration is out of range.
    #[error("control configuration: {0}")]
    Control(#[from] InvalidConfig),
    /// What the kernel says could not be read.
    #[error("cannot read the memory limit and usage")]
    Sense(#[from] SenseError),
    /// The recorder cannot be set up.
    #[error("the recorder: {0}")]
    Recorder(#[from] relay_forensics::SchemaError),
    /// The descriptor that wakes the pulse cannot be had.
    #[error("the waker of the pulse: {0}; are too many files open?")]
    Waker(#[from] std::io::Error),
    /// Two adapters or two emitters have the same id.
    #[error("{kind} id {id:?} is used twice: ids must be unique")]
    DuplicateId {
        /// `adapter` or `emitter`.
        kind: &'static str,
        /// The id.
        id: Arc<str>,
    },
    /// An adapter could not start.
    #[error("adapter {id:?} cannot start")]
    Adapter {
        /// Its id.
        id: Arc<str>,
        /// Why.
        #[source]
        source: AdapterError,
    },
    /// An emitter could not start.
    #[error("emitter {id:?} cannot start")]
    Emitter {
        /// Its id.
        id: Arc<str>,
        /// Why.
        #[source]
        source: EmitError,
    },
    /// An emitter could not subscribe.
    #[error("emitter {id:?} cannot subscribe")]
    Subscribe {
        /// Its id.
        id: Arc<str>,
        /// Why.
        #[source]
        source: SubscribeError,
    },
    /// A thread could not be started.
    #[error("cannot start the thread {name:?}")]
    Thread {
        /// Its name.
        name: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
