// Gets a client-credentials access token, or revokes one, with the real client
// library `openid-client`. TEST ONLY: it allows plain HTTP, for 127.0.0.1.
//
// Usage: node client.mjs ISSUER CLIENT_ID CLIENT_SECRET RESOURCE "SCOPE SCOPE"
//        node client.mjs revoke ISSUER CLIENT_ID CLIENT_SECRET TOKEN
//
// stdout carries the access token and a newline, and nothing after a revocation;
// errors go to stderr.
// Exit status: 0 done, 1 the request failed, 2 wrong usage.

import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as oauth from 'openid-client';

/** Reads the discovery document and returns an `openid-client` configuration. */
export async function connect({ issuer, clientId, clientSecret }) {
  const url = new URL(issuer);
  if (url.hostname !== '127.0.0.1') throw new Error('the issuer must be on 127.0.0.1');
  return oauth.discovery(url, clientId, undefined, oauth.ClientSecretBasic(clientSecret), {
    execute: [oauth.allowInsecureRequests],
    timeout: 10,
  });
}

/** Returns the whole token response: access_token, expires_in, token_type, scope. */
export async function requestToken(config, { resource, scope }) {
  return oauth.clientCredentialsGrant(config, { resource, scope });
}

/** Returns the introspection response. */
export async function introspect(config, token) {
  return oauth.tokenIntrospection(config, token);
}

/** Revokes the token. */
export async function revoke(config, token) {
  return oauth.tokenRevocation(config, token);
}

// The OAuth error where there is one (openid-client keeps that of a 401 answer
// among its challenges), else what went wrong underneath.
function describe(error) {
  const answer = error.error ? error : error.cause?.[0]?.parameters;
  if (answer?.error) return `${answer.error}: ${answer.error_description ?? 'no description'}`;
  const cause = error.cause?.code ?? error.cause?.message;
  return `${error.name}: ${error.message}${cause === undefined ? '' : ` (${cause})`}`;
}

async function main(args) {
  if (args.length !== 5) {
    console.error('usage: node client.mjs ISSUER CLIENT_ID CLIENT_SECRET RESOURCE "SCOPE SCOPE"');
    console.error('       node client.mjs revoke ISSUER CLIENT_ID CLIENT_SECRET TOKEN');
    return 2;
  }
  try {
    if (args[0] === 'revoke') {
      const [, issuer, clientId, clientSecret, token] = args;
      await revoke(await connect({ issuer, clientId, clientSecret }), token);
      return 0;
    }
    const [issuer, clientId, clientSecret, resource, scope] = args;
    const config = await connect({ issuer, clientId, clientSecret });
    const response = await requestToken(config, { resource, scope });
    process.stdout.write(`${response.access_token}\n`);
    return 0;
  } catch (error) {
    console.error(describe(error));
    return 1;
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  process.exitCode = await main(process.argv.slice(2));
}
