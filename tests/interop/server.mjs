// A real OAuth 2.0 authorization server (npm `oidc-provider`) for the
// interoperability test. TEST ONLY: it listens on 127.0.0.1, speaks plain HTTP,
// keeps everything in memory and its client secrets are in this file.
//
// Usage: node server.mjs          (keep stdin open; closing it stops the server)
//
// stdout carries exactly one line, a JSON object, once the server accepts
// connections. Everything else goes to stderr.
//
// Environment: INTEROP_TTL (seconds, default 600), INTEROP_SHORT_TTL (default 2).

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

const provider = new Provider(issuer, {
  clients: CLIENTS.map(({ id, secret }) => ({
    client_id: id,
    client_secret: secret,
    token_endpoint_auth_method: 'client_secret_basic',
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
  })),
  jwks: {
    keys: [
      signingKey('RS256', 'rsa', { modulusLength: 2048 }),
      signingKey('ES256', 'ec', { namedCurve: 'P-256' }),
      signingKey('EdDSA', 'ed25519'),
    ],
  },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: {
      enabled: true,
      // Both clients may look at any token, as a resource server would.
      allowedPolicy: () => true,
    },
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
});
provider.on('server_error', (_ctx, error) => console.error(error));
server.on('request', provider.callback());

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
  pid: process.pid,
})}\n`);
