//! Perplexity protocols, named after the programs that use them.

use std::fmt;
use std::str::FromStr;

use longrope_data::{Bos, WindowProtocol};
use serde::{Deserialize, Serialize};

use crate::loss_sums::Perplexity;

/// Default stride of the protocol of `YaRN`, tokens.
const YARN_STRIDE: usize = 256;

/// How text is divided into windows, where BOS is placed, and what is averaged.
///
/// Perplexities of different protocols cannot be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PplProtocol {
    /// The protocol of this crate: spread or sliding windows, `exp(Σ nats / Σ tokens)`.
    #[default]
    #[serde(rename = "longrope")]
    Longrope,
    /// The protocol of `YaRN`, `LongRoPE` and `EasyContext`: windows at multiples of a stride (256), BOS in front of
    /// each, `exp` of the mean of window means over all documents.
    #[serde(rename = "yarn")]
    Yarn,
    /// As `Yarn`, with only the first window of every document. Published curves show this.
    #[serde(rename = "truncate")]
    Truncate,
    /// The protocol of `llama-perplexity`: consecutive full chunks, BOS in place of the first token of each if the
    /// tokenizer adds one, the second half scored, tokens weighted equally, standard error over tokens.
    #[serde(rename = "llama.cpp")]
    LlamaCpp,
}

/// The name of a protocol is unknown.
#[derive(Debug, thiserror::Error)]
#[error("unknown protocol `{found}`, expected one of `longrope`, `yarn`, `truncate`, `llama.cpp`")]
pub struct UnknownProtocol {
    /// The name.
    pub found: String,
}

/// Settings of the protocol [`PplProtocol::Longrope`]. `Yarn` uses the stride too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSettings {
    /// Windows per document, evenly spaced.
    pub n_windows: usize,
    /// Tokens from one window to the next, for windows that overlap.
    pub stride: Option<usize>,
    /// Tokens of the windows that are spread over a document and then divided, so that all contexts score the same
    /// text. `stride` takes precedence.
    pub within: Option<usize>,
    /// Where BOS is placed.
    pub bos: Bos,
}

impl Default for WindowSettings {
    /// Eight windows per document, BOS where the tokenizer puts it.
    fn default() -> Self {
        Self {
            n_windows: 8,
            stride: None,
            within: None,
            bos: Bos::Document,
        }
    }
}

/// The windows of a protocol with all settings resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowPlan {
    /// How documents are divided into windows.
    pub windows: WindowProtocol,
    /// Tokens from one window to the next; the context if windows do not overlap.
    pub stride: usize,
    /// Where BOS is placed.
    pub bos: Bos,
}

impl WindowPlan {
    /// Tokens of the windows that are divided into those of the context, if any are.
    pub fn within(&self) -> Option<usize> {
        match self.windows {
            WindowProtocol::Divided { within, .. } => Some(within),
            _ => None,
        }
    }
}

impl PplProtocol {
    /// All protocols.
    pub const ALL: [Self; 4] = [Self::Longrope, Self::Yarn, Self::Truncate, Self::LlamaCpp];

    /// The name in configuration files and results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Longrope => "longrope",
            Self::Yarn => "yarn",
            Self::Truncate => "truncate",
            Self::LlamaCpp => "llama.cpp",
        }
    }

    /// Whether documents are tokenized with the tokenizer's special tokens. `own` is the setting for `Longrope`.
    pub fn tokenize_with_special(self, own: bool) -> bool {
        match self {
            Self::Longrope => own,
            Self::Yarn | Self::Truncate => false,
            Self::LlamaCpp => true,
        }
    }

    /// How documents are divided into windows of `context` tokens.
    ///
    /// A model without BOS (`bos_id` is `None`) is measured without. For `LlamaCpp`, give `None` as well if the
    /// tokenizer adds no BOS.
    pub fn plan(self, context: usize, settings: WindowSettings, bos_id: Option<u32>) -> WindowPlan {
        let WindowSettings {
            n_windows, stride, ..
        } = settings;
        let in_front = bos_id.map_or(Bos::None, |bos_id| Bos::Window { bos_id });
        match self {
            Self::Longrope => WindowPlan {
                windows: match (stride, settings.within) {
                    (Some(stride), _) => WindowProtocol::Sliding { stride },
                    (None, Some(within)) => WindowProtocol::Divided { n_windows, within },
                    (None, None) => WindowProtocol::Spread { n_windows },
                },
                stride: stride.unwrap_or(context),
                bos: settings.bos,
            },
            Self::Yarn => {
                let stride = stride.unwrap_or(YARN_STRIDE);
                WindowPlan {
                    windows: WindowProtocol::Strided { stride },
                    stride,
                    bos: in_front,
                }
            }
            Self::Truncate => WindowPlan {
                windows: WindowProtocol::Spread { n_windows: 1 },
                stride: context,
                bos: in_front,
            },
            Self::LlamaCpp => WindowPlan {
                windows: WindowProtocol::SecondHalves,
                stride: context,
                bos: bos_id.map_or(Bos::None, |bos_id| Bos::Replace { bos_id }),
            },
        }
    }

    /// The perplexity that the program with this protocol reports.
    pub fn ppl(self, sum: &Perplexity) -> f64 {
        match self {
            Self::Longrope | Self::LlamaCpp => sum.ppl(),
            Self::Yarn | Self::Truncate => sum.ppl_window_mean(),
        }
    }

    /// Standard error of the logarithm of [`Self::ppl`], nats.
    pub fn stderr_nats(self, sum: &Perplexity) -> Option<f64> {
        match self {
            Self::Longrope => sum.stderr_nats(),
            Self::Yarn | Self::Truncate => sum.window_mean_stderr_nats(),
            Self::LlamaCpp => sum.token_stderr_nats(),
        }
    }
}

