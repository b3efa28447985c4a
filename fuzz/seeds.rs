//! Writes sound inputs of every target to `corpus/TARGET`.

use std::path::Path;

use fs_err as fs;
// Links the functions that instrumented code calls.
use libfuzzer_sys as _;
use longrope_fuzz::Reader;

fn main() -> std::io::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for reader in Reader::ALL {
        let folder = here.join("corpus").join(reader.name());
        fs::create_dir_all(&folder)?;
        for (index, seed) in reader.seeds(&here.join("../tests/fixtures")).iter().enumerate() {
            fs::write(folder.join(format!("seed-{index}")), seed)?;
        }
    }
    Ok(())
}
