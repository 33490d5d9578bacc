//! What every connection of a server shares.

use super::config::{Checked, HttpServerConfig};
use crate::cloudevents::Defaults;
use http::HeaderName;
use relay_engine::Ingest;

/// What every connection of a server shares.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) config: HttpServerConfig,
    pub(super) ingest: Ingest,
    pub(super) defaults: Defaults,
    pub(super) priority_header: HeaderName,
}

impl Site {
    pub(super) fn new(checked: Checked, ingest: Ingest) -> Self {
        let Checked {
            config,
            defaults,
            priority_header,
        } = checked;
        Self {
            config,
            ingest,
            defaults,
            priority_header,
        }
    }
}
