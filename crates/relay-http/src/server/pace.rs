//! How fast a body has to come: judged over whole windows, so that neither a burst nor a pause decides alone.

use super::config::HttpServerConfig;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Watches the pace of one body. The clock is read and the timer is armed only when the body has to be waited for.
#[derive(Debug)]
pub(super) struct Pace {
    window: Duration,
    window_bytes: u64,
    deadline: Duration,
    received_bytes: u64,
    timer: Option<Running>,
}

#[derive(Debug)]
struct Running {
    end: Instant,
    judged_bytes: u64,
    sleep: Pin<Box<Sleep>>,
}

impl Pace {
    pub(super) fn of(config: &HttpServerConfig) -> Self {
        let window = config.pace_window;
        let window_bytes = (config.min_bytes_per_second as f64 * window.as_secs_f64()) as u64;
        Self {
            window,
            window_bytes,
            deadline: config.request_timeout,
            received_bytes: 0,
            timer: None,
        }
    }

    /// So much more came.
    pub(super) fn received(&mut self, bytes: usize) {
        self.received_bytes += bytes as u64;
    }

    /// Ready when the body is too slow. To be called whenever it has to be waited for.
    pub(super) fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (window, received_bytes) = (self.window, self.received_bytes);
        let running = self.timer.get_or_insert_with(|| {
            let now = Instant::now();
            let end = now + self.deadline;
            let sleep = Box::pin(tokio::time::sleep_until(end.min(now + window)));
            Running {
                end,
                judged_bytes: received_bytes,
                sleep,
            }
        });
        loop {
            ready!(running.sleep.as_mut().poll(cx));
            let now = Instant::now();
            if now >= running.end || received_bytes - running.judged_bytes < self.window_bytes {
                return Poll::Ready(());
            }
            running.judged_bytes = received_bytes;
            running.sleep.as_mut().reset(running.end.min(now + window));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::time::timeout;

    /// How long a body of so many bytes a second lasts before it is too slow, in seconds.
    async fn lasts_s(bytes_per_second: usize) -> u64 {
        let mut pace = Pace::of(&HttpServerConfig::default());
        let started = Instant::now();
        while timeout(Duration::from_secs(1), poll_fn(|cx| pace.poll_too_slow(cx)))
            .await
            .is_err()
        {
            pace.received(bytes_per_second);
        }
        started.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn slow_bodies_end_with_the_window_and_steady_ones_with_the_deadline() {
        assert_eq!(lasts_s(0).await, 5);
        assert_eq!(lasts_s(1).await, 5);
        assert_eq!(lasts_s(1400).await, 30);
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_at_the_start_does_not_pay_for_a_later_pause() {
        let mut pace = Pace::of(&HttpServerConfig::default());
        let mut wait = async |seconds| {
            timeout(
                Duration::from_secs(seconds),
                poll_fn(|cx| pace.poll_too_slow(cx)),
            )
            .await
            .is_ok()
        };
        assert!(!wait(1).await);
        pace.received(1 << 20);
        let mut wait = async |seconds| {
            timeout(
                Duration::from_secs(seconds),
                poll_fn(|cx| pace.poll_too_slow(cx)),
            )
            .await
            .is_ok()
        };
        assert!(!wait(8).await);
        assert!(wait(2).await);
    }
}
