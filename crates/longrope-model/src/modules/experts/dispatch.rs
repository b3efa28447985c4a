//! Which tokens go to which expert.

use burn::tensor::{Device, Int, Tensor, TensorData};

/// The choices of all tokens, sorted by expert. A choice is a token with one of its experts.
pub(super) struct Dispatch {
    /// The experts that are needed, in ascending order.
    pub(super) groups: Vec<Group>,
    /// The place of each choice in the order of the groups.
    pub(super) places: Vec<usize>,
}

/// The tokens of one expert, in ascending order.
pub(super) struct Group {
    pub(super) expert: usize,
    pub(super) tokens: Vec<usize>,
}

impl Dispatch {
    /// `experts` holds `per_token` experts of the first token, then of the second one, and so on.
    pub(super) fn new(experts: &[usize], per_token: usize, n_experts: usize) -> Self {
        let mut tokens: Vec<Vec<usize>> = vec![Vec::new(); n_experts];
        for (choice, expert) in experts.iter().enumerate() {
            tokens[*expert].push(choice / per_token);
        }
        let mut next: Vec<usize> = Vec::with_capacity(n_experts);
        let mut first = 0;
        for list in &tokens {
            next.push(first);
            first += list.len();
        }
        let place = |expert: &usize| {
            let place = next[*expert];
            next[*expert] += 1;
            place
        };
        let places = experts.iter().map(place).collect();
        let groups = tokens.into_iter().enumerate();
        let groups = groups
            .filter(|(_, tokens)| !tokens.is_empty())
            .map(|(expert, tokens)| Group { expert, tokens })
            .collect();
        Self { groups, places }
    }
}

/// Row numbers as a tensor.
pub(super) fn indices(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    #[expect(clippy::cast_possible_wrap, reason = "row numbers are far below 2^63")]
    let rows: Vec<i64> = rows.iter().map(|row| *row as i64).collect();
    let n = rows.len();
    Tensor::from_data(TensorData::new(rows, [n]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_sorted_by_expert_and_found_again() {
        // three tokens with two experts each, of four
        let experts = [3, 0, 0, 1, 3, 1];
        let dispatch = Dispatch::new(&experts, 2, 4);
        let groups: Vec<(usize, Vec<usize>)> = dispatch
            .groups
            .iter()
            .map(|group| (group.expert, group.tokens.clone()))
            .collect();
        assert_eq!(groups, [(0, vec![0, 1]), (1, vec![1, 2]), (3, vec![0, 2])]);
        let sorted: Vec<usize> = groups.iter().flat_map(|(e, t)| vec![*e; t.len()]).collect();
        let found: Vec<usize> = dispatch.places.iter().map(|place| sorted[*place]).collect();
        assert_eq!(found, experts);
    }
}
