//! `[introspection]`: tokens that say nothing by themselves.

use std::path::PathBuf;
use std::time::Duration;

use gateless::OnOutage;
use gateless::introspection::{
    Algorithm, AnswerCache, ClientAuthentication, Endpoint, Introspection, IntrospectionBuilder,
    IntrospectionPolicy, Secret, SharedAnswers,
};

use crate::audit::secret;
use crate::redis::Redis;
use crate::report::Report;
use crate::section::Reader;
use crate::token::Token;
use crate::value::named;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Source {
    Discovery,
    Url,
}

named!(Source, "\"discovery\" or \"url\"",
    "discovery" => Self::Discovery = Self::Discovery,
    "url" => Self::Url = Self::Url);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Method {
    Basic,
    Post,
    PrivateKeyJwt,
    Bearer,
}

named!(Method, "\"basic\", \"post\", \"private_key_jwt\" or \"bearer\"",
    "basic" => Self::Basic = Self::Basic,
    "post" => Self::Post = Self::Post,
    "private_key_jwt" => Self::PrivateKeyJwt = Self::PrivateKeyJwt,
    "bearer" => Self::Bearer = Self::Bearer);

/// Who is asked about tokens, and how.
#[derive(Clone, Debug)]
pub(crate) struct Introspected {
    policy: IntrospectionPolicy,
    /// Whether it is not that of `[token]`.
    has_issuer: bool,
    endpoint: Endpoint,
    authentication: ClientAuthentication,
    recipient: Option<String>,
    prefixes: Vec<String>,
    lengths: (Option<usize>, Option<usize>),
    encrypted: bool,
    cache: Option<AnswerCache>,
    shared: Option<(PathBuf, Duration)>,
}

