//! The order of rows that llama.cpp expects of queries and keys.

/// Appends the rows of one head in another order: row `i` goes to row `2i`, row `i + d/2` to row `2i + 1`, for `d` rows.
///
/// A head whose dimensions `i` and `i + d/2` are rotated together becomes one whose neighbours are. Scores do not change,
/// because queries and keys change in the same way. `bytes` are `d` rows of any type; a bias is `d` rows of one number.
pub fn interleave_rows(bytes: &[u8], d: usize, out: &mut Vec<u8>) {
    let row = bytes.len() / d;
    for pair in 0..d / 2 {
        for half in [pair, pair + d / 2] {
            out.extend(&bytes[half * row..(half + 1) * row]);
        }
    }
}

/// The inverse of [`interleave_rows`].
pub fn separate_rows(bytes: &[u8], d: usize, out: &mut Vec<u8>) {
    let row = bytes.len() / d;
    for half in 0..2 {
        for pair in 0..d / 2 {
            let at = 2 * pair + half;
            out.extend(&bytes[at * row..(at + 1) * row]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_become_neighbours_and_back() {
        let rows: Vec<u8> = (0..12).collect();
        let mut out = Vec::new();
        interleave_rows(&rows, 6, &mut out);
        assert_eq!(out, [0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11]);
        let mut back = Vec::new();
        separate_rows(&out, 6, &mut back);
        assert_eq!(back, rows);
    }
}
