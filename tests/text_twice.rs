//! Text that is given more than once.

use crate::support::Workplace;

const EVAL: &str = "eval ppl --model t --contexts 64 --windows 2 --json --text";

#[cfg(unix)]
#[test]
fn text_given_twice_counts_once_with_a_warning() {
    let here = Workplace::with_tokenizer();
    here.rust_text();
    fs_err::create_dir(here.path("books")).unwrap();
    fs_err::rename(here.path("text.txt"), here.path("books/text.txt")).unwrap();
    fs_err::os::unix::fs::symlink(here.path("books/text.txt"), here.path("link.txt")).unwrap();
    let result = |json: &str| {
        let mut json: serde_json::Value = serde_json::from_str(json).unwrap();
        json["results"][0]["elapsed_secs"] = 0.into();
        // The texts are named as they were given.
        json["source"]["texts"].take();
        json
    };
    let once = here.run(&format!("{EVAL} books/text.txt"));
    assert!(!once.stderr.contains("read once"), "{}", once.stderr);
    let once = result(&once.worked());
    for (again, named) in [
        ("books/text.txt", "`books/text.txt`"),
        (
            "./books/../books/text.txt",
            "`./books/../books/text.txt`, which is `books/text.txt`",
        ),
        ("books", "`books/text.txt`"),
        ("link.txt", "`link.txt`, which is `books/text.txt`"),
    ] {
        let twice = here.run(&format!("{EVAL} books/text.txt {again}"));
        let expected = format!("read once: {named}");
        assert!(twice.stderr.contains(&expected), "{}", twice.stderr);
        assert_eq!(result(&twice.worked()), once, "{again}");
    }
}