impl Introspected {
    pub(crate) fn read(reader: &mut Reader, token: &Token) -> Option<Self> {
        let mut section = reader.optional("introspection");
        let source = section.or("source", Source::Discovery);
        let is_url = source == Source::Url;
        let url = section.required_if(is_url, "url", "https://stand-in.example".to_owned());
        if !is_url {
            section.useless(&["url"], "is of no use without source = \"url\"");
        }
        let issuer: Option<String> = section.maybe("issuer");
        let has_issuer = issuer.is_some();
        let issuer = issuer.unwrap_or_else(|| token.terms.issuer.clone());
        let mut policy = token.terms.introspected(&issuer);
        if let Some(name) = section.maybe::<String>("subject_claim") {
            policy = policy.subject_claim(name);
        }
        if let Some(lifetime) = section.maybe("assume_lifetime") {
            policy = policy.assume_lifetime(lifetime);
        }
        if section.or("danger_accept_missing_audience", false) {
            policy = policy.danger_accept_missing_audience();
        }
        if section.or("danger_accept_untyped", false) {
            policy = policy.danger_accept_untyped();
        }
        let outage = section.required("outage", OnOutage::FailClosed);
        let mut endpoint = match source {
            Source::Discovery => Endpoint::discovery(outage),
            Source::Url => Endpoint::url(url, outage),
        };
        endpoint = endpoint
            .timeout(section.or("timeout", Duration::from_secs(2)))
            .max_concurrent(section.or("max_concurrent", 64))
            .max_waiting(section.or("max_waiting", 1024));
        for host in section.or::<Vec<String>>("allow_hosts", Vec::new()) {
            endpoint = endpoint.allow_host(host);
        }
        if section.or("allow_private_addresses", false) {
            endpoint = endpoint.allow_private_addresses();
        }
        let authority: Option<PathBuf> = section.maybe("root_certificate_file");

        let method = section.or("client_authentication", Method::Basic);
        let is_signed = method == Method::PrivateKeyJwt;
        let client_id =
            section.required_if(method != Method::Bearer, "client_id", "client".to_owned());
        let algorithm = section.required_if(is_signed, "client_algorithm", Algorithm::ES256);
        let key_id: Option<String> = section.maybe("client_key_id");
        let audience: Option<String> = section.maybe("client_assertion_audience");
        if !is_signed {
            let assertion = [
                "client_algorithm",
                "client_key_id",
                "client_assertion_audience",
            ];
            section.useless(
                &assertion,
                "is of no use without client_authentication = \"private_key_jwt\"",
            );
        }
        let client_secret = section.secret("client_secret");
        if client_secret.is_none() && section.is_on() {
            let [file, variable] = ["client_secret_file", "client_secret_env"];
            if !section.is_set(file) && !section.is_set(variable) {
                section.fault(file, "is missing: it takes the path of a file with the secret, and client_secret_env the name of a variable");
            }
        }
        let client_secret = client_secret.unwrap_or_else(|| Secret::new("stand-in"));
        let mut authentication = match method {
            Method::Basic => ClientAuthentication::basic(client_id, client_secret),
            Method::Post => ClientAuthentication::post(client_id, client_secret),
            Method::PrivateKeyJwt => {
                ClientAuthentication::private_key_jwt(client_id, client_secret, algorithm)
            }
            Method::Bearer => ClientAuthentication::bearer(client_secret),
        };
        if let Some(id) = key_id.filter(|_| is_signed) {
            authentication = authentication.key_id(id);
        }
        if let Some(audience) = audience.filter(|_| is_signed) {
            authentication = authentication.assertion_audience(audience);
        }

        let has_cache = section.or("cache", true);
        let cache = AnswerCache::new()
            .lifetime(section.or("cache_lifetime", Duration::from_secs(30)))
            .refused_lifetime(section.or("cache_refused_lifetime", Duration::from_secs(5)))
            .max_tokens(section.or("cache_max_tokens", 100_000))
            .max_bytes(section.or("cache_max_bytes", 64 << 20));
        if !has_cache {
            let settings = [
                "cache_lifetime",
                "cache_refused_lifetime",
                "cache_max_tokens",
                "cache_max_bytes",
            ];
            section.useless(&settings, "is of no use without a cache");
        }
        let is_shared = section.or("shared", false);
        let shared_secret = section.required_if(is_shared, "shared_secret_file", PathBuf::new());
        let shared_timeout = section.or("shared_timeout", Duration::from_millis(100));
        if !is_shared {
            section.useless(
                &["shared_secret_file", "shared_timeout"],
                "is of no use without shared = true",
            );
        }
        let mut this = Self {
            policy,
            has_issuer,
            endpoint,
            authentication,
            recipient: section.maybe("recipient"),
            prefixes: section.or("token_prefixes", Vec::new()),
            lengths: (
                section.maybe("min_token_len"),
                section.maybe("max_token_len"),
            ),
            encrypted: section.or("encrypted_tokens", false),
            cache: has_cache.then_some(cache),
            shared: is_shared.then_some((shared_secret, shared_timeout)),
        };
        let is_on = section.is_on();
        let setting = section.path("root_certificate_file");
        if let Some(pem) = authority.and_then(|path| secret(&setting, &path, &mut reader.report)) {
            this.endpoint = this.endpoint.root_certificate(pem.to_vec());
        }
        is_on.then_some(this)
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    pub(crate) fn check(&self, token: &Token, redis: Option<&Redis>, report: &mut Report) {
        let builder = self.builder(token, redis, report);
        report.adopt(builder.build(), |name| match name {
            "issuer" if self.has_issuer => "introspection.issuer".to_owned(),
            name => setting(name),
        });
    }

    pub(crate) fn builder(
        &self,
        token: &Token,
        redis: Option<&Redis>,
        report: &mut Report,
    ) -> IntrospectionBuilder {
        let (policy, endpoint) = (self.policy.clone(), self.endpoint.clone());
        let mut builder = Introspection::builder(policy, endpoint, self.authentication.clone())
            .credentials(token.credentials.clone());
        if let Some(recipient) = &self.recipient {
            builder = builder.recipient(recipient.as_str());
        }
        for prefix in &self.prefixes {
            builder = builder.token_prefix(prefix.as_str());
        }
        if let (least, most @ Some(_)) | (least @ Some(_), most) = self.lengths {
            builder = builder.token_lengths(least.unwrap_or(0)..=most.unwrap_or(usize::MAX));
        }
        if self.encrypted {
            builder = builder.encrypted_tokens();
        }
        builder = match self.cache {
            Some(cache) => builder.answer_cache(cache),
            None => builder.without_answer_cache(),
        };
        if let Some((path, timeout)) = &self.shared {
            let setting = "introspection.shared_secret_file";
            let key = secret(setting, path, report);
            let store = redis.and_then(|redis| redis.store(report));
            match key.zip(store) {
                Some((key, store)) => {
                    let shared = SharedAnswers::new(store, key.as_slice()).timeout(*timeout);
                    builder = builder.shared_answers(shared);
                }
                // It is not built like that: the rest is checked.
                None => report.unless_told("introspection.shared", "has no store"),
            }
        }
        builder
    }
}

pub(crate) fn setting(name: &str) -> String {
    let name = match name {
        "endpoint" => "url",
        "client_authentication" => "client_id",
        "key_id" => "client_key_id",
        "assertion_audience" => "client_assertion_audience",
        "allow_host" => "allow_hosts",
        "root_certificate" => "root_certificate_file",
        "on_outage" => "outage",
        "answer_cache" => "cache",
        "shared_answers" => "shared",
        "token_prefix" => "token_prefixes",
        "token_lengths" => "min_token_len",
        // These are asked of tokens of any kind.
        "issuer" | "audience" | "algorithms" | "leeway" | "max_lifetime" | "allowed_clients"
        | "scope_claim" | "client_claim" => return format!("token.{name}"),
        "credentials" => return "token.authentication".to_owned(),
        other => other,
    };
    format!("introspection.{name}")
}
