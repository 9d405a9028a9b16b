"""A second authorization server for the interoperability test, made with Authlib.

TEST ONLY: it listens on 127.0.0.1, speaks plain HTTP, keeps everything in memory, and its client secrets are in this
file.

Usage: python server.py          (keep stdin open; closing it stops the server)

stdout carries exactly one line, a JSON object, once the server accepts connections. Everything else goes to stderr.
"""

import json
import os
import sys
import threading
import time

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from flask import Flask, jsonify, request
from joserfc.jwk import ECKey, KeySet, RSAKey
from werkzeug.serving import make_server

HOST = "127.0.0.1"
SCOPES = ["orders:read", "orders:write"]
TTL = 600
AUDIENCE = "https://orders.example.com"

# Client -> its secret, what its access tokens are like, and for whom. Authlib has no resource indicators (RFC 8707): what
# a token is for goes by the client.
CLIENTS = {
    "rs256-client": {"alg": "RS256"},
    "es256-client": {"alg": "ES256"},
    "other-client": {"alg": "RS256", "audience": "https://other.example.com"},
    "expired-client": {"alg": "RS256", "ttl": -120},
    # Its tokens do not say which key signed them: so Authlib signs when it is given one key instead of a set.
    "anonymous-key-client": {"alg": "RS256", "names_key": False},
    # No `alg`: opaque tokens.
    "opaque-client": {},
    "opaque-other-client": {"audience": "https://other.example.com"},
    # Asks about tokens, and gets none.
    "resource-server": {},
}


def secret_of(client_id):
    return f"test-only-not-a-secret-{client_id}"


class Client(ClientMixin):
    def __init__(self, client_id):
        self.client_id = client_id
        self.settings = CLIENTS[client_id]

    def get_client_id(self):
        return self.client_id

    def get_allowed_scope(self, scope):
        return " ".join(it for it in (scope or "").split() if it in SCOPES)

    def check_client_secret(self, client_secret):
        return client_secret == secret_of(self.client_id)

    def check_endpoint_auth_method(self, method, endpoint):
        return method in ("client_secret_basic", "client_secret_post")

    def check_grant_type(self, grant_type):
        return grant_type == "client_credentials" and self.client_id != "resource-server"

    @property
    def audience(self):
        return self.settings.get("audience", AUDIENCE)


class Token(TokenMixin):
    def __init__(self, client, scope, expires_in):
        self.client = client
        self.scope = scope
        self.issued_at = int(time.time())
        self.expires_in = expires_in
        self.revoked = False

    def check_client(self, client):
        return self.client.client_id == client.client_id

    def get_scope(self):
        return self.scope

    def get_expires_in(self):
        return self.expires_in

    def is_expired(self):
        return time.time() >= self.issued_at + self.expires_in

    def is_revoked(self):
        return self.revoked


class Keys:
    """The keys that sign, one for each algorithm, and all that are published."""

    def __init__(self):
        self.lock = threading.Lock()
        self.signing = {}
        self.published = []
        self.rotate()

    def rotate(self):
        rsa = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
        ec = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)
        with self.lock:
            self.signing = {"RS256": rsa, "ES256": ec}
            self.published = self.published + [rsa, ec]

    def withdraw_old(self):
        with self.lock:
            self.published = list(self.signing.values())

    def public(self):
        with self.lock:
            return KeySet(self.published).as_dict(private=False)


class JwtGenerator(JWTBearerTokenGenerator):
    def __init__(self, issuer, alg, names_key):
        super().__init__(issuer, alg=alg)
        self.names_key = names_key

    def get_jwks(self):
        key = keys.signing[self.alg]
        return KeySet([key]) if self.names_key else key

    def get_audiences(self, client, user, scope):
        return client.audience

    def _get_expires_in(self, client, grant_type):
        return client.settings.get("ttl", TTL)


