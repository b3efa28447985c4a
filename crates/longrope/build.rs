//! Copies the lock file of this build, which the program includes: `longrope demo` and `sources:..` read the sources of the
//! libraries in it. It lies at the top of the workspace, or in the package itself.

#![expect(
    clippy::disallowed_methods,
    reason = "this is how a build script talks to cargo"
)]

use std::path::Path;

fn main() -> std::io::Result<()> {
    // Read when it runs: a build folder may be moved, or shared by several checkouts.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let here = Path::new(&here);
    let places = [here.join("Cargo.lock"), here.join("../../Cargo.lock")];
    let out = std::env::var_os("OUT_DIR").unwrap_or_default();
    let copy = Path::new(&out).join("Cargo.lock");
    match places.iter().find(|place| place.is_file()) {
        Some(lock) => {
            println!("cargo::rerun-if-changed={}", lock.display());
            std::fs::copy(lock, copy).map(|_| ())
        }
        // Without a lock file, the demo needs --text.
        None => std::fs::write(copy, "version = 4\n"),
    }
}
