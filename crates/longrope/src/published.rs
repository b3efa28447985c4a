//! Factors that were published, by name: the files of `configs/factors`.

use longrope_rope::{RopeArtifact, RopeSpec};

/// A published RoPE.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Published {
    /// What `--rope` calls it.
    pub(crate) name: &'static str,
    json: &'static str,
}

impl Published {
    /// The RoPE.
    pub(crate) fn spec(self) -> longrope_rope::Result<RopeSpec> {
        Ok(RopeArtifact::from_json(self.json)?.spec())
    }
}

const fn published(name: &'static str, json: &'static str) -> Published {
    Published { name, json }
}

/// All of them, sorted by name.
pub(crate) const ALL: [Published; 16] = [
    published(
        "llama2-1024k-ft256k",
        include_str!("../../../configs/factors/llama2-1024k-ft256k.json"),
    ),
    published(
        "llama2-128k",
        include_str!("../../../configs/factors/llama2-128k.json"),
    ),
    published(
        "llama2-2048k-ft128k",
        include_str!("../../../configs/factors/llama2-2048k-ft128k.json"),
    ),
    published(
        "llama2-2048k-ft256k",
        include_str!("../../../configs/factors/llama2-2048k-ft256k.json"),
    ),
    published(
        "llama2-256k",
        include_str!("../../../configs/factors/llama2-256k.json"),
    ),
    published(
        "llama2-4k-ft128k",
        include_str!("../../../configs/factors/llama2-4k-ft128k.json"),
    ),
    published(
        "llama2-4k-ft256k",
        include_str!("../../../configs/factors/llama2-4k-ft256k.json"),
    ),
    published(
        "llama2-512k-ft256k",
        include_str!("../../../configs/factors/llama2-512k-ft256k.json"),
    ),
    published(
        "llama2-8k-ft128k",
        include_str!("../../../configs/factors/llama2-8k-ft128k.json"),
    ),
    published(
        "llama2-8k-ft256k",
        include_str!("../../../configs/factors/llama2-8k-ft256k.json"),
    ),
    published(
        "llama3-8b-128k-v2",
        include_str!("../../../configs/factors/llama3-8b-128k-v2.json"),
    ),
    published(
        "mistral-128k",
        include_str!("../../../configs/factors/mistral-128k.json"),
    ),
    published(
        "mistral-2048k-ft128k",
        include_str!("../../../configs/factors/mistral-2048k-ft128k.json"),
    ),
    published(
        "mistral-2048k-ft256k",
        include_str!("../../../configs/factors/mistral-2048k-ft256k.json"),
    ),
    published(
        "mistral-256k",
        include_str!("../../../configs/factors/mistral-256k.json"),
    ),
    published(
        "phi4-mini-128k",
        include_str!("../../../configs/factors/phi4-mini-128k.json"),
    ),
];

/// Names of those that were made for a model with these frequencies and this window; whether it is that model, nobody
/// can see.
pub(crate) fn fitting(rope: &RopeSpec) -> Vec<&'static str> {
    let of_model = |spec: &RopeSpec| (spec.rotary_dim, spec.theta, spec.original_context);
    let fits = |it: &Published| {
        it.spec()
            .is_ok_and(|spec| of_model(&spec) == of_model(rope))
    };
    let found = ALL.into_iter().filter(fits);
    found.map(|it| it.name).collect()
}

/// The one with this name.
pub(crate) fn find(name: &str) -> Option<Published> {
    ALL.into_iter().find(|published| published.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tables whose product with an earlier one falls somewhere, in the source as here.
    const FALLING: [&str; 4] = [
        "mistral-128k",
        "mistral-2048k-ft128k",
        "mistral-2048k-ft256k",
        "mistral-256k",
    ];

    #[test]
    fn all_can_be_read_and_rise_where_the_source_does() {
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
    fn those_of_a_model_are_found_by_its_frequencies() {
        let llama2 = find("llama2-128k").unwrap().spec().unwrap();
        let names = fitting(&llama2);
        // Mistral's were searched with the frequencies and the window of LLaMA2.
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
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/factors");
        let files = fs_err::read_dir(folder).unwrap().count();
        assert_eq!(files, ALL.len());
        let scale = |name: &str| {
            let spec = find(name).unwrap().spec().unwrap();
            spec.attention_scale(spec.max_context())
        };
        assert!((scale("phi4-mini-128k") - 1.190_238).abs() < 1e-6);
        assert!((scale("llama2-2048k-ft256k") - 1.322_876).abs() < 1e-6);
    }
}
