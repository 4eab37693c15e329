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
    let free = |suffix: &&str| uses.get(suffix) == Some(&1) && !RESERVED.contains(suffix);
    let (chosen, others): (Vec<_>, Vec<_>) = full_names
        .iter()
        .map(|full_name| (*full_name, suffixes(full_name).find(free)))
        .partition(|(_, name)| name.is_some());
    let mut names = BTreeMap::new();
    for (full_name, name) in chosen {
        names.insert(full_name.to_owned(), name.unwrap_or(full_name).to_owned());
    }
    // Not even the whole name is free: it is the end of another, or reserved where there is no package.
    let mut taken = Taken::new(&names);
    for (full_name, _) in others {
        names.insert(full_name.to_owned(), taken.take(full_name.to_owned()));
    }
    names
}

/// Second names for some of these, with `Input` behind the first one, which no other has.
pub(super) fn inputs(
    names: &BTreeMap<String, String>,
    of: &BTreeSet<String>,
) -> BTreeMap<String, String> {
    let mut taken = Taken::new(names);
    let named = names
        .iter()
        .filter(|(full_name, _)| of.contains(*full_name));
    named
        .map(|(full_name, name)| (full_name.clone(), taken.take(format!("{name}Input"))))
        .collect()
}

/// Names that are not free.
struct Taken(BTreeSet<String>);

impl Taken {
    fn new(names: &BTreeMap<String, String>) -> Self {
        let reserved = RESERVED.map(str::to_owned).into_iter();
        Self(reserved.chain(names.values().cloned()).collect())
    }

    /// The name, with the least number behind it that makes it free.
    fn take(&mut self, name: String) -> String {
        let mut numbered = name.clone();
        let mut number = 1;
        while !self.0.insert(numbered.clone()) {
            number += 1;
            numbered = format!("{name}{number}");
        }
        numbered
    }
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

    #[test]
    fn names_without_a_package_are_unique_too() {
        let names = short(["Error", "Error2", "Wallet", "a.Wallet"]);
        let name = |full: &str| names.get(full).map(String::as_str);
        assert_eq!(name("Error"), Some("Error3"));
        assert_eq!(name("Error2"), Some("Error2"));
        assert_eq!(name("Wallet"), Some("Wallet"));
        assert_eq!(name("a.Wallet"), Some("a.Wallet"));
    }

    #[test]
    fn second_names_are_none_of_the_first() {
        let names = short(["v1.Wallet", "v1.WalletInput", "v1.WalletInput2", "v1.Item"]);
        let of = ["v1.Wallet", "v1.WalletInput"].map(str::to_owned);
        let inputs = inputs(&names, &of.into_iter().collect());
        assert_eq!(inputs["v1.Wallet"], "WalletInput3");
        assert_eq!(inputs["v1.WalletInput"], "WalletInputInput");
        assert_eq!(inputs.len(), 2);
    }
}
