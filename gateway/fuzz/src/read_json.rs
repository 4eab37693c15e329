//! JSON → wire: codec and oracle take the same texts as the same messages, and what was read prints and reads back.

use crate::{
    departures,
    messages::{choose, decode, oracle_read, read, same, write},
    strict,
};

/// Input: the letter of a message, then the JSON text.
pub fn check(data: &[u8]) {
    let Some((message, json)) = choose(data) else {
        return;
    };
    let shown = json.escape_ascii();
    let wire = match (read(&message, json), oracle_read(&message, json)) {
        (Err(_), Err(_)) => return,
        (Err(fault), Ok(_)) => {
            assert!(
                departures::oracle_is_looser(&fault, json),
                "only the oracle takes it; {}: {fault}: {shown}",
                fault.path
            );
            return;
        }
        (Ok(wire), Err(error)) => {
            assert!(
                departures::oracle_is_stricter(&error, &strict::tokens(json)),
                "only the codec takes it; {error}: {shown}"
            );
            wire
        }
        (Ok(wire), Ok(expected)) => {
            let found = decode(&message, &wire).expect("the codec writes sound messages");
            assert!(
                same(&found, &expected),
                "{} read as {}",
                shown,
                wire.escape_ascii()
            );
            wire
        }
    };
    let printed = write(&message, &wire)
        .unwrap_or_else(|fault| panic!("{shown} was read but is not printed: {fault}"));
    let again = read(&message, printed.as_bytes())
        .unwrap_or_else(|fault| panic!("{printed} was printed but is not read: {fault}"));
    let (first, second) = (decode(&message, &wire), decode(&message, &again));
    assert!(
        first
            .zip(second)
            .is_some_and(|(first, second)| same(&first, &second)),
        "{shown} printed as {printed}"
    );
}
