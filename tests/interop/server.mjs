// A real OAuth 2.0 authorization server (npm `oidc-provider`) for the
// interoperability test. TEST ONLY: it listens on 127.0.0.1, speaks plain HTTP,
// keeps everything in memory and its client secrets are in this file.
//
// Usage: node server.mjs          (keep stdin open; closing it stops the server)
//
// stdout carries exactly one line, a JSON object, once the server accepts
// connections. Everything else goes to stderr.
//
// Environment: INTEROP_TTL (seconds, default 600), INTEROP_SHORT_TTL (default 2),
// INTEROP_LOGOUT_URI (where `web-client` is told that somebody signed out, on 127.0.0.1).

import * as crypto from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

// oidc-provider prints its notices with console.info, which is stdout. Point
// every console method at stderr before the library is loaded.
console.log = console.error;
console.info = console.error;
console.debug = console.error;
const { default: Provider, errors } = await import('oidc-provider');

const HOST = '127.0.0.1';
const CLIENTS = [
  { id: 'interop-client', secret: 'test-only-not-a-secret-interop-client' },
  { id: 'second-client', secret: 'test-only-not-a-secret-second-client' },
];
// The resource servers, one for each way to authenticate when they introspect. They
// get no tokens themselves. `introspection_endpoint` takes the same method as the
// token endpoint: oidc-provider has one setting for both.
const jwtClientKey = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
const POST_CLIENT = { id: 'post-client', secret: 'test-only-not-a-secret-post-client' };
const JWT_CLIENT = { id: 'jwt-client', kid: 'jwt-client-key' };
// For HTTP Basic, most of this secret has to be form-encoded (RFC 6749 section 2.3.1).
const SIGNED_CLIENT = { id: 'signed-client', secret: 'test-only: not&a=secret +%/' };
const RESOURCE_SERVERS = [
  {
    client_id: POST_CLIENT.id,
    client_secret: POST_CLIENT.secret,
    token_endpoint_auth_method: 'client_secret_post',
  },
  {
    client_id: JWT_CLIENT.id,
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'ES256',
    jwks: {
      keys: [{
        ...jwtClientKey.publicKey.export({ format: 'jwk' }),
        kid: JWT_CLIENT.kid,
        alg: 'ES256',
        use: 'sig',
      }],
    },
  },
  {
    client_id: SIGNED_CLIENT.id,
    client_secret: SIGNED_CLIENT.secret,
    token_endpoint_auth_method: 'client_secret_basic',
    // The default is RS256, for every client; answers are signed when the request
    // accepts application/token-introspection+jwt.
    introspection_signed_response_alg: 'ES256',
  },
];
// Where people sign in. Each session has a `sid`, which is in its access tokens too.
const LOGOUT_URI = new URL(process.env.INTEROP_LOGOUT_URI || 'http://127.0.0.1:9/');
if (LOGOUT_URI.hostname !== HOST) {
  console.error(`INTEROP_LOGOUT_URI must be on ${HOST}`);
  process.exit(2);
}
const WEB_CLIENT = {
  client_id: 'web-client',
  client_secret: 'test-only-not-a-secret-web-client',
  token_endpoint_auth_method: 'client_secret_post',
  grant_types: ['authorization_code'],
  response_types: ['code'],
  redirect_uris: ['https://web.example.com/callback'],
  backchannel_logout_uri: LOGOUT_URI.href,
  backchannel_logout_session_required: true,
};
const SCOPES = 'orders:read orders:write orders:admin tokens:revoke';

const TTL = seconds('INTEROP_TTL', 600);
const SHORT_TTL = seconds('INTEROP_SHORT_TTL', 2);

// Resource indicator -> how its access tokens are made. The audience of a token
// is always the resource indicator itself.
const RESOURCES = new Map([
  ['https://orders.example.com', { alg: 'RS256', ttl: TTL }],
  ['https://orders.example.com/es256', { alg: 'ES256', ttl: TTL }],
  ['https://orders.example.com/eddsa', { alg: 'EdDSA', ttl: TTL }],
  ['https://other.example.com', { alg: 'RS256', ttl: TTL }],
  ['https://short.example.com', { alg: 'RS256', ttl: SHORT_TTL }],
  // No `alg`: an opaque (reference) token, only good for introspection.
  ['https://opaque.example.com', { ttl: TTL }],
  ['https://opaque.example.com/other', { ttl: TTL }],
]);

function seconds(name, fallback) {
  const text = process.env[name];
  if (text === undefined || text === '') return fallback;
  if (!/^[1-9][0-9]{0,4}$/.test(text)) {
    console.error(`${name} must be a whole number of seconds from 1 to 99999`);
    process.exit(2);
  }
  return Number(text);
}

function signingKey(alg, type, options) {
  const { privateKey } = crypto.generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig' };
}

function resourceServerInfo(_ctx, indicator) {
  const resource = RESOURCES.get(indicator);
  if (resource === undefined) throw new errors.InvalidTarget();
  return {
    audience: indicator,
    scope: SCOPES,
    accessTokenTTL: resource.ttl,
    ...(resource.alg === undefined
      ? { accessTokenFormat: 'opaque' }
      : { accessTokenFormat: 'jwt', jwt: { sign: { alg: resource.alg } } }),
  };
}

// The issuer names the port, so the port has to be known first.
const server = createServer();
server.listen(0, HOST);
await once(server, 'listening');
const issuer = `http://${HOST}:${server.address().port}`;

