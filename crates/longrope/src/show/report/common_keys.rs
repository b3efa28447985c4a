//! The settings that all runs have.

use toml::Table;

/// Keys of every run.
pub(super) const COMMON_KEYS: [&str; 9] = [
    "model",
    "rope-layers",
    "text",
    "tokens",
    "seed",
    "device",
    "precision",
    "weights",
    "data",
];

/// What the stages of a recipe share. All else is in the settings of each stage, as it was when the stage ran.
pub(super) fn shared(mut recipe: Table) -> Table {
    recipe.retain(|key, _| COMMON_KEYS.contains(&key));
    recipe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_has_only_what_its_stages_share() {
        let recipe = "model = 'm'\n[search]\ntarget = 64\n[[stage]]\nname = 'a'".parse();
        let shared = shared(recipe.unwrap());
        assert_eq!(shared.to_string(), "model = \"m\"\n");
    }
}
