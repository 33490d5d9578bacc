//! What a sender is told: one line for each of its own.

use relay_engine::{Refusal, RefusalReason};
use relay_event::Reason;
use std::fmt::Display;

/// The most bytes of what is wrong with a line: enough to find it, and no way to make much out of little.
const MESSAGE_MAX: usize = 200;

/// Answers that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Answers(Vec<u8>);

impl Answers {
    pub(super) fn ok(&mut self) {
        self.0.extend_from_slice(b"ok\n");
    }

    pub(super) fn refused(&mut self, refusal: Refusal) {
        match refusal.reason {
            RefusalReason::Gate(Reason::TooLarge) | RefusalReason::BodyTooLarge => {
                self.invalid(refusal.reason);
            }
            reason => {
                let wait = refusal.retry_after.unwrap_or_default();
                let seconds = (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1);
                self.line(&format!("refused {reason} {seconds}"));
            }
        }
    }

    pub(super) fn invalid(&mut self, what: impl Display) {
        // Whatever it quotes, an answer is one line.
        let text = what.to_string().replace(['\n', '\r'], " ");
        let end = text.floor_char_boundary(MESSAGE_MAX);
        self.line(&format!("invalid {}", &text[..end]));
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn line(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'\n');
    }
}
