//! Published rescale factors by name: the RoPEs of the LongRoPE papers' models and of Phi-4-mini.
//!
//! ```
//! use longrope_rope::published;
//!
//! let llama2 = published::find("llama2-128k").expect("a known name").spec()?;
//! assert_eq!((llama2.n_pairs(), llama2.max_context()), (64, 131_072));
//! # Ok::<(), longrope_rope::Error>(())
//! ```
//!
//! The data are `rope.json` files in the crate's folder `factors`, compiled into the library.

use crate::artifact::RopeArtifact;
use crate::error::Result;
use crate::spec::RopeSpec;

/// A published RoPE.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// Its name, for instance `llama2-128k`.
    pub name: &'static str,
    json: &'static str,
}

impl Published {
    /// Parses the RoPE.
    ///
    /// # Errors
    /// The errors of [`RopeArtifact::from_json`]. The files of this crate are tested, so none is expected.
    pub fn spec(self) -> Result<RopeSpec> {
        Ok(RopeArtifact::from_json(self.json)?.spec())
    }
}

const fn published(name: &'static str, json: &'static str) -> Published {
    Published { name, json }
}

/// All published RoPEs, sorted by name.
pub const ALL: &[Published] = &[
    published(
        "llama2-1024k-ft256k",
        include_str!("../factors/llama2-1024k-ft256k.json"),
    ),
    published("llama2-128k", include_str!("../factors/llama2-128k.json")),
    published(
        "llama2-2048k-ft128k",
        include_str!("../factors/llama2-2048k-ft128k.json"),
    ),
    published(
        "llama2-2048k-ft256k",
        include_str!("../factors/llama2-2048k-ft256k.json"),
    ),
    published("llama2-256k", include_str!("../factors/llama2-256k.json")),
    published(
        "llama2-4k-ft128k",
        include_str!("../factors/llama2-4k-ft128k.json"),
    ),
    published(
        "llama2-4k-ft256k",
        include_str!("../factors/llama2-4k-ft256k.json"),
    ),
    published(
        "llama2-512k-ft256k",
        include_str!("../factors/llama2-512k-ft256k.json"),
    ),
    published(
        "llama2-8k-ft128k",
        include_str!("../factors/llama2-8k-ft128k.json"),
    ),
    published(
        "llama2-8k-ft256k",
        include_str!("../factors/llama2-8k-ft256k.json"),
    ),
    published(
        "llama3-8b-128k-v2",
        include_str!("../factors/llama3-8b-128k-v2.json"),
    ),
    published("mistral-128k", include_str!("../factors/mistral-128k.json")),
    published(
        "mistral-2048k-ft128k",
        include_str!("../factors/mistral-2048k-ft128k.json"),
    ),
    published(
        "mistral-2048k-ft256k",
        include_str!("../factors/mistral-2048k-ft256k.json"),
    ),
    published("mistral-256k", include_str!("../factors/mistral-256k.json")),
    published(
        "phi4-mini-128k",
        include_str!("../factors/phi4-mini-128k.json"),
    ),
];

/// Names of the published RoPEs for models with the same `rotary_dim`, `theta` and original context as `rope`.
///
/// Different models can share these numbers, so a RoPE listed here may have been made for another model.
pub fn fitting(rope: &RopeSpec) -> Vec<&'static str> {
    let of_model = |spec: &RopeSpec| (spec.rotary_dim, spec.theta, spec.original_context);
    let fits = |published: &Published| {
        published
            .spec()
            .is_ok_and(|spec| of_model(&spec) == of_model(rope))
    };
    let found = ALL.iter().filter(|published| fits(published));
    found.map(|published| published.name).collect()
}

/// The published RoPE with this name.
pub fn find(name: &str) -> Option<Published> {
    ALL.iter().copied().find(|published| published.name == name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Tables that are a product with an earlier table and decrease somewhere, in their source too.
    const FALLING: [&str; 4] = [
        "mistral-128k",
        "mistral-2048k-ft128k",
        "mistral-2048k-ft256k",
        "mistral-256k",
    ];

    #[test]
    fn all_can_be_read_and_increase_where_the_source_does() {
        for published in ALL {
            let spec = published.spec().unwrap();
            let set = spec.factor_set(usize::MAX).unwrap();
            assert_eq!(
                set.factors.as_slice().len(),
                spec.n_pairs(),
                "{}",
                published.name
            );
            let falls = set.factors.first_decrease().is_some();
            assert_eq!(
                falls,
                FALLING.contains(&published.name),
                "{}",
                published.name
            );
        }
    }

    #[test]
    fn the_published_ropes_of_a_model_are_found_by_its_frequencies() {
        let llama2 = find("llama2-128k").unwrap().spec().unwrap();
        let names = fitting(&llama2);
        // Mistral's factors were searched with the frequencies and the window of LLaMA2.
        assert_eq!(names.len(), 14, "{names:?}");
        let is_of_either =
            |name: &&str| name.starts_with("llama2-") || name.starts_with("mistral-");
        assert!(names.iter().all(is_of_either), "{names:?}");
        let other = RopeSpec {
            theta: 12_345.0,
            ..llama2
        };
        assert_eq!(fitting(&other), [""; 0]);
    }

    #[test]
    fn every_file_has_a_name_and_attention_scales_are_known_ones() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/factors");
        let files = Path::new(folder).read_dir().unwrap().count();
        assert_eq!(files, ALL.len());
        let scale = |name: &str| {
            let spec = find(name).unwrap().spec().unwrap();
            spec.attention_scale(spec.max_context())
        };
        assert!((scale("phi4-mini-128k") - 1.190_238).abs() < 1e-6);
        assert!((scale("llama2-2048k-ft256k") - 1.322_876).abs() < 1e-6);
    }
}
