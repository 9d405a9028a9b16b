//! `[token]`, `[keys]` and `[issuers.NAME]`: whose tokens are accepted, and what is asked of them.

use std::time::Duration;

use gateless::bearer::{
    Algorithm, BearerAuth, BearerAuthBuilder, Credentials, Keys, Profile, ScopeClaim, TokenCache,
    TokenPolicy,
};
use gateless::introspection::IntrospectionPolicy;

use crate::keys;
use crate::report::Report;
use crate::section::Reader;
use crate::value::named;

/// Whether a request without a token goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Presence {
    Required,
    Optional,
}

named!(Presence, "\"required\" or \"optional\"",
    "required" => Self::Required = Self::Required,
    "optional" => Self::Optional = Self::Optional);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Text,
    List,
}

named!(Form, "\"text\" or \"list\"",
    "text" => Self::Text = Self::Text,
    "list" => Self::List = Self::List);

/// What is asked of the tokens of one issuer, however they are checked.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) issuer: String,
    audience: Vec<String>,
    single_audience: bool,
    algorithms: Vec<Algorithm>,
    leeway: Duration,
    max_lifetime: Duration,
    allowed_clients: Option<Vec<String>>,
    forbid_delegation: bool,
    scope_claim: ScopeClaim,
    client_claim: Option<String>,
    profile: Profile,
    require_low_s: bool,
    ignore_key_headers: bool,
    danger_allow_http_loopback: bool,
}

/// Sets on a policy what both kinds of them have.
macro_rules! common {
    ($terms:expr, $policy:expr) => {{
        let (terms, mut policy) = ($terms, $policy);
        for audience in terms.audience.iter().skip(1) {
            policy = policy.audience(audience.as_str());
        }
        if terms.single_audience {
            policy = policy.single_audience();
        }
        if let Some(clients) = &terms.allowed_clients {
            policy = policy.allowed_clients(clients.iter().map(String::as_str));
        }
        if terms.forbid_delegation {
            policy = policy.forbid_delegation();
        }
        if let Some(name) = &terms.client_claim {
            policy = policy.client_claim(name.as_str());
        }
        if terms.danger_allow_http_loopback {
            policy = policy.danger_allow_http_loopback();
        }
        policy
            .algorithms(terms.algorithms.iter().copied())
            .leeway(terms.leeway)
            .max_lifetime(terms.max_lifetime)
            .scope_claim(terms.scope_claim.clone())
    }};
}

impl Terms {
    fn read(reader: &mut Reader, path: &str) -> Self {
        let mut section = reader.section(path);
        let stand_in = || "https://stand-in.example".to_owned();
        let issuer = section.required("issuer", stand_in());
        let audience: Vec<String> = section.required("audience", vec![stand_in()]);
        if audience.is_empty() {
            section.fault("audience", "is empty");
        }
        let scope_claim = section.or("scope_claim", "scope".to_owned());
        let scope_claim = match section.or("scope_form", Form::Text) {
            Form::Text => ScopeClaim::text(scope_claim),
            Form::List => ScopeClaim::list(scope_claim),
        };
        Self {
            issuer,
            audience,
            single_audience: section.or("single_audience", false),
            algorithms: section.or(
                "algorithms",
                vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
            ),
            leeway: section.or("leeway", Duration::from_secs(30)),
            max_lifetime: section.or("max_lifetime", Duration::from_secs(86_400)),
            allowed_clients: section.maybe("allowed_clients"),
            forbid_delegation: section.or("forbid_delegation", false),
            scope_claim,
            client_claim: section.maybe("client_claim"),
            profile: section.or("profile", Profile::Rfc9068),
            require_low_s: section.or("require_low_s", false),
            ignore_key_headers: section.or("ignore_key_headers", false),
            danger_allow_http_loopback: section.or("danger_allow_http_loopback", false),
        }
    }

    fn audience(&self) -> &str {
        self.audience.first().map_or("", |audience| audience)
    }

