//! How much memory a piece of work takes, by counting what it allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use rayon::{ThreadPool, ThreadPoolBuilder};

thread_local! {
    /// Makes this thread the only one of a pool: what it would have shared with others, it does.
    static ALONE: ThreadPool = ThreadPoolBuilder::new()
        .num_threads(1)
        .use_current_thread()
        .build()
        .expect("the thread is in no pool");

    /// Bytes this thread holds, and the most it has held. What another thread frees of ours is
    /// not taken off, so a sum may be too high, not too low.
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, which counts for each thread.
pub struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count(bytes: isize) {
    // A thread that ends may allocate after its counters are gone.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        MOST.with(|most| most.set(most.get().max(held.get())));
    });
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both exist while the bytes are copied.
        count(size as isize);
        count(-(layout.size() as isize));
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Does `work`, and gives the most memory that this thread held for it at any time. What rayon would
/// spread over threads, this one does alone.
pub fn peak<T>(work: impl FnOnce() -> T) -> (T, u64) {
    ALONE.with(|_| ());
    let before = HELD.get();
    MOST.set(before);
    let done = work();
    (done, (MOST.get() - before).max(0) as u64)
}
