//! `pulpo openapi`: what `/openapi.json` serves, without a server.

use anyhow::Result;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::{Map, Value};

use super::console;
use crate::{
    config::Http,
    contract::{Contract, SurfaceName},
    surfaces,
};

/// The surfaces by their names.
pub(super) fn surface_parser() -> impl TypedValueParser<Value = SurfaceName> {
    let names = SurfaceName::ALL.map(SurfaceName::as_str);
    PossibleValuesParser::new(names).try_map(|given| {
        let mut all = SurfaceName::ALL.into_iter();
        all.find(|surface| surface.as_str() == given)
            .ok_or("there is no such surface")
    })
}

/// Prints the document of one surface, or of all in one object.
pub(super) fn print(surface: Option<SurfaceName>) -> Result<()> {
    let contract = Contract::load()?;
    let document = |name| {
        let surface = surfaces::compile(&contract, name, &Http::default())?;
        anyhow::Ok(surfaces::document(&contract, name, &surface))
    };
    let printed = match surface {
        Some(name) => document(name)?,
        None => {
            let mut all = Map::new();
            for name in SurfaceName::ALL {
                all.insert(name.as_str().to_owned(), document(name)?);
            }
            Value::Object(all)
        }
    };
    console::line(&format!("{printed:#}"))
}
