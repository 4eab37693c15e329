//! Wire → JSON: whatever the oracle decodes, the codec prints the same, and reads back.

use prost_reflect::prost::Message;

use crate::{
    departures,
    messages::{choose, decode, oracle_write, read, same, value, write},
};

/// Input: the letter of a message, then its wire form.
pub fn check(data: &[u8]) {
    let Some((message, wire)) = choose(data) else {
        return;
    };
    let printed = write(&message, wire);
    let shown = wire.escape_ascii();
    if let Ok(text) = &printed {
        assert!(value(text).is_some(), "{text} is no JSON");
    }
    if departures::oracle_misreads_wire(&message, wire) {
        return;
    }
    let Some(decoded) = decode(&message, wire) else {
        return;
    };
    match (printed, oracle_write(&decoded)) {
        (Err(_), Err(_)) => {}
        (Err(fault), Ok(expected)) => assert!(
            departures::oracle_prints_more(&fault, &decoded, &expected),
            "only the oracle prints it; {fault}: {expected}: {shown}"
        ),
        (Ok(text), Err(error)) => assert!(
            departures::oracle_prints_less(&error, &text),
            "only the codec prints it; {error}: {text}: {shown}"
        ),
        (Ok(text), Ok(expected)) => {
            let (found, wanted) = (value(&text), value(&expected));
            assert!(
                found == wanted || departures::oracle_prints_otherwise(&text),
                "{text} instead of {expected}: {shown}"
            );
            let again = read(&message, text.as_bytes())
                .unwrap_or_else(|fault| panic!("{text} was printed but is not read: {fault}"));
            let again = decode(&message, &again).expect("the codec writes sound messages");
            let known = decode(&message, &decoded.encode_to_vec());
            assert!(
                known.is_some_and(|known| same(&known, &again))
                    || departures::oracle_prints_otherwise(&text)
                    || departures::has_other_null(&decoded),
                "{text} reads back as another message"
            );
        }
    }
}
