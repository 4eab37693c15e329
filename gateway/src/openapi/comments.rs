//! The comments of the .proto files: descriptions and examples.
//!
//! They are in the descriptor set when it was compiled with source info; without it a document has none. A line that
//! starts with `Example:` gives an example, and so does `for example x` in running text, where `x` is one word.

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, prost_types::FileDescriptorProto};

/// Comments by file and place.
pub(super) struct Comments {
    by_place: HashMap<(String, Vec<i32>), Comment>,
}

/// What stands in front of a declaration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Comment {
    /// The text, without examples given in lines of their own.
    pub(super) text: String,
    /// The first example, as it is written.
    pub(super) example: Option<String>,
}

impl Comment {
    /// The first sentence, without its full stop: a title.
    pub(super) fn summary(&self) -> &str {
        let line = self.text.split("\n\n").next().unwrap_or_default();
        let end = line.find(". ").map_or(line.len(), |at| at);
        line[..end].trim_end_matches('.')
    }
}

impl Comments {
    pub(super) fn of_pool(pool: &DescriptorPool) -> Self {
        let mut by_place = HashMap::new();
        for file in pool.file_descriptor_protos() {
            let info = file.source_code_info.iter();
            for location in info.flat_map(|info| &info.location) {
                let written = [
                    location.leading_comments(),
                    "\n",
                    location.trailing_comments(),
                ];
                let comment = parse(written.concat().trim());
                if comment != Comment::default() {
                    by_place.insert((file.name().to_owned(), location.path.clone()), comment);
                }
            }
        }
        Self { by_place }
    }

    /// The comment of the declaration at a place of a file; an empty one without it.
    pub(super) fn at(&self, file: &FileDescriptorProto, path: &[i32]) -> Comment {
        let place = (file.name().to_owned(), path.to_vec());
        self.by_place.get(&place).cloned().unwrap_or_default()
    }
}

fn parse(written: &str) -> Comment {
    let mut lines = Vec::new();
    let mut example = None;
    for line in written.lines().map(str::trim) {
        if let Some(given) = line.strip_prefix("Example:") {
            example.get_or_insert_with(|| given.trim().to_owned());
        } else if !line.starts_with("buf:lint:") {
            lines.push(line);
        }
    }
    // Lines of a paragraph belong together; an empty line, and a list, keep their breaks.
    let mut text = String::new();
    for line in lines {
        let starts_anew = line.is_empty() || line.starts_with("- ") || line.starts_with("* ");
        if !text.is_empty() {
            text.push(match starts_anew || text.ends_with('\n') {
                true => '\n',
                false => ' ',
            });
        }
        text.push_str(line);
    }
    let example = example.or_else(|| running(&text));
    Comment {
        text: text.trim().to_owned(),
        example,
    }
}

/// The word after "for example".
fn running(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("for example ")?;
    let word = rest.split_whitespace().next()?;
    let word = word.trim_end_matches(['.', ',', ';', ':', ')']);
    let word = word.trim_matches(['`', '"', '\'']);
    (!word.is_empty()).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_give_text_and_example() {
        let comment = parse("The type of the\nevent, for example order.created.\n\nMore.");
        assert_eq!(
            comment.text,
            "The type of the event, for example order.created.\n\nMore."
        );
        assert_eq!(comment.example.as_deref(), Some("order.created"));
        assert_eq!(
            comment.summary(),
            "The type of the event, for example order.created"
        );

        let comment = parse("An amount. Positive.\nExample: 2500.00\nbuf:lint:ignore X");
        assert_eq!(comment.text, "An amount. Positive.");
        assert_eq!(comment.example.as_deref(), Some("2500.00"));
        assert_eq!(comment.summary(), "An amount");
        assert_eq!(parse("- one\n- two").text, "- one\n- two");
    }
}
