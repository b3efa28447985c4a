//! Names of models on the Hugging Face hub.

/// Whether a text looks like the name of a model on the hub, `OWNER/NAME`.
pub fn is_hub_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.chars().all(allowed)
    };
    text.split_once('/')
        .is_some_and(|(owner, name)| is_part(owner) && is_part(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_hub_are_recognised() {
        for name in ["meta-llama/Llama-2-7b-hf", "o/m.2_b"] {
            assert!(is_hub_name(name), "{name}");
        }
        for name in ["", "m", "a/b/c", "./m", "/models/m", "../m", "a b/c", "a/"] {
            assert!(!is_hub_name(name), "{name}");
        }
    }
}
