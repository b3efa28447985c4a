//! The words that keys are made of.

/// First parts of keys.
pub(super) const ADJECTIVES: [&str; 40] = [
    "amber", "ancient", "bitter", "brave", "bright", "calm", "clever", "cold", "crisp", "curious",
    "distant", "eager", "empty", "faint", "fierce", "gentle", "golden", "grave", "hollow",
    "humble", "idle", "jolly", "keen", "lively", "lonely", "mellow", "narrow", "noble", "pale",
    "proud", "quiet", "rapid", "rusty", "silent", "slender", "steady", "tidy", "vivid", "warm",
    "wild",
];

/// Second parts of keys.
pub(super) const NOUNS: [&str; 60] = [
    "acorn", "anchor", "badger", "barrel", "basket", "beacon", "bridge", "candle", "canyon",
    "castle", "cedar", "cloud", "compass", "copper", "cottage", "falcon", "feather", "fiddle",
    "forest", "garden", "glacier", "hammer", "harbor", "hedge", "island", "ivory", "jacket",
    "kettle", "ladder", "lantern", "library", "marble", "meadow", "mirror", "mountain", "needle",
    "orchard", "otter", "paddle", "pebble", "pepper", "pillow", "quarry", "ribbon", "river",
    "saddle", "sailor", "shadow", "shovel", "spider", "summit", "temple", "thistle", "timber",
    "tunnel", "valley", "violin", "wagon", "willow", "window",
];