    fn policy(&self) -> TokenPolicy {
        let policy = TokenPolicy::new(self.issuer.as_str(), self.audience()).profile(self.profile);
        let mut policy = common!(self, policy);
        if self.require_low_s {
            policy = policy.require_low_s();
        }
        if self.ignore_key_headers {
            policy = policy.ignore_key_headers();
        }
        policy
    }

    pub(crate) fn introspected(&self, issuer: &str) -> IntrospectionPolicy {
        common!(self, IntrospectionPolicy::new(issuer, self.audience()))
    }
}

/// Whose JWTs are accepted, and what is asked of tokens of any kind.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) presence: Presence,
    pub(crate) terms: Terms,
    pub(crate) credentials: Credentials,
    cache: Option<TokenCache>,
    issuers: Vec<Issuer>,
}

#[derive(Clone, Debug)]
struct Issuer {
    token: String,
    keys: String,
    policy: TokenPolicy,
    source: Keys,
}

impl Token {
    pub(crate) fn read(reader: &mut Reader) -> Self {
        let mut section = reader.section("token");
        let presence = section.or("authentication", Presence::Required);
        let mut credentials = Credentials::new().max_token_len(section.or("max_token_len", 8192));
        if section.or("strip_token", false) {
            credentials = credentials.strip();
        }
        let has_cache = section.or("cache", true);
        let cache = TokenCache::new()
            .max_tokens(section.or("cache_max_tokens", 100_000))
            .max_bytes(section.or("cache_max_bytes", 64 << 20));
        if !has_cache {
            section.useless(
                &["cache_max_tokens", "cache_max_bytes"],
                "is of no use without a cache",
            );
        }
        let terms = Terms::read(reader, "token");
        let names = reader.names("issuers");
        // All tokens can be asked about instead.
        let are_local =
            reader.is_there("keys") || !names.is_empty() || !reader.is_there("introspection");
        let source = keys::read(reader, "keys", are_local);
        let mut issuers = Vec::new();
        if are_local {
            issuers.push(Issuer {
                token: "token".to_owned(),
                keys: "keys".to_owned(),
                policy: terms.policy(),
                source,
            });
        }
        for name in names {
            let (token, keys) = (
                format!("issuers.{name}.token"),
                format!("issuers.{name}.keys"),
            );
            let policy = Terms::read(reader, &token).policy();
            let source = keys::read(reader, &keys, true);
            issuers.push(Issuer {
                token,
                keys,
                policy,
                source,
            });
        }
        Self {
            presence,
            terms,
            credentials,
            cache: has_cache.then_some(cache),
            issuers,
        }
    }

    /// Whether no token is checked here.
    pub(crate) const fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    pub(crate) fn check(&self, report: &mut Report) {
        let faults = report.count();
        for issuer in &self.issuers {
            let (policy, source) = (issuer.policy.clone(), issuer.source.clone());
            report.adopt(BearerAuth::builder(policy, source).build(), |name| {
                issuer.setting(name)
            });
        }
        // What is wrong with one of them is not to be told again.
        if let (true, Some(builder)) = (report.count() == faults, self.builder()) {
            report.adopt(builder.build(), setting);
        }
    }

    /// Without one, no token is checked here.
    pub(crate) fn builder(&self) -> Option<BearerAuthBuilder> {
        let mut issuers = self.issuers.iter();
        let first = issuers.next()?;
        let first = BearerAuth::builder(first.policy.clone(), first.source.clone());
        let builder = issuers.fold(first, |builder, issuer| {
            builder.issuer(issuer.policy.clone(), issuer.source.clone())
        });
        let builder = builder.credentials(self.credentials.clone());
        Some(match self.cache {
            Some(cache) => builder.token_cache(cache),
            None => builder.without_token_cache(),
        })
    }
}

impl Issuer {
    fn setting(&self, name: &str) -> String {
        keys::setting(&self.keys, name).unwrap_or_else(|| format!("{}.{name}", self.token))
    }
}

pub(crate) fn setting(name: &str) -> String {
    match name {
        "token_cache" => "token.cache".to_owned(),
        name => format!("token.{name}"),
    }
}
