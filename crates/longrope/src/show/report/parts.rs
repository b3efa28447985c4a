//! Parts of a page: names in text, tables, figures.

use maud::{Markup, PreEscaped, html as markup};

use super::figures::Figure;

/// Text in which words between backticks are names.
pub(super) fn code(text: &str) -> Markup {
    markup! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// A line as a sentence.
pub(super) fn sentence(line: &str) -> String {
    let mut letters = line.chars();
    let first = letters.next().map(char::to_uppercase);
    let rest = letters.as_str();
    first.map_or_else(String::new, |first| {
        format!("{}{rest}.", first.collect::<String>())
    })
}

/// How a row of a table is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    None,
    /// The result of this run.
    Own,
    /// The first row of a block, below a line.
    First,
    /// Both.
    OwnFirst,
}

impl Mark {
    fn class(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Own => "own",
            Self::First => "first",
            Self::OwnFirst => "own first",
        }
    }
}

/// A table that is scrolled where it is too wide. Without a header, the first column has the names.
pub(super) fn table(
    header: &[&str],
    rows: impl IntoIterator<Item = (Mark, Vec<String>)>,
) -> Markup {
    markup! {
        div.scroll { table.facts[header.is_empty()] {
            @if !header.is_empty() {
                thead { tr { @for cell in header { th { (cell) } } } }
            }
            tbody {
                @for (mark, row) in rows {
                    tr class=(mark.class()) { @for cell in row { td { (cell) } } }
                }
            }
        } }
    }
}

/// A figure with its caption. Its background is that of the page.
pub(super) fn figure(figure: &Figure) -> Markup {
    let width = format!("min-width: {}px", figure.width);
    markup! {
        figure {
            div.plot { div style=(width) { (PreEscaped(&figure.svg)) } }
            figcaption { (figure.caption) }
        }
    }
}
