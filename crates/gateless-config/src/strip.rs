//! `[strip]`: header fields in which a client claims an identity.

use gateless::strip::StripIdentityHeaders;

use crate::section::Reader;

pub(crate) fn read(reader: &mut Reader) -> StripIdentityHeaders {
    let mut section = reader.section("strip");
    let also: Vec<String> = section.or("also", Vec::new());
    if also.iter().any(|name| name.trim().is_empty()) {
        section.fault("also", "has an empty name");
    }
    also.iter()
        .fold(StripIdentityHeaders::default(), |strip, name| {
            strip.also(name)
        })
}