keys = Keys()
tokens = {}
app = Flask(__name__)
# Ten days otherwise.
app.config["OAUTH2_TOKEN_EXPIRES_IN"] = {"client_credentials": TTL}
server = AuthorizationServer()


def save_token(token, oauth_request):
    client = oauth_request.client
    tokens[token["access_token"]] = Token(client, token.get("scope", ""), token["expires_in"])


def query_client(client_id):
    return Client(client_id) if client_id in CLIENTS else None


class Introspection(IntrospectionEndpoint):
    CLIENT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]

    def query_token(self, token_string, token_type_hint):
        return tokens.get(token_string)

    def check_permission(self, token, client, request):
        return client.client_id == "resource-server"

    def introspect_token(self, token):
        return {
            "active": True,
            "client_id": token.client.client_id,
            "token_type": "Bearer",
            "scope": token.get_scope(),
            "sub": token.client.client_id,
            # A list, where the server beside this one sends a text.
            "aud": [token.client.audience],
            "iss": issuer,
            "exp": token.issued_at + token.expires_in,
            "iat": token.issued_at,
            "nbf": token.issued_at,
        }


class Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]

    def query_token(self, token_string, token_type_hint):
        return tokens.get(token_string)

    def revoke_token(self, token, request):
        token.revoked = True


class ClientCredentials(ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]


@app.post("/token")
def issue_token():
    return server.create_token_response()


@app.post("/introspect")
def introspect():
    return server.create_endpoint_response("introspection")


@app.post("/revoke")
def revoke():
    return server.create_endpoint_response("revocation")


@app.get("/jwks")
def jwks():
    return jsonify(keys.public())


@app.get("/.well-known/oauth-authorization-server")
def metadata():
    return jsonify(document)


# What an operator does elsewhere.
@app.post("/test/rotate")
def rotate():
    keys.rotate()
    return "", 204


@app.post("/test/withdraw")
def withdraw():
    keys.withdraw_old()
    return "", 204


http = make_server(HOST, 0, app, threaded=True)
issuer = f"http://{HOST}:{http.server_port}"
document = AuthorizationServerMetadata(
    issuer=issuer,
    token_endpoint=f"{issuer}/token",
    jwks_uri=f"{issuer}/jwks",
    introspection_endpoint=f"{issuer}/introspect",
    revocation_endpoint=f"{issuer}/revoke",
    response_types_supported=[],
    grant_types_supported=["client_credentials"],
    token_endpoint_auth_methods_supported=["client_secret_basic", "client_secret_post"],
    introspection_endpoint_auth_methods_supported=["client_secret_basic", "client_secret_post"],
    scopes_supported=SCOPES,
)

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
server.init_app(app, query_client=query_client, save_token=save_token)
opaque = server.create_bearer_token_generator(app.config)
jwts = {
    (alg, names_key): JwtGenerator(issuer, alg, names_key)
    for alg in ("RS256", "ES256")
    for names_key in (True, False)
}


def generate(grant_type, client, user=None, scope=None, expires_in=None, include_refresh_token=False):
    """Which kind of token a client gets."""
    settings = client.settings
    generator = jwts.get((settings.get("alg"), settings.get("names_key", True)), opaque)
    # No refresh tokens: a client gets another access token at any time.
    return generator(grant_type, client, user=user, scope=scope, include_refresh_token=False)


server.register_token_generator("default", generate)
server.register_grant(ClientCredentials)
server.register_endpoint(Introspection)
server.register_endpoint(Revocation)


def until_stdin_closes():
    # The starting process holds the other end of it: when it is gone, so are we.
    sys.stdin.buffer.read()
    os._exit(0)


threading.Thread(target=until_stdin_closes, daemon=True).start()
print(
    json.dumps(
        {
            "issuer": issuer,
            "introspection_endpoint": f"{issuer}/introspect",
            "secrets": {client_id: secret_of(client_id) for client_id in CLIENTS},
        }
    ),
    flush=True,
)
http.serve_forever()
