//! `[keys]`: where the keys of an issuer come from.

use std::path::PathBuf;
use std::time::Duration;

use gateless::OnOutage;
use gateless::bearer::Keys;

use crate::audit::secret;
use crate::section::Reader;
use crate::value::named;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Source {
    Discovery,
    Jwks,
    File,
}

named!(Source, "\"discovery\", \"jwks\" or \"file\"",
    "discovery" => Self::Discovery = Self::Discovery,
    "jwks" => Self::Jwks = Self::Jwks,
    "file" => Self::File = Self::File);

/// Reads the section at `path`; `is_on` says whether there has to be one.
pub(crate) fn read(reader: &mut Reader, path: &str, is_on: bool) -> Keys {
    let mut section = reader.section(path).only_if(is_on);
    let source = section.required("source", Source::Discovery);
    let is_jwks = section.is_set("source") && source == Source::Jwks;
    let is_file = section.is_set("source") && source == Source::File;
    let url = section.required_if(is_jwks, "url", "https://stand-in.example".to_owned());
    let file: Option<PathBuf> = section.maybe("path");
    if is_file && file.is_none() && !section.is_set("path") {
        section.fault("path", "is missing: it takes the path of a JWK set");
    }
    let outage = section.required_if(!is_file, "outage", OnOutage::FailClosed);
    let mut keys = match (source, file) {
        (Source::File, Some(path)) => Keys::file(path),
        (Source::Jwks, _) => Keys::jwks_url(url, outage),
        _ => Keys::discovery(outage),
    };
    keys = keys
        .lifetime(section.or("lifetime", Duration::from_secs(600)))
        .cooldown(section.or("cooldown", Duration::from_secs(30)))
        .timeout(section.or("timeout", Duration::from_secs(5)));
    for host in section.or::<Vec<String>>("allow_hosts", Vec::new()) {
        keys = keys.allow_host(host);
    }
    if section.or("allow_private_addresses", false) {
        keys = keys.allow_private_addresses();
    }
    let authority: Option<PathBuf> = section.maybe("root_certificate_file");
    if !is_jwks {
        section.useless(&["url"], "is of no use without source = \"jwks\"");
    }
    if is_file {
        let far = [
            "outage",
            "allow_hosts",
            "allow_private_addresses",
            "root_certificate_file",
        ];
        section.useless(&far, "is of no use with source = \"file\"");
    } else {
        section.useless(&["path"], "is of no use without source = \"file\"");
    }
    let setting = section.path("root_certificate_file");
    match authority.and_then(|path| secret(&setting, &path, &mut reader.report)) {
        Some(pem) => keys.root_certificate(pem.to_vec()),
        None => keys,
    }
}

/// The names that the builder has.
pub(crate) fn setting(path: &str, name: &str) -> Option<String> {
    let name = match name {
        "keys" => "path",
        "allow_host" => "allow_hosts",
        "root_certificate" => "root_certificate_file",
        "jwks_url" | "url" => "url",
        "lifetime" | "cooldown" | "timeout" => name,
        _ => return None,
    };
    Some(format!("{path}.{name}"))
}
