//! Numbers and facts that are hidden in long text and asked for: passkeys, needles in a haystack, and the needle texts of
//! searches.

mod association;
mod association_pairs;
mod candidates;
mod check;
mod config;
mod haystack;
mod inputs;
mod needle;
mod ordinal;
mod passkey;
mod positions;
mod question;
mod text;
mod text_config;

pub use association::Association;
pub use config::{NeedleConfig, NeedleKind};
pub use haystack::Haystack;
pub use needle::Needle;
pub use ordinal::Ordinal;
pub use passkey::{Passkey, PasskeyConfig};
pub use question::Protocol;
pub use text::{NeedleText, needle_texts};
pub use text_config::{Filler, NeedleStyle, NeedleTextConfig};
