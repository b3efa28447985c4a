//! Angles of keys that are far away, and of queries for them.

use crate::{Angles, ResolvedRope, SelfExtend};

/// Cos and sin of the positions that queries and keys have for each other when they are far apart.
///
/// Row `p` belongs to position `p`.
#[derive(Clone, Debug, PartialEq)]
pub struct FarAngles {
    /// Angles of queries.
    pub queries: Angles,
    /// Angles of keys.
    pub keys: Angles,
}

impl ResolvedRope {
    /// How far keys are seen, if their positions are grouped.
    pub fn self_extend(&self) -> Option<SelfExtend> {
        self.self_extend
    }

    /// Angles of the grouped positions of positions `0..n_positions`; `None` without SelfExtend.
    pub fn far_angles(&self, n_positions: usize) -> Option<FarAngles> {
        let grouping = self.self_extend?;
        let n_groups = n_positions.div_ceil(grouping.group);
        let repeated = |first: usize| {
            let groups = self.angles(first..first + n_groups);
            repeat_rows(&groups, grouping.group, n_positions)
        };
        Some(FarAngles {
            queries: repeated(grouping.shift()),
            keys: repeated(0),
        })
    }
}

/// Each row `times` times in a row, cut to `n_positions` rows.
fn repeat_rows(angles: &Angles, times: usize, n_positions: usize) -> Angles {
    let n_pairs = angles.n_pairs;
    let rows = |values: &[f32]| {
        let rows = values.chunks_exact(n_pairs);
        let repeated = rows.flat_map(|row| std::iter::repeat_n(row, times));
        repeated.take(n_positions).flatten().copied().collect()
    };
    Angles {
        cos: rows(&angles.cos),
        sin: rows(&angles.sin),
        n_positions,
        n_pairs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RopeScaling, RopeSpec};

    fn rope(group: usize, window: usize) -> ResolvedRope {
        let scaling = RopeScaling::SelfExtend { group, window };
        RopeSpec::new(4, 10_000.0, 16, scaling).unwrap().resolve(64)
    }

    #[test]
    fn groups_of_one_are_plain() {
        let rope = rope(1, 8);
        let far = rope.far_angles(32).unwrap();
        assert_eq!(
            (&far.queries, &far.keys),
            (&rope.angles(0..32), &far.queries)
        );
        assert!(rope.self_extend().is_some());
    }

    #[test]
    fn rows_are_the_angles_of_the_grouped_positions() {
        let rope = rope(3, 7);
        let far = rope.far_angles(10).unwrap();
        assert_eq!((far.keys.n_positions, far.keys.cos.len()), (10, 20));
        let grouping = rope.self_extend().unwrap();
        for position in 0..10 {
            let key = grouping.key_position(position);
            let query = grouping.query_position(position);
            let row = 2 * position..2 * position + 2;
            assert_eq!(far.keys.sin[row.clone()], rope.angles(key..key + 1).sin);
            assert_eq!(far.queries.cos[row], rope.angles(query..query + 1).cos);
        }
    }

    #[test]
    fn near_angles_are_plain_and_others_have_no_far_ones() {
        let plain = RopeSpec::new(4, 10_000.0, 16, RopeScaling::None {}).unwrap();
        assert_eq!(rope(3, 7).angles(0..32), plain.resolve(64).angles(0..32));
        assert!(plain.resolve(64).far_angles(8).is_none());
    }
}
