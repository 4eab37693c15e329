//! Free JSON, which is stepped over, against a `google.protobuf.Value`, which is read.

use std::sync::LazyLock;

use proptest::prelude::*;
use pulpo_gateway::codec::{Codec, JsonFault, Problem};
use pulpo_gateway::profile::JsonProfile;

use crate::agree::entropy;
use crate::generate::Choices;
use crate::support::{codec, read, round_with};

const FREE: &str = "pulpo.type.v1.Json";
const VALUE: &str = "google.protobuf.Value";

static STRICT: LazyLock<Codec> = LazyLock::new(|| {
    codec(JsonProfile {
        refuse_nul: true,
        max_depth: 200,
        max_values: 40,
        ..JsonProfile::default()
    })
});

const STRINGS: [&str; 14] = [
    "",
    "a",
    "fourteen bytes",
    "fifteen bytes..",
    "sixteen bytes...",
    "seventeen bytes..",
    "a text of thirty-two bytes, and \\n",
    "\\u0041\\/\\\"",
    "\\ud83d\\ude00",
    "\\ud83d",
    "\\u0000",
    "日本語",
    "\u{7f}{}[],:",
    "a longer text, which takes more than one step of sixty-four bytes after the first few of sixteen: 0123456789012345678901234567890123456789",
];
const NUMBERS: [&str; 10] = [
    "0",
    "-1",
    "1.25",
    "123456789012345",
    "1234567890123456",
    "-0.1234567890123",
    "0.12345678901234",
    "1e5",
    "-1.5E-7",
    "0.10",
];
const SPACES: [&str; 4] = ["", "", " ", "\n\t                    "];
/// What is put into a text to break it.
const BYTES: &[u8] = b"\"\\{}[]:,0 1.-eEtnf\x01u+\n";

/// A document; every name is another one, as a Value refuses one given twice.
fn document(choices: &mut Choices<'_>, depth: u32, out: &mut String) {
    let space = |choices: &mut Choices<'_>| SPACES[choices.below(SPACES.len())];
    let kind = choices.below(8);
    if kind > 2 || depth == 6 {
        match kind {
            3 => out.push_str("true"),
            4 => out.push_str("false"),
            5 => out.push_str("null"),
            6 => out.push_str(NUMBERS[choices.below(NUMBERS.len())]),
            _ => *out += &format!("\"{}\"", STRINGS[choices.below(STRINGS.len())]),
        }
        return;
    }
    let is_object = kind > 0;
    out.push(if is_object { '{' } else { '[' });
    out.push_str(space(choices));
    for index in 0..choices.below(5) {
        if index > 0 {
            out.push(',');
            out.push_str(space(choices));
        }
        if is_object {
            *out += &format!("\"{index}{}\"", STRINGS[choices.below(STRINGS.len())]);
            out.push_str(space(choices));
            out.push(':');
            out.push_str(space(choices));
        }
        document(choices, depth + 1, out);
        out.push_str(space(choices));
    }
    out.push(if is_object { '}' } else { ']' });
}

/// One or two bytes are others, more or missing, or the text is cut.
fn broken(text: &[u8], choices: &mut Choices<'_>) -> Vec<u8> {
    let mut text = text.to_vec();
    for _ in 0..=choices.below(2) {
        let (place, byte) = (
            choices.below(text.len() + 1),
            BYTES[choices.below(BYTES.len())],
        );
        match choices.below(4) {
            0 if place < text.len() => text[place] = byte,
            1 if place < text.len() => drop(text.remove(place)),
            2 => text.truncate(place),
            _ => text.insert(place, byte),
        }
    }
    text
}

fn place(result: Result<Vec<u8>, JsonFault>) -> Option<(usize, Problem)> {
    result.err().map(|fault| (fault.offset, fault.problem))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// The same texts are taken, and the others have the same fault at the same byte.
    #[test]
    fn what_is_stepped_over_is_checked_as_what_is_read(
        bytes in entropy(),
        breaks in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut text = String::new();
        document(&mut Choices::new(&bytes), 0, &mut text);
        let mut choices = Choices::new(&breaks);
        let mut texts = vec![text.clone().into_bytes()];
        texts.extend((0..40).map(|_| broken(text.as_bytes(), &mut choices)));
        for text in texts {
            let expected = place(read(&STRICT, VALUE, &text));
            // These are faults of what is read alone.
            if !matches!(expected, Some((_, Problem::DuplicateKey | Problem::Range { .. }))) {
                prop_assert_eq!(place(read(&STRICT, FREE, &text)), expected, "{}", text.escape_ascii());
            }
        }
        if read(&STRICT, FREE, &text).is_ok() {
            prop_assert_eq!(round_with(&STRICT, FREE, &text), text);
        }
    }
}
