//! Peak memory as a function of the number of tokens.

use serde::Serialize;

/// Number of rows that go through a layer, or its MLP in a training, at once.
const ROWS: f64 = 2048.0;

/// Peak memory in bytes of `n` tokens:
/// `fixed + n·per_token + max(min(n, rows)·per_row, n·backward) + max(n·inputs, gradients)`.
///
/// The maxima are those of a backward pass: the MLP is done before the attention, and the input of each layer is freed
/// while its gradients are added.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Memory {
    /// Bytes that do not depend on the number of tokens.
    pub fixed_bytes: f64,
    /// Bytes that each token adds.
    pub bytes_per_token: f64,
    /// Bytes that each row adds that is computed at once.
    pub bytes_per_row: f64,
    /// Rows that are computed at once.
    pub rows: f64,
    /// Bytes that each token adds for the gradients inside the attention of a layer.
    pub backward_bytes_per_token: f64,
    /// Bytes that each token adds for the inputs of layers.
    pub input_bytes_per_token: f64,
    /// Bytes of the gradients of layers.
    pub gradient_bytes: f64,
}

impl Memory {
    /// Memory of weights and other things that do not depend on the number of tokens.
    pub(super) fn fixed(bytes: f64) -> Self {
        Self {
            fixed_bytes: bytes,
            bytes_per_token: 0.0,
            bytes_per_row: 0.0,
            rows: ROWS,
            backward_bytes_per_token: 0.0,
            input_bytes_per_token: 0.0,
            gradient_bytes: 0.0,
        }
    }

    /// Memory for `n` tokens, in bytes.
    pub fn at(self, n: usize) -> f64 {
        let n = n as f64;
        self.fixed_bytes
            + n * self.bytes_per_token
            + (n.min(self.rows) * self.bytes_per_row).max(n * self.backward_bytes_per_token)
            + (n * self.input_bytes_per_token).max(self.gradient_bytes)
    }

    /// Memory by the number of tokens of one sequence if there are `batch` on each of `workers` at once.
    #[must_use]
    pub fn at_once(self, batch: usize, workers: usize) -> Self {
        let (batch, all) = (batch as f64, (batch * workers) as f64);
        Self {
            bytes_per_token: all * self.bytes_per_token,
            bytes_per_row: all * self.bytes_per_row,
            rows: self.rows / batch,
            backward_bytes_per_token: all * self.backward_bytes_per_token,
            input_bytes_per_token: all * self.input_bytes_per_token,
            ..self
        }
    }

    /// The memory of two parts of a model that share one memory and compute one after the other.
    #[must_use]
    pub fn beside(self, other: Self) -> Self {
        Self {
            fixed_bytes: self.fixed_bytes + other.fixed_bytes,
            bytes_per_token: self.bytes_per_token + other.bytes_per_token,
            bytes_per_row: self.bytes_per_row.max(other.bytes_per_row),
            rows: self.rows.max(other.rows),
            backward_bytes_per_token: self
                .backward_bytes_per_token
                .max(other.backward_bytes_per_token),
            input_bytes_per_token: self.input_bytes_per_token + other.input_bytes_per_token,
            gradient_bytes: self.gradient_bytes + other.gradient_bytes,
        }
    }

    /// The largest number of tokens that fit into `bytes`; 0 if not even an empty window fits.
    pub fn longest(self, bytes: f64) -> usize {
        /// More tokens than any memory holds.
        const MOST: usize = 1 << 48;
        let fits = |n: usize| self.at(n) <= bytes;
        if !fits(0) {
            return 0;
        }
        let (mut fitting, mut too_long) = (0, MOST);
        while too_long - fitting > 1 {
            let middle = fitting.midpoint(too_long);
            if fits(middle) {
                fitting = middle;
            } else {
                too_long = middle;
            }
        }
        fitting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Memory {
        Memory {
            bytes_per_token: 1.0,
            bytes_per_row: 10.0,
            backward_bytes_per_token: 4.0,
            input_bytes_per_token: 2.0,
            gradient_bytes: 9000.0,
            ..Memory::fixed(100.0)
        }
    }

    #[test]
    fn rows_are_limited_and_gradients_replace_inputs() {
        assert!((memory().at(10) - (100.0 + 10.0 + 100.0 + 9000.0)).abs() < 1e-9);
        assert!((memory().at(5000) - (100.0 + 5000.0 + 20_480.0 + 10_000.0)).abs() < 1e-9);
        assert!((memory().at(6000) - (100.0 + 6000.0 + 24_000.0 + 12_000.0)).abs() < 1e-9);
    }

    #[test]
    fn the_longest_window_is_the_inverse() {
        for bytes in [9200.0, 40_000.0, 1e9] {
            let longest = memory().longest(bytes);
            assert!(memory().at(longest) <= bytes && memory().at(longest + 1) > bytes);
        }
        assert_eq!(memory().longest(1.0), 0);
    }

    #[test]
    fn parts_that_share_a_memory_compute_one_after_the_other() {
        let both = memory().beside(memory());
        assert!((both.at(5000) - (200.0 + 10_000.0 + 20_480.0 + 20_000.0)).abs() < 1e-9);
    }

    #[test]
    fn several_sequences_count_as_one_of_all_their_tokens() {
        let four = memory().at_once(4, 1);
        assert!((four.at(1000) - memory().at(4000)).abs() < 1e-9);
        let two_workers = memory().at_once(1, 2);
        assert!((two_workers.at(5000) - (100.0 + 10_000.0 + 40_960.0 + 20_000.0)).abs() < 1e-9);
    }
}
