//! The parts of Python's behaviour that prompts depend on.

use std::collections::HashSet;

use rand_mt::Mt;

/// Python's `random.Random(seed)`: the Mersenne Twister, seeded by a list of words.
pub(super) struct Random(Mt);

impl Random {
    pub(super) fn new(seed: u32) -> Self {
        Self(Mt::new_with_key([seed]))
    }

    /// A number below `n`, which is at least 1. Draws bits until the number is below `n`.
    fn below(&mut self, n: u32) -> u32 {
        let bits = u32::BITS - n.leading_zeros();
        loop {
            let drawn = self.0.next_u32() >> (u32::BITS - bits);
            if drawn < n {
                return drawn;
            }
        }
    }

    /// The indices that `random.sample` chooses, `k` out of `n`.
    ///
    /// Python has two algorithms that draw differently, and chooses by the size of `n` compared to `k`.
    pub(super) fn sample(&mut self, n: usize, k: usize) -> Vec<usize> {
        let index = |drawn: u32| drawn as usize;
        let below = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        // The size of a Python set of k. Above it, drawing again is cheaper than copying the population.
        let mut set_size = 21;
        if k > 5 {
            let mut table = 1;
            while table < 3 * k {
                table *= 4;
            }
            set_size += table;
        }
        if n <= set_size {
            let mut pool: Vec<usize> = (0..n).collect();
            return (0..k)
                .map(|i| {
                    let drawn = index(self.below(below(n - i)));
                    let chosen = pool[drawn];
                    pool[drawn] = pool[n - i - 1];
                    chosen
                })
                .collect();
        }
        let mut seen = HashSet::new();
        let mut chosen = Vec::with_capacity(k);
        while chosen.len() < k {
            let drawn = index(self.below(below(n)));
            if seen.insert(drawn) {
                chosen.push(drawn);
            }
        }
        chosen
    }
}

/// `str.isspace` for one character.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// `str.strip`.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `str.capitalize`: the first letter in title case and all others in lower case.
pub(super) fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    let Some(first) = chars.next() else {
        return String::new();
    };
    // Of a letter that becomes several, such as ß, only the first is in upper case.
    let mut large = first.to_uppercase();
    let mut out: String = large.next().into_iter().collect();
    out.extend(large.flat_map(char::to_lowercase));
    // Lower case depends on the whole text: a sigma at the end of a word has another form.
    let lower = text.to_lowercase();
    let first_lower: usize = first.to_lowercase().map(char::len_utf8).sum();
    out.push_str(lower.get(first_lower..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_pythons() {
        // random.Random(1234), one call after the other.
        let mut random = Random::new(1234);
        assert_eq!(random.sample(40, 5), SMALL);
        assert_eq!(random.sample(1119, 25), LARGE);
        assert_eq!(random.sample(12, 11), NEARLY_ALL);
        assert_eq!(random.sample(1, 1), [0]);
        assert_eq!(random.sample(39905, 11), VERY_LARGE);
    }

    #[test]
    fn texts_are_treated_as_python_does() {
        assert_eq!(capitalize("hELLO Ωmega ΣΑΣ"), "Hello ωmega σας");
        assert_eq!(capitalize("ßa"), "Ssa");
        assert_eq!(capitalize("[title] Wash"), "[title] wash");
        assert_eq!(capitalize(""), "");
        assert_eq!(strip("\u{a0}\x1c a \n"), "a");
    }

    const SMALL: [usize; 5] = [28, 7, 0, 5, 37];
    const LARGE: [usize; 25] = [
        71, 171, 201, 726, 484, 35, 63, 32, 708, 991, 949, 304, 186, 374, 234, 29, 1030, 996, 511,
        132, 1108, 954, 140, 182, 1054,
    ];
    const NEARLY_ALL: [usize; 11] = [9, 0, 4, 8, 1, 5, 2, 3, 6, 7, 10];
    const VERY_LARGE: [usize; 11] = [
        29713, 34744, 1264, 33298, 4626, 378, 21856, 9422, 30987, 24729, 10951,
    ];
}
