//! How many documented routes the contract serves, by API. The numbers in `coverage.json` may only grow.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use pulpo::contract::{Contract, SurfaceName};

/// The folder of each API's document, and its surface.
const APIS: [(&str, SurfaceName); 5] = [
    ("pullpush", SurfaceName::Hub),
    ("pushpaka", SurfaceName::Deploy),
    ("puppyone", SurfaceName::Workspace),
    ("pulse", SurfaceName::Pay),
    ("integrations", SurfaceName::Integrations),
];

/// A method and a path whose parameters have no names.
type Route = (String, String);

#[test]
fn documented_routes_are_served_and_their_number_only_grows() {
    let committed: BTreeMap<String, usize> =
        serde_json::from_str(include_str!("coverage.json")).unwrap();
    let contract = Contract::load().unwrap();
    let folder = documents();
    let mut report = Vec::new();
    let mut counts = BTreeMap::new();
    for (api, surface) in APIS {
        let served = served(&contract, surface);
        let (count, text) = match &folder {
            Some(folder) => {
                let documented = documented(&folder.join(api).join("routes.tsv"));
                let answered = documented.intersection(&served).count();
                (
                    answered,
                    format!(
                        "{api}: {answered} of {} documented routes",
                        documented.len()
                    ),
                )
            }
            // Without the documents: as many routes as the contract has, which were documented when they were counted.
            None => (served.len(), format!("{api}: {} routes", served.len())),
        };
        counts.insert(api.to_owned(), count);
        report.push(text);
    }
    let report = report.join("\n");
    assert_eq!(
        counts.keys().collect::<Vec<_>>(),
        committed.keys().collect::<Vec<_>>()
    );
    for (api, least) in &committed {
        assert!(
            counts[api] >= *least,
            "{api} answers {} routes, {least} before\n{report}",
            counts[api]
        );
    }
}

/// Where the documents are; none in a plain clone.
pub(crate) fn documents() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/contract");
    let folder = std::env::var_os("PULPO_CONTRACT_DIR").map_or(beside, PathBuf::from);
    folder.is_dir().then_some(folder)
}

fn documented(file: &Path) -> BTreeSet<Route> {
    let text =
        std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.lines()
        .skip(1)
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let mut columns = line.split('\t');
            let (method, path) = (columns.next().unwrap(), columns.next().unwrap());
            (method.to_owned(), normal(path))
        })
        .collect()
}

fn served(contract: &Contract, surface: SurfaceName) -> BTreeSet<Route> {
    let rules = contract
        .methods()
        .into_iter()
        .filter(|rule| rule.surface == surface);
    rules
        .flat_map(|rule| &rule.routes)
        .map(|(method, path)| (any(method), normal(path)))
        .collect()
}

/// Documents write `ANY` where templates have the kind `*`.
fn any(method: &str) -> String {
    if method == "*" {
        "ANY".to_owned()
    } else {
        method.to_owned()
    }
}

/// `:id`, `{id}` and `{id=*}` become `{}`, `{path=**}` and a last `*` become `{**}`; a trailing slash makes no difference.
fn normal(path: &str) -> String {
    let path = path.trim_end_matches('/');
    let segments = path.split('/').map(|segment| match segment {
        "*" | "**" => "{**}",
        s if s.starts_with('{') && s.ends_with("=**}") => "{**}",
        s if s.starts_with(':') || s.starts_with('{') => "{}",
        s => s,
    });
    segments.collect::<Vec<_>>().join("/")
}

#[test]
fn routes_are_compared_without_the_names_of_their_parameters() {
    assert_eq!(
        normal("/api/v1/tenants/:tenantId/events/"),
        normal("/api/v1/tenants/{tenant_id}/events")
    );
    assert_eq!(normal("/po-desk/*"), normal("/po-desk/{path=**}"));
    assert_ne!(normal("/a/:id"), normal("/a/id"));
}