impl fmt::Display for PplProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PplProtocol {
    type Err = UnknownProtocol;

    fn from_str(name: &str) -> Result<Self, UnknownProtocol> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.name() == name)
            .ok_or_else(|| UnknownProtocol {
                found: name.to_owned(),
            })
    }
}

#[cfg(test)]
mod tests {
    use longrope_data::{TokenDocument, plan_windows};

    use super::*;

    const BOS_ID: u32 = 1000;

    /// Token `t` has a loss of `t` nats, so that losses can be added up by hand.
    fn measure(
        protocol: PplProtocol,
        lengths: &[u32],
        context: usize,
        stride: Option<usize>,
    ) -> Perplexity {
        let documents: Vec<TokenDocument> = lengths
            .iter()
            .map(|n| TokenDocument {
                source: String::new(),
                tokens: (0..*n).collect(),
            })
            .collect();
        let settings = WindowSettings {
            stride,
            ..WindowSettings::default()
        };
        let plan = protocol.plan(context, settings, Some(BOS_ID));
        let mut sum = Perplexity::default();
        for window in plan_windows(&documents, context, plan.windows, plan.bos).unwrap() {
            let losses: Vec<f32> = window.tokens()[window.score_from..]
                .iter()
                .map(|id| f32::from(u16::try_from(*id).unwrap()))
                .collect();
            sum.add(&losses);
        }
        sum
    }

    fn close(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() < 1e-12,
            "{found} is not {expected}"
        );
    }

    #[test]
    fn yarn_is_the_mean_of_window_means() {
        // Ten tokens in windows of 4 with BOS in front, so 3 of the document, stride 2:
        // 0 1 2 | 3 4 | 5 6 | 7 8 | 9 are scored, by windows that begin at 0, 2, 4, 6, 8.
        let sum = measure(PplProtocol::Yarn, &[10], 4, Some(2));
        let means = [1.0, 3.5, 5.5, 7.5, 9.0];
        close(
            PplProtocol::Yarn.ppl(&sum).ln(),
            means.iter().sum::<f64>() / 5.0,
        );
        assert_eq!((sum.n_windows, sum.n_tokens), (5, 10));
        // Deviations -4.3, -1.8, 0.2, 2.2 and 3.7, whose squares add up to 40.3.
        let stderr = PplProtocol::Yarn.stderr_nats(&sum).unwrap();
        close(stderr, (40.3_f64 / 4.0 / 5.0).sqrt());
        // Over documents, windows are pooled: means 1, 3 (one token) and 1 again.
        let sum = measure(PplProtocol::Yarn, &[4, 3], 4, Some(2));
        close(PplProtocol::Yarn.ppl(&sum).ln(), (1.0 + 3.0 + 1.0) / 3.0);
        close(
            sum.nll_nats(),
            (0.0 + 1.0 + 2.0 + 3.0 + 0.0 + 1.0 + 2.0) / 7.0,
        );
    }

    #[test]
    fn truncate_is_the_beginning_of_each_document() {
        let sum = measure(PplProtocol::Truncate, &[10, 6, 2], 4, None);
        // 0 1 2 of two documents; the third is too short.
        assert_eq!((sum.n_windows, sum.n_tokens), (2, 6));
        close(PplProtocol::Truncate.ppl(&sum).ln(), 1.0);
    }

    #[test]
    fn llama_cpp_scores_second_halves() {
        // Chunks 0-7 and 8-15 of 18 tokens; positions 5 to 7 of each are scored.
        let sum = measure(PplProtocol::LlamaCpp, &[18], 8, None);
        let losses = [5.0, 6.0, 7.0, 13.0, 14.0, 15.0];
        let mean = losses.iter().sum::<f64>() / 6.0;
        close(PplProtocol::LlamaCpp.ppl(&sum).ln(), mean);
        let squares = losses.iter().map(|x| x * x).sum::<f64>() / 6.0;
        let stderr = PplProtocol::LlamaCpp.stderr_nats(&sum).unwrap();
        close(stderr, ((squares - mean * mean) / 5.0).sqrt());
    }

    #[test]
    fn ours_weighs_tokens_and_takes_its_own_settings() {
        let sum = measure(PplProtocol::Longrope, &[10], 4, Some(2));
        close(PplProtocol::Longrope.ppl(&sum).ln(), 5.0); // 1 to 9
        for protocol in PplProtocol::ALL {
            assert_eq!(protocol.name().parse::<PplProtocol>().unwrap(), protocol);
        }
        assert!("yarm".parse::<PplProtocol>().is_err());
    }

    #[test]
    fn a_model_without_bos_is_measured_without() {
        let plan = PplProtocol::LlamaCpp.plan(8, WindowSettings::default(), None);
        assert_eq!(plan.bos, Bos::None);
        let plan = PplProtocol::Yarn.plan(8, WindowSettings::default(), None);
        assert_eq!(plan.bos, Bos::None);
        assert_eq!(plan.stride, 256);
    }
}
