//! The experts of sparse layers, as data.

/// Experts: MLPs of which each token uses a few.
#[derive(Clone, Debug, PartialEq)]
pub struct Experts {
    /// Number of experts in a layer.
    pub n_experts: usize,
    /// Number of experts that each token uses.
    pub per_token: usize,
    /// Width inside an expert.
    pub inner: usize,
    /// How a token's scores choose and weight its experts.
    pub routing: Routing,
    /// The linear map from a token to one score per expert.
    pub router: Router,
    /// The formula of an expert, and its tensors.
    pub kind: ExpertKind,
    /// An MLP that every token uses besides.
    pub shared: Option<SharedExpert>,
    /// Which layers have experts. The others have an MLP.
    pub layers: Vec<bool>,
}

/// The linear map from a token to one score per expert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Router {
    /// Its name below a layer.
    pub name: &'static str,
    /// Whether it has a bias.
    pub bias: bool,
}

/// How the scores `s` of a token choose and weight its experts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Routing {
    /// The largest of `softmax(s)`, which are also the weights.
    Softmax {
        /// Whether the weights are divided by their sum.
        normalized: bool,
    },
    /// The largest of `s`, weighted by the softmax of the chosen ones.
    SoftmaxOfChosen,
    /// The two largest, each weighted by its share in a softmax over the scores that are near it.
    ///
    /// With `m` the score to weight, `s_i` is near if `(m - s_i) / max(|s_i|, m) <= 2 · jitter`. The first choice does not
    /// count for the second (`SparseMixer`, Liu et al., arXiv 2310.00811, as Phi-3.5-MoE evaluates it).
    SparseMixer {
        /// Half of the largest relative distance.
        jitter: f64,
    },
}

/// The formula of an expert, and its tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ExpertKind {
    /// `down(f(gate(x)) · up(x))` with the activation of the MLP and three matrices for each expert.
    Separate {
        /// The list of experts below a layer; each has its index as name.
        list: &'static str,
        /// Projection to the gate, below an expert.
        gate: &'static str,
        /// Projection to the inner width, below an expert.
        up: &'static str,
        /// Projection from the inner width, below an expert.
        down: &'static str,
    },
    /// `down((u + 1) · g · sigmoid(alpha · g))` with `g = min(gate(x), limit)` and `u = clamp(up(x), -limit, limit)`.
    ///
    /// One tensor holds the matrices of all experts, `[experts, in, out]`, and another one of the same name with `_bias`
    /// their biases, `[experts, out]`. Columns of gate and up alternate.
    Stacked {
        /// Projections to gate and up, below a layer.
        gate_up: &'static str,
        /// Projections from the inner width, below a layer.
        down: &'static str,
        /// Steepness of the sigmoid.
        alpha: f64,
        /// Limit of gate and up.
        limit: f64,
    },
}

/// An MLP that every token uses beside its experts, times `sigmoid(weight(x))`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedExpert {
    /// Width inside.
    pub inner: usize,
    /// Name of the projection to the gate, below a layer.
    pub gate: &'static str,
    /// Name of the projection to the inner width, below a layer.
    pub up: &'static str,
    /// Name of the projection from the inner width, below a layer.
    pub down: &'static str,
    /// Name of the projection to the weight, below a layer.
    pub weight: &'static str,
}
