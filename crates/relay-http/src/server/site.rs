//! What every connection of a server shares.

use super::config::{Checked, HttpServerConfig};
use crate::cloudevents::Defaults;
use http::HeaderName;
use relay_engine::{Ingest, Workers};

/// What every connection of a server shares.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) config: HttpServerConfig,
    pub(super) ingest: Ingest,
    pub(super) workers: Workers,
    pub(super) defaults: Defaults,
    pub(super) priority_header: HeaderName,
}

impl Site {
    pub(super) fn new(checked: Checked, ingest: Ingest, workers: Workers) -> Self {
        let Checked {
            config,
            defaults,
            priority_header,
        } = checked;
        Self {
            config,
            ingest,
            workers,
            defaults,
            priority_header,
        }
    }
}
