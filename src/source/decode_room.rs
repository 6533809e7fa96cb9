//! The memory for decoding images: only a few large ones are decoded at a time, however many threads there are.

use std::sync::{Condvar, Mutex, PoisonError};

/// The most bytes for all images that are being decoded. A single image may always be decoded, even a larger one.
const ROOM: u64 = 4 << 30;

/// Images that take fewer bytes are not counted: there are no more of them than threads.
const SMALL: u64 = 16 << 20;

/// Memory that several threads share.
#[derive(Debug)]
pub struct Room {
    taken: Mutex<u64>,
    left: Condvar,
}

impl Room {
    const fn new() -> Self {
        Self { taken: Mutex::new(0), left: Condvar::new() }
    }

    /// Waits until there is room for `bytes` bytes.
    pub fn take(&'static self, bytes: u64) -> Held {
        if bytes < SMALL {
            return Held { room: self, bytes: 0 };
        }
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |taken: &mut u64| *taken > 0 && taken.saturating_add(bytes) > ROOM;
        let mut taken = self.left.wait_while(taken, full).unwrap_or_else(PoisonError::into_inner);
        *taken = taken.saturating_add(bytes);
        Held { room: self, bytes }
    }
}

/// The memory for images.
pub static IMAGES: Room = Room::new();

/// A part of the room, which it returns when it is dropped.
///
/// A thread that holds one must not start parallel work in rayon. While it waited for that work, rayon
/// could give it another image to decode, and it would wait for room that it holds itself.
#[derive(Debug)]
pub struct Held {
    room: &'static Room,
    bytes: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes > 0 {
            *self.room.taken.lock().unwrap_or_else(PoisonError::into_inner) -= self.bytes;
            self.room.left.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    #[test]
    fn large_images_wait_for_each_other_and_small_ones_do_not() {
        static ROOM_OF_TEST: Room = Room::new();
        let (now, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let held = ROOM_OF_TEST.take(ROOM / 3);
                    most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                    drop(ROOM_OF_TEST.take(SMALL - 1));
                    std::thread::yield_now();
                    now.fetch_sub(1, SeqCst);
                    drop(held);
                });
            }
        });
        assert!(most.into_inner() <= 3);
        // An image that is larger than the room has it alone.
        drop(ROOM_OF_TEST.take(2 * ROOM));
        assert_eq!(*ROOM_OF_TEST.taken.lock().unwrap(), 0);
    }
}
