//! Names of components: as short as they can be without two types sharing one.

use std::collections::{BTreeMap, BTreeSet};

/// The names this document gives away itself.
const RESERVED: [&str; 2] = [super::errors::SCHEMA, super::errors::PROBLEM];

/// The shortest run of last steps of each full name that no other has, `Wallet` for `pulpo.pay.v1.Wallet`.
pub(super) fn short<'n>(full_names: impl IntoIterator<Item = &'n str>) -> BTreeMap<String, String> {
    let full_names: BTreeSet<&str> = full_names.into_iter().collect();
    let mut uses: BTreeMap<&str, u32> = RESERVED.iter().map(|name| (*name, 1)).collect();
    for full_name in &full_names {
        for suffix in suffixes(full_name) {
            *uses.entry(suffix).or_default() += 1;
        }
    }
    let chosen = |full_name: &&str| {
        let free = |suffix: &&str| uses.get(suffix) == Some(&1) && !RESERVED.contains(suffix);
        let name = suffixes(full_name).find(free);
        (
            (*full_name).to_owned(),
            name.unwrap_or(full_name).to_owned(),
        )
    };
    full_names.iter().map(chosen).collect()
}

/// `c`, `b.c` and `a.b.c` of `a.b.c`.
fn suffixes(full_name: &str) -> impl Iterator<Item = &str> {
    let starts = full_name.match_indices('.').map(|(at, _)| at + 1);
    let starts: Vec<usize> = std::iter::once(0).chain(starts).collect();
    starts.into_iter().rev().map(|start| &full_name[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_unique() {
        let names = short(["a.v1.Wallet", "a.v1.Item", "b.v1.Item", "a.v1.Error"]);
        let name = |full: &str| names.get(full).map(String::as_str);
        assert_eq!(name("a.v1.Wallet"), Some("Wallet"));
        assert_eq!(name("a.v1.Item"), Some("a.v1.Item"));
        assert_eq!(name("b.v1.Item"), Some("b.v1.Item"));
        assert_eq!(name("a.v1.Error"), Some("v1.Error"));
    }
}
