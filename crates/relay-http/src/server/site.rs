//! What every connection of a server shares.

use super::config::{Checked, HttpServerConfig};
use super::importance::Rules;
use super::sender::Key;
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
    pub(super) priority_rules: Rules,
    pub(super) fair_by: Key,
}

impl Site {
    pub(super) fn new(checked: Checked, ingest: Ingest, workers: Workers) -> Self {
        let Checked {
            config,
            defaults,
            priority_header,
            priority_rules,
            fair_by,
        } = checked;
        Self {
            config,
            ingest,
            workers,
            defaults,
            priority_header,
            priority_rules,
            fair_by,
        }
    }
}
