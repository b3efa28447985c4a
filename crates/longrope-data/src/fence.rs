//! Keeps panics of other libraries, which damaged input can cause, from ending the program.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// A library panicked on the input that it was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the library that reads it stopped: {message}")]
pub struct Panicked {
    /// What the panic said, on one line.
    pub message: String,
}

/// Calls code of another library. If it panics, the message is returned instead of printed.
///
/// Put as little as possible inside: a panic of our own code is a bug and should be seen. Only panics on the calling
/// thread are caught quietly, so the code must not start threads of its own. What `call` has borrowed may be left half
/// changed by a panic and must not be used again.
///
/// ```
/// let half = longrope_data::fenced(|| "4".parse::<u32>().unwrap() / 2);
/// assert_eq!(half, Ok(2));
/// let error = longrope_data::fenced(|| "four".parse::<u32>().unwrap()).unwrap_err();
/// assert!(error.message.contains("InvalidDigit"));
/// ```
///
/// # Errors
/// If `call` panics.
pub fn fenced<T>(call: impl FnOnce() -> T) -> Result<T, Panicked> {
    silence_fenced_panics();
    let _inside = Inside::enter();
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| Panicked {
        message: message(payload.as_ref()),
    })
}

thread_local! {
    /// Number of fences that the code on this thread is inside of.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Counts one fence while it exists.
struct Inside;

impl Inside {
    fn enter() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// Installs a panic hook that prints nothing for panics inside a fence and leaves all others to the hook before it.
fn silence_fenced_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // A thread that ends has no counter any more, and is in no fence.
            if DEPTH.try_with(Cell::get).unwrap_or(0) == 0 {
                loud(info);
            } else {
                tracing::debug!("{info}");
            }
        }));
    });
}

fn message(payload: &(dyn Any + Send)) -> String {
    /// Some libraries put the whole input into the message.
    const MAX_CHARS: usize = 200;
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("it gave no reason");
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_inside_becomes_an_error_and_the_next_call_works() {
        let error = fenced(|| -> u32 { panic!("index {}\nis wrong", 7) }).unwrap_err();
        assert_eq!(error.message, "index 7 is wrong");
        assert_eq!(fenced(|| 3), Ok(3));
        assert_eq!(DEPTH.get(), 0, "no fence is left open");
    }

    #[test]
    fn fences_may_contain_each_other_and_stand_side_by_side() {
        let inner = fenced(|| {
            assert!(fenced(|| panic!("inner")).is_err());
            DEPTH.get()
        });
        assert_eq!(inner, Ok(1), "still inside the outer one");
        let threads: Vec<_> = (0..8)
            .map(|n| std::thread::spawn(move || fenced(|| assert!(n % 2 == 0, "odd {n}")).is_ok()))
            .collect();
        let worked: Vec<bool> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        assert_eq!(worked, [true, false, true, false, true, false, true, false]);
    }

    #[test]
    fn a_panic_outside_is_not_caught() {
        assert!(fenced(|| 1).is_ok());
        let thread = std::thread::Builder::new().name("loud on purpose".to_owned());
        let outside = thread.spawn(|| -> u32 { panic!("outside of any fence") });
        assert!(outside.unwrap().join().is_err());
    }
}