const configuration = {
  clients: [
    ...CLIENTS.map(({ id, secret }) => ({
      client_id: id,
      client_secret: secret,
      token_endpoint_auth_method: 'client_secret_basic',
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
    })),
    WEB_CLIENT,
    ...RESOURCE_SERVERS.map((client) => ({
      ...client,
      grant_types: [],
      response_types: [],
      redirect_uris: [],
    })),
  ],
  findAccount: (_ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  extraTokenClaims: (ctx) => {
    const sid = ctx?.oidc?.entities?.AuthorizationCode?.sid;
    return sid === undefined ? undefined : { sid };
  },
  // The library refuses to connect to addresses of this host. It would be told by the
  // `dispatcher`; without one it goes anywhere, so that this goes to one place only.
  fetch: (url, { dispatcher, ...options }) => {
    if (new URL(url).host !== LOGOUT_URI.host) throw new Error(`not to ${url}`);
    return fetch(url, options);
  },
  features: {
    backchannelLogout: { enabled: true },
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: {
      enabled: true,
      // Every client may look at any token, as a resource server would.
      allowedPolicy: () => true,
    },
    jwtIntrospection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      getResourceServerInfo: resourceServerInfo,
    },
    revocation: {
      enabled: true,
      // A client may revoke its own tokens only.
      allowedPolicy: (_ctx, client, token) => {
        if (client.clientId === token.clientId) return true;
        throw new errors.InvalidRequest('not a token of this client');
      },
    },
  },
  ttl: {
    ClientCredentials: (_ctx, token) => token.resourceServer?.accessTokenTTL ?? TTL,
  },
};

function newKeys() {
  return [
    signingKey('RS256', 'rsa', { modulusLength: 2048 }),
    signingKey('ES256', 'ec', { namedCurve: 'P-256' }),
    signingKey('EdDSA', 'ed25519'),
  ];
}

// The library reads its keys once, and signs with the first that fits. So new keys are a
// new provider, as they are a restart with another configuration elsewhere.
function providerWith(keys) {
  const provider = new Provider(issuer, { ...configuration, jwks: { keys } });
  provider.on('backchannel.error', (_ctx, error) => console.error(error));
  provider.on('server_error', (_ctx, error) => console.error(error));
  return provider;
}

let keys = newKeys();
const provider = providerWith(keys);
let handle = provider.callback();

// What an operator does elsewhere: sign with new keys, and withdraw the old ones later.
function operate(request, response) {
  if (request.method === 'POST' && request.url === '/test/rotate') {
    const fresh = newKeys();
    handle = providerWith([...fresh, ...keys]).callback();
    keys = fresh;
  } else if (request.method === 'POST' && request.url === '/test/withdraw') {
    handle = providerWith(keys).callback();
  } else {
    return false;
  }
  response.writeHead(204).end();
  return true;
}

server.on('request', (request, response) => operate(request, response) || handle(request, response));

// As a sign-in would leave it behind: nobody signs in here.
async function refreshToken() {
  const accountId = 'user-1';
  const clientId = CLIENTS[0].id;
  const grant = new provider.Grant({ accountId, clientId });
  const grantId = await grant.save();
  const client = await provider.Client.find(clientId);
  const scope = 'openid offline_access';
  return new provider.RefreshToken({ accountId, client, grantId, scope, gty: 'authorization_code' }).save();
}

// The cookie of somebody who has signed in, and lets `web-client` read orders.
async function sessionCookie(accountId) {
  const clientId = WEB_CLIENT.client_id;
  const grant = new provider.Grant({ accountId, clientId });
  grant.addOIDCScope('openid');
  for (const indicator of RESOURCES.keys()) grant.addResourceScope(indicator, SCOPES);
  const grantId = await grant.save();
  const loginTs = Math.floor(Date.now() / 1000);
  const authorizations = { [clientId]: { grantId } };
  const session = new provider.Session({ accountId, loginTs, authorizations });
  await session.save(TTL);
  return `${provider.cookieName('session')}=${session.jti}`;
}

let stopping = false;
function stop() {
  if (stopping) return;
  stopping = true;
  server.close(() => process.exit(0));
  server.closeAllConnections();
}
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, stop);
// The starting process holds the other end of stdin: when it is gone, so are we.
for (const event of ['end', 'close', 'error']) process.stdin.on(event, stop);
process.stdin.resume();
process.stdout.on('error', stop);

process.stdout.write(`${JSON.stringify({
  issuer,
  token_endpoint: `${issuer}${provider.pathFor('token')}`,
  jwks_uri: `${issuer}${provider.pathFor('jwks')}`,
  introspection_endpoint: `${issuer}${provider.pathFor('introspection')}`,
  revocation_endpoint: `${issuer}${provider.pathFor('revocation')}`,
  client_id: CLIENTS[0].id,
  client_secret: CLIENTS[0].secret,
  second_client_id: CLIENTS[1].id,
  second_client_secret: CLIENTS[1].secret,
  post_client_id: POST_CLIENT.id,
  post_client_secret: POST_CLIENT.secret,
  jwt_client_id: JWT_CLIENT.id,
  jwt_client_key_id: JWT_CLIENT.kid,
  jwt_client_private_key: jwtClientKey.privateKey.export({ type: 'pkcs8', format: 'pem' }),
  signed_client_id: SIGNED_CLIENT.id,
  signed_client_secret: SIGNED_CLIENT.secret,
  refresh_token: await refreshToken(),
  web_client_id: WEB_CLIENT.client_id,
  web_client_secret: WEB_CLIENT.client_secret,
  web_redirect_uri: WEB_CLIENT.redirect_uris[0],
  // Of the same person, as with two browsers.
  session_cookie: await sessionCookie('user-1'),
  other_session_cookie: await sessionCookie('user-1'),
  pid: process.pid,
})}\n`);
