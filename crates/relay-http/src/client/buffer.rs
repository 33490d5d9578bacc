//! Buffers that are set aside once and come back by themselves.

use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError};

/// As many buffers as there are requests in flight.
#[derive(Debug)]
pub(super) struct Buffers(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    free: Mutex<Vec<Vec<u8>>>,
    max_buffers: usize,
    buffer_bytes: usize,
}

/// A buffer in use; it comes back when it is dropped, also as the last part of what it was made into.
#[derive(Debug)]
pub(super) struct Buffer {
    /// What is in it.
    pub(super) text: Vec<u8>,
    pool: Arc<Pool>,
}

impl Buffers {
    pub(super) fn new(max_buffers: usize, buffer_bytes: usize) -> Self {
        let free = (0..max_buffers)
            .map(|_| Vec::with_capacity(buffer_bytes))
            .collect();
        Self(Arc::new(Pool {
            free: Mutex::new(free),
            max_buffers,
            buffer_bytes,
        }))
    }

    /// An empty buffer; a new one when all are in use, which happens only while an abandoned request still goes out.
    pub(super) fn take(&self) -> Buffer {
        let free = self
            .0
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let text = free.unwrap_or_else(|| Vec::with_capacity(self.0.buffer_bytes));
        Buffer {
            text,
            pool: Arc::clone(&self.0),
        }
    }
}

impl Buffer {
    /// How much is meant to be in it.
    pub(super) fn max_bytes(&self) -> usize {
        self.pool.buffer_bytes
    }

    /// What is in it, without a copy.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        text.shrink_to(self.pool.buffer_bytes);
        let mut free = self
            .pool
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if free.len() < self.pool.max_buffers {
            free.push(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_and_never_grows_for_good() {
        let buffers = Buffers::new(1, 4096);
        let mut buffer = buffers.take();
        let address = buffer.text.as_ptr();
        buffer.text.extend_from_slice(b"abc");
        let bytes = buffer.into_bytes();
        let spare = buffers.take();
        assert_ne!(spare.text.as_ptr(), address);
        assert_eq!(bytes.slice(1..), &b"bc"[..]);
        drop(bytes);
        drop(spare);
        assert_eq!(
            buffers.0.free.lock().unwrap().len(),
            1,
            "the spare one was given up"
        );
        let mut again = buffers.take();
        assert_eq!((again.text.as_ptr(), again.text.len()), (address, 0));
        again.text.resize(100_000, 0);
        drop(again);
        assert_eq!(buffers.take().text.capacity(), 4096);
    }
}
