//! How far workers may run ahead of the merge, so that one slow stripe does not let the sums of all others pile up.

use std::sync::{Condvar, Mutex, MutexGuard};

/// Stripes that may be worked on: those up to `width` beyond the one that is merged next.
pub(crate) struct Window {
    width: usize,
    /// The stripe that is merged next; nothing once the pass has failed.
    next: Mutex<Option<usize>>,
    moved: Condvar,
}

impl Window {
    pub(crate) fn new(width: usize) -> Window {
        Window { width, next: Mutex::new(Some(0)), moved: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Option<usize>> {
        self.next.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Waits until stripe `index` may be worked on; false once the pass has failed.
    pub(crate) fn admits(&self, index: usize) -> bool {
        let mut next = self.lock();
        while next.is_some_and(|next| index >= next + self.width) {
            next = self.moved.wait(next).unwrap_or_else(|e| e.into_inner());
        }
        next.is_some()
    }

    /// Says which stripe is merged next.
    pub(crate) fn reached(&self, index: usize) {
        let mut next = self.lock();
        if next.is_some_and(|next| next != index) {
            *next = Some(index);
            self.moved.notify_all();
        }
    }

    /// Says that the pass has failed.
    pub(crate) fn close(&self) {
        *self.lock() = None;
        self.moved.notify_all();
    }

    /// Closes the window when its thread panics.
    pub(crate) fn alarm(&self) -> Alarm<'_> {
        Alarm(self)
    }
}

pub(crate) struct Alarm<'a>(&'a Window);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.close();
        }
    }
}
