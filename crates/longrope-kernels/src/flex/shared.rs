//! Buffers that several threads write at once, each its own part or each in its turn.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A buffer whose rows belong to different tasks.
pub(super) struct SharedRows<'a> {
    start: *mut f32,
    len: usize,
    buffer: PhantomData<&'a mut [f32]>,
}

// SAFETY: the pointer is only used through `row`, whose callers promise disjoint rows.
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

    /// The `n` elements from `at` on.
    ///
    /// # Safety
    /// While the slice lives, nobody else may use any of these elements.
    #[expect(unsafe_code, reason = "tasks write disjoint rows of one buffer")]
    #[expect(clippy::mut_from_ref, reason = "callers promise disjoint rows")]
    pub(super) unsafe fn row(&self, at: usize, n: usize) -> &mut [f32] {
        assert!(at + n <= self.len, "row inside the buffer");
        // SAFETY: inside the buffer by the assertion, which outlives `self`; exclusive by the
        // caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), n) }
    }
}

/// Sums that tasks add to in a fixed order, so that rounding does not depend on timing.
///
/// Each slot has a turn. A task adds to a slot when its turn has come, and passes it on.
pub(super) struct InTurns {
    turns: Vec<AtomicUsize>,
    failed: AtomicBool,
}

impl InTurns {
    /// One slot per element, whose first turn it is.
    pub(super) fn new(first_turns: impl IntoIterator<Item = usize>) -> Self {
        Self {
            turns: first_turns.into_iter().map(AtomicUsize::new).collect(),
            failed: AtomicBool::new(false),
        }
    }

    /// Waits for `turn` at `slot`, runs `body`, and passes the turn to the next.
    ///
    /// # Panics
    /// If another task has panicked: its turn would never pass.
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

    /// Runs tasks `0..n_tasks` on all cores, handed out in this order.
    ///
    /// A task may wait for turns of tasks before it: those have begun when it begins, each on a
    /// thread of its own, so the first unfinished one never waits.
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

/// Tells the others if it is dropped, which happens in a panic only.
struct Alarm<'a>(&'a AtomicBool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
