//! As much of `google/protobuf/descriptor.proto` as is needed, with the options of gateless in their places.

use prost::Message;

/// `google.protobuf.FileDescriptorSet`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FileSet {
    #[prost(message, repeated, tag = "1")]
    file: Vec<File>,
}

/// `google.protobuf.FileDescriptorProto`.
#[derive(Clone, PartialEq, Message)]
struct File {
    #[prost(string, tag = "2")]
    package: String,
    #[prost(message, repeated, tag = "6")]
    service: Vec<Service>,
}

/// `google.protobuf.ServiceDescriptorProto`.
#[derive(Clone, PartialEq, Message)]
struct Service {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    method: Vec<Method>,
    #[prost(message, optional, tag = "3")]
    options: Option<Extended>,
}

/// `google.protobuf.MethodDescriptorProto`.
#[derive(Clone, PartialEq, Message)]
struct Method {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "4")]
    options: Option<Extended>,
}

/// `google.protobuf.MethodOptions` or `google.protobuf.ServiceOptions`: the extension has the same number in both.
#[derive(Clone, PartialEq, Message)]
struct Extended {
    /// Several, where the fields were set one by one: joined they are one message.
    #[prost(bytes = "vec", repeated, tag = "64283")]
    access: Vec<Vec<u8>>,
}

/// `gateless.Access`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Options {
    #[prost(string, repeated, tag = "1")]
    pub(super) all: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) any: Vec<String>,
    #[prost(string, optional, tag = "3")]
    pub(super) open: Option<String>,
    #[prost(bool, optional, tag = "4")]
    pub(super) authenticated: Option<bool>,
    #[prost(string, repeated, tag = "5")]
    pub(super) acr: Vec<String>,
    #[prost(uint32, optional, tag = "6")]
    pub(super) max_age: Option<u32>,
}

impl FileSet {
    /// Each method by its full name, as in a path on the wire, with the option that counts, still encoded.
    pub(super) fn methods(&self) -> impl Iterator<Item = (String, Option<Vec<u8>>)> {
        let services = self
            .file
            .iter()
            .flat_map(|file| file.service.iter().map(|service| (&file.package, service)));
        services.flat_map(|(package, service)| {
            let default = service.options.as_ref();
            service.method.iter().map(move |method| {
                let dot = if package.is_empty() { "" } else { "." };
                let name = format!("{package}{dot}{}/{}", service.name, method.name);
                let own = method.options.as_ref().and_then(Extended::access);
                (name, own.or_else(|| default.and_then(Extended::access)))
            })
        })
    }
}

impl Extended {
    fn access(&self) -> Option<Vec<u8>> {
        (!self.access.is_empty()).then(|| self.access.concat())
    }
}

impl Options {
    /// Reads all of it: a field that is not known here, of a newer `options.proto`, must not get lost.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let options = Self::decode(bytes).map_err(|error| format!("its option: {error}"))?;
        if options.encoded_len() == bytes.len() {
            Ok(options)
        } else {
            Err("its option has a field that this version of gateless does not know".into())
        }
    }
}
