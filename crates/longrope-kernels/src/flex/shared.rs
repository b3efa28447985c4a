//! Buffers that several threads write to at the same time: each to its own rows, or one after the other.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A buffer in which different tasks write different rows.
pub(super) struct SharedRows<'a> {
    start: *mut f32,
    len: usize,
    buffer: PhantomData<&'a mut [f32]>,
}

// SAFETY: the pointer is only used in `row`, and its callers guarantee disjoint rows.
#[expect(unsafe_code, reason = "tasks write disjoint rows of one buffer")]
unsafe impl Send for SharedRows<'_> {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "tasks write disjoint rows of one buffer")]
unsafe impl Sync for SharedRows<'_> {}

impl<'a> SharedRows<'a> {
    pub(super) fn new(buffer: &'a mut [f32]) -> Self {
        Self {
            start: buffer.as_mut_ptr(),
            len: buffer.len(),
            buffer: PhantomData,
        }
    }

    /// The `n` elements starting at `at`.
    ///
    /// # Safety
    /// While the slice is alive, no other code may access any of these elements.
    #[expect(unsafe_code, reason = "tasks write disjoint rows of one buffer")]
    #[expect(clippy::mut_from_ref, reason = "callers guarantee disjoint rows")]
    pub(super) unsafe fn row(&self, at: usize, n: usize) -> &mut [f32] {
        assert!(at + n <= self.len, "the row is inside the buffer");
        // SAFETY: the assertion keeps the row inside the buffer, which outlives `self`; the caller guarantees exclusive
        // access.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), n) }
    }
}

/// Makes tasks add to shared sums in a fixed order, so that rounding does not depend on timing.
///
/// Each slot has a turn number. A task waits until the slot reaches its turn, adds to the sum, and advances the number.
pub(super) struct InTurns {
    turns: Vec<AtomicUsize>,
    failed: AtomicBool,
}

impl InTurns {
    /// One slot per element of `first_turns`, which are their first turns.
    pub(super) fn new(first_turns: impl IntoIterator<Item = usize>) -> Self {
        Self {
            turns: first_turns.into_iter().map(AtomicUsize::new).collect(),
            failed: AtomicBool::new(false),
        }
    }

    /// Waits for `turn` at `slot`, runs `body`, and advances the slot to the next turn.
    ///
    /// # Panics
    /// If another task has panicked, because its turn would never end.
    pub(super) fn take(&self, slot: usize, turn: usize, body: impl FnOnce()) {
        let mut rounds = 0;
        while self.turns[slot].load(Ordering::Acquire) != turn {
            assert!(!self.failed.load(Ordering::Relaxed), "another task failed");
            rounds += 1;
            if rounds < 100 {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
        body();
        self.turns[slot].store(turn + 1, Ordering::Release);
    }

    /// Runs tasks `0..n_tasks` on all cores and starts them in this order.
    ///
    /// A task may wait for turns of earlier tasks. Those have already started, each on its own thread, so the first
    /// unfinished task never waits and there is no deadlock.
    pub(super) fn run<S>(
        &self,
        n_tasks: usize,
        scratch: impl Fn() -> S + Sync,
        body: impl Fn(&mut S, usize) + Sync,
    ) {
        let next = AtomicUsize::new(0);
        let work = || {
            let alarm = Alarm(&self.failed);
            let mut scratch = scratch();
            loop {
                let task = next.fetch_add(1, Ordering::Relaxed);
                if task >= n_tasks {
                    break;
                }
                body(&mut scratch, task);
            }
            std::mem::forget(alarm);
        };
        rayon::scope(|scope| {
            for _ in 0..rayon::current_num_threads().min(n_tasks) {
                scope.spawn(|_| work());
            }
        });
    }
}

/// Sets the flag when it is dropped, which only happens during a panic.
struct Alarm<'a>(&'a AtomicBool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
