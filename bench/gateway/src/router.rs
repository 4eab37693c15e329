//! How long a route lookup takes over 1,000 routes, by the number of segments.

use std::{hint::black_box, time::Instant};

use anyhow::{Result, anyhow};
use http::Method;
use pulpo_gateway::router::{Lookup, Route, RouteMethod, Router};

/// The most a lookup may take, in nanoseconds, median of the windows.
pub(crate) const LIMIT_NS: f64 = 150.0;
const ROUTES: usize = 1_000;
const DEEPEST: usize = 8;
const WINDOWS: usize = 2_001;
/// Lookups of every route in a window.
const REPEATS: usize = 4;
const SUMS: u64 = 10_000;

/// One line of the results.
pub(crate) struct Figure {
    /// How many segments the routes have; none for all of them.
    pub(crate) segments: Option<usize>,
    pub(crate) routes: usize,
    pub(crate) median_ns: f64,
    pub(crate) least_ns: f64,
    /// How many times longer the same sums took in the median window than in the least: 1 on a core that nothing else uses.
    pub(crate) slowdown: f64,
}

struct Sample {
    segments: usize,
    method: Method,
    path: String,
}

/// Times the lookups of all routes, and of those of each depth alone.
pub(crate) fn measure() -> Result<Vec<Figure>> {
    let (routes, samples) = routes();
    let router = Router::new(routes).map_err(|faults| anyhow!("{faults:?}"))?;
    let mut figures = Vec::new();
    for segments in std::iter::once(None).chain((2..=DEEPEST).map(Some)) {
        let mut chosen: Vec<&Sample> = samples
            .iter()
            .filter(|sample| segments.is_none_or(|n| sample.segments == n))
            .collect();
        shuffle(&mut chosen);
        figures.push(time(&router, segments, &chosen)?);
    }
    Ok(figures)
}

fn time(router: &Router<usize>, segments: Option<usize>, samples: &[&Sample]) -> Result<Figure> {
    // One behind the other in the order of the lookups: the path of a request was read just before it is looked up, and
    // what fetching it from elsewhere takes is no part of the lookup.
    let paths: String = samples.iter().map(|sample| &*sample.path).collect();
    let mut rest = paths.as_str();
    let asked = samples.iter().map(|sample| {
        let (path, behind) = rest.split_at(sample.path.len());
        rest = behind;
        (sample.method.clone(), path)
    });
    let asked: Vec<(Method, &str)> = asked.collect();
    let mut windows = Vec::with_capacity(WINDOWS);
    let mut sums = Vec::with_capacity(WINDOWS);
    for _ in 0..WINDOWS {
        sums.push(sum());
        let mut found = 0;
        let began = Instant::now();
        for _ in 0..REPEATS {
            for (method, path) in &asked {
                let lookup = router.lookup(black_box(method), black_box(path));
                found += usize::from(matches!(black_box(&lookup), Lookup::Match(_)));
            }
        }
        let took = began.elapsed();
        if found != REPEATS * samples.len() {
            return Err(anyhow!(
                "{found} of {} lookups matched",
                REPEATS * samples.len()
            ));
        }
        windows.push(took.as_secs_f64() * 1e9 / found as f64);
    }
    windows.sort_by(f64::total_cmp);
    sums.sort_by(f64::total_cmp);
    Ok(Figure {
        segments,
        routes: samples.len(),
        median_ns: windows[WINDOWS / 2],
        least_ns: windows[0],
        slowdown: sums[WINDOWS / 2] / sums[0],
    })
}

/// The seconds that a fixed number of sums take, of which a core does several at once. Processors that share a core with
/// others, unseen from within a virtual machine, do fewer while those work.
fn sum() -> f64 {
    let began = Instant::now();
    let mut sums = [1_u64, 2, 3, 4, 5, 6, 7, 8];
    for round in 0..SUMS {
        for sum in &mut sums {
            *sum = (*sum ^ round).wrapping_add(*sum >> 3);
        }
        black_box(&mut sums);
    }
    began.elapsed().as_secs_f64()
}

/// Resources below resources, as APIs have them: `/api/v1/orders/{order_id}/items/{item_id}/notes`. Every depth from
/// two segments to eight, every method, some with a verb.
fn routes() -> (Vec<Route<usize>>, Vec<Sample>) {
    const METHODS: [Method; 4] = [Method::GET, Method::POST, Method::PATCH, Method::DELETE];
    let mut routes = Vec::with_capacity(ROUTES);
    let mut samples = Vec::with_capacity(ROUTES);
    for index in 0..ROUTES {
        let segments = 2 + index % (DEEPEST - 1);
        let method = METHODS[index / 7 % METHODS.len()].clone();
        let family = index / 28;
        let (mut template, mut path) = ("/v1".to_owned(), "/v1".to_owned());
        for depth in 1..segments {
            if depth % 2 == 1 {
                let name = format!(
                    "/{}{family}",
                    COLLECTIONS[(family + depth) % COLLECTIONS.len()]
                );
                template.push_str(&name);
                path.push_str(&name);
            } else {
                template.push_str(&format!("/{{id{depth}}}"));
                path.push_str(&format!("/01HZX3K8Q{:04}", (index * 7 + depth) % 10_000));
            }
        }
        if index % 9 == 0 {
            template.push_str(":approve");
            path.push_str(":approve");
        }
        routes.push(Route {
            method: RouteMethod::Only(method.clone()),
            template,
            target: index,
        });
        samples.push(Sample {
            segments,
            method,
            path,
        });
    }
    (routes, samples)
}

const COLLECTIONS: [&str; 12] = [
    "orders",
    "items",
    "payments",
    "wallets",
    "policies",
    "agents",
    "projects",
    "deployments",
    "members",
    "notes",
    "connections",
    "events",
];

/// The same order every time, but none a branch predictor could learn from the routes themselves.
fn shuffle(samples: &mut [&Sample]) {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for index in (1..samples.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        samples.swap(index, (state % (index as u64 + 1)) as usize);
    }
}
