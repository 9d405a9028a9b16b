//! `[routes]`: documents that say who gets through to what.

use std::fs;
use std::path::PathBuf;

use gateless::openapi::OpenApi;
use gateless::proto;
use gateless::scope::ScopeTable;

use crate::report::Report;
use crate::section::Reader;

/// Where the documents are.
#[derive(Clone, Debug)]
pub(crate) struct Routes {
    openapi: Option<PathBuf>,
    descriptor_set: Option<PathBuf>,
}

impl Routes {
    pub(crate) fn read(reader: &mut Reader) -> Option<Self> {
        let is_there = reader.is_there("routes");
        let mut section = reader.section("routes");
        let routes = Self {
            openapi: section.maybe("openapi"),
            descriptor_set: section.maybe("descriptor_set"),
        };
        is_there.then_some(routes)
    }

    pub(crate) fn table(&self, report: &mut Report) -> Option<ScopeTable> {
        let openapi = self.openapi.as_ref().map(|path| {
            let setting = "routes.openapi";
            let text = read(setting, path, report)?;
            let declarations = OpenApi::parse(text).and_then(|document| document.declarations());
            report.adopt(declarations, |_| setting.to_owned())
        });
        let methods = self.descriptor_set.as_ref().map(|path| {
            let setting = "routes.descriptor_set";
            let bytes = read(setting, path, report)?;
            report.adopt(proto::declarations(&bytes), |_| setting.to_owned())
        });
        if openapi.is_none() && methods.is_none() {
            report.add(
                "routes",
                "names no document: it takes openapi, descriptor_set or both",
            );
            return None;
        }
        let table = ScopeTable::builder()
            .extend(openapi.unwrap_or_else(|| Some(Vec::new()))?)
            .extend(methods.unwrap_or_else(|| Some(Vec::new()))?)
            .build();
        report.adopt(table, |_| "routes".to_owned())
    }
}

fn read(setting: &str, path: &PathBuf, report: &mut Report) -> Option<Vec<u8>> {
    let unreadable = |error| {
        report.add(
            setting,
            format_args!("{} cannot be read: {error}", path.display()),
        )
    };
    fs::read(path).map_err(unreadable).ok()
}
